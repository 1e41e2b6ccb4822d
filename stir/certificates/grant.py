"""What a certificate grants: its TNAuthList, by value or by reference (RFC 8226 sections 9, 10)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from cryptography import x509

from stir.certificates.problem import Problem
from stir.certificates.tn_auth_list import OID, MalformedTnAuthList, TnAuthList, parse_tn_auth_list
from stir.certificates.x5u import UrlRefused, check_url
from stir.reason import Reason

TN_AUTH_LIST_OID: Final = x509.ObjectIdentifier(OID)
STIR_TN_LIST_METHOD: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.48.14")
_EXPECTED: Final = "a TNAuthList that covers the originating number"
_PORT: Final = re.compile(r"https://[^/]*:([0-9]{1,5})(?:/.*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Grant:
    """The numbers and codes a certificate is for; `problem` says what is wrong or still missing.

    `reference` is the URL of a list elsewhere. While it is `pending` it has to be fetched: until
    then the problem is AUTHORITY_UNAVAILABLE, and `tn_auth_list` has only what stands in the
    certificate itself.
    """

    tn_auth_list: TnAuthList | None = None
    problem: Problem | None = None
    reference: str | None = None
    pending: bool = False

    def with_list(self, der: bytes) -> Grant:
        """Return the grant with the fetched octets of its reference, which add to its own list."""
        try:
            fetched = parse_tn_auth_list(der)
        except MalformedTnAuthList as error:
            problem = _malformed(f"the list by reference: {error}")
            return Grant(problem=problem, reference=self.reference)
        own = self.tn_auth_list
        whole = fetched if own is None else own.union(fetched)
        return Grant(whole, reference=self.reference)

    def without_list(self, why: str) -> Grant:
        """Return the grant whose reference could not be fetched, and `why`."""
        return Grant(self.tn_auth_list, _unavailable(why), self.reference)


class Grants:
    """The grants of a chain, in its order, read when they are first asked for.

    Nothing asks before the chain leads to a trust anchor: a stranger's list of thousands of
    numbers costs neither time nor memory.
    """

    __slots__ = ("_certificates", "_found")

    def __init__(
        self, certificates: tuple[x509.Certificate, ...], found: tuple[Grant, ...] | None = None
    ) -> None:
        """`found` are the grants where they are known already."""
        self._certificates = certificates
        self._found = found

    @property
    def were_read(self) -> bool:
        """Whether somebody has asked for them."""
        return self._found is not None

    def read(self) -> tuple[Grant, ...]:
        """Return them, one for each certificate; never raises."""
        if self._found is None:
            self._found = tuple(granted_by(certificate) for certificate in self._certificates)
        return self._found


def refers_to_list(certificate: x509.Certificate) -> bool:
    """Whether a certificate names a place of a TNAuthList, be it no good one."""
    return any(
        isinstance(extension.value, x509.AuthorityInformationAccess)
        and _reference(extension.value) is not None
        for extension in certificate.extensions
    )


def granted_by(certificate: x509.Certificate) -> Grant:
    """Read a certificate's own TNAuthList and its reference to one; never raises."""
    own: TnAuthList | None = None
    reference: str | None = None
    for extension in certificate.extensions:
        value = extension.value
        if extension.oid == TN_AUTH_LIST_OID and isinstance(value, x509.UnrecognizedExtension):
            try:
                own = parse_tn_auth_list(value.value)
            except MalformedTnAuthList as error:
                return Grant(problem=_malformed(str(error)))
        elif isinstance(value, x509.AuthorityInformationAccess):
            reference = _reference(value)
    if reference is None:
        return Grant(own)
    try:
        _check_reference(reference)
    except UrlRefused as error:
        return Grant(problem=_malformed(f"the URL of its TNAuthList {error}"))
    return Grant(own, _unavailable("it was not fetched"), reference, pending=True)


def _reference(access: x509.AuthorityInformationAccess) -> str | None:
    """The first location of a list; each further one is another copy (RFC 5280 4.2.2.1)."""
    for description in access:
        if description.access_method == STIR_TN_LIST_METHOD:
            location = description.access_location
            # a name of another kind is nowhere to fetch from: an empty URL is refused
            return location.value if isinstance(location, x509.UniformResourceIdentifier) else ""
    return None


def _check_reference(url: str) -> None:
    """The rules of x5u, but for the port: which one is open is for the fetcher's policy."""
    port = _PORT.fullmatch(url)
    check_url(url, extra_ports=frozenset({int(port[1])}) if port else frozenset())


def _malformed(got: str) -> Problem:
    return Problem(Reason.AUTHORITY_MALFORMED, got, _EXPECTED)


def _unavailable(why: str) -> Problem:
    return Problem(Reason.AUTHORITY_UNAVAILABLE, f"a TNAuthList by reference: {why}", _EXPECTED)


def missing() -> Problem:
    """The Problem of a certificate that grants nothing at all."""
    return Problem(Reason.AUTHORITY_MISSING, "no TNAuthList", _EXPECTED)
