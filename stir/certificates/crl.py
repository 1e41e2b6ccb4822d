"""Certificate revocation lists (RFC 5280 section 5): read, held against who signed them, indexed.

An indirect list, as the STI policy administrator publishes (ATIS-1000080), names the issuer of
each revoked certificate in its entries; a direct one is about its own issuer's certificates.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from stir.certificates.certificate import UNREADABLE, name_of, validity_problem
from stir.reason import printable

# How far the clock of who signs may be ahead of ours, in seconds.
CLOCK_TOLERANCE: Final = 300.0
_ENTRIES_A_STEP: Final = 100
_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
# Critical extensions of a list that are acted on, and those without bearing on what it says.
_UNDERSTOOD: Final = frozenset(
    {
        x509.IssuingDistributionPoint.oid,
        x509.AuthorityKeyIdentifier.oid,
        x509.CRLNumber.oid,
        x509.IssuerAlternativeName.oid,
        x509.AuthorityInformationAccess.oid,
    }
)

NameKey = tuple[frozenset[tuple[str, str]], ...]


class UnusableList(ValueError):
    """The octets are no revocation list that counts; the message says why."""


def name_key(name: x509.Name) -> NameKey:
    """A name as RFC 5280 section 7.1 compares it: without regard to case, spaces, string type."""
    return tuple(
        frozenset((a.oid.dotted_string, " ".join(str(a.value).casefold().split())) for a in rdn)
        for rdn in name.rdns
    )


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A list whose signature held; times in epoch seconds.

    `points` are the URIs under which the list says it is published, None where it does not say.
    `entries` holds, by certificate issuer and serial number, the reason of each revocation.
    """

    issuer: str
    this_update: float
    next_update: float
    indirect: bool
    points: frozenset[str] | None
    end_entities: bool
    authorities: bool
    entries: Mapping[NameKey, Mapping[int, str]] = field(repr=False)

    @property
    def size(self) -> int:
        """How many revoked certificates it lists."""
        return sum(len(serials) for serials in self.entries.values())

    def revocation(self, certificate: x509.Certificate) -> str | None:
        """Why the certificate was revoked, such as ``keyCompromise``, or None: it is not listed."""
        return self.listed(name_key(certificate.issuer), certificate.serial_number)

    def listed(self, issuer: NameKey, serial: int) -> str | None:
        """The same by what names a certificate: its issuer and serial number."""
        serials = self.entries.get(issuer)
        return None if serials is None else serials.get(serial)

    def covers(self, *, authority: bool, points: frozenset[str] | None) -> bool:
        """Whether a certificate that is absent from the list is thereby not revoked.

        By section 6.3.3 (b)(2): the kind of certificate is in the scope, and one of the `points`
        of its distribution point is one of the list's; None where it names none.
        """
        if not (self.authorities if authority else self.end_entities):
            return False
        return self.points is None or points is None or bool(self.points & points)


def load_revocation_list(
    data: bytes, signers: Sequence[x509.Certificate], now: float
) -> RevocationList:
    """Read a list at once, as `read_revocation_list` does step by step; raises UnusableList."""
    reading = read_revocation_list(data, signers, now)
    while True:
        try:
            next(reading)
        except StopIteration as end:
            found: RevocationList = end.value
            return found


def read_revocation_list(
    data: bytes, signers: Sequence[x509.Certificate], now: float
) -> Generator[None, None, RevocationList]:
    """Read a list in DER or PEM and check its signature by one of `signers`; raises UnusableList.

    Refused besides: one that is from the future or without nextUpdate, a delta list, one for some
    reasons or attribute certificates only, one with a critical extension that is not understood
    (section 5.2). An expired list is read: it may still revoke. `now` is in epoch seconds. After
    every hundred entries it yields, so that a long list is read beside other work.
    """
    try:
        crl, empty = _open(data, signers, now)
        reading = iter(crl)
        entries = _Entries(crl.issuer)
        while batch := list(islice(reading, _ENTRIES_A_STEP)):
            entries.add(batch)
            yield
        return replace(empty, entries=entries.found)
    except UnusableList:
        raise
    except x509.DuplicateExtension:
        raise UnusableList("an extension appears twice") from None
    except (*UNREADABLE, OverflowError):
        raise UnusableList("not a certificate revocation list") from None


def _open(
    data: bytes, signers: Sequence[x509.Certificate], now: float
) -> tuple[x509.CertificateRevocationList, RevocationList]:
    """Parse a list and check everything but its entries."""
    with warnings.catch_warnings():
        # odd names and serial numbers are a stranger's matter, not one for our standard error
        warnings.simplefilter("ignore")
        crl = _parse(data)
        _check_signature(crl, signers, now)
        indirect, points, end_entities, authorities = _scope(crl)
        this_update = crl.last_update_utc.timestamp()
        next_update = crl.next_update_utc
        if this_update > now + CLOCK_TOLERANCE:
            raise UnusableList("its thisUpdate lies in the future")
        if next_update is None:
            raise UnusableList("it has no nextUpdate")
        return crl, RevocationList(
            issuer=printable(crl.issuer.rfc4514_string(), 200),
            this_update=this_update,
            next_update=next_update.timestamp(),
            indirect=indirect,
            points=points,
            end_entities=end_entities,
            authorities=authorities,
            entries={},
        )


def _parse(data: bytes) -> x509.CertificateRevocationList:
    if data.startswith(b"\x30"):
        return x509.load_der_x509_crl(data)
    return x509.load_pem_x509_crl(data)


def _check_signature(
    crl: x509.CertificateRevocationList, signers: Sequence[x509.Certificate], now: float
) -> None:
    """Section 6.3.3 (f) and (g): signed with a key of its issuer that may sign lists."""
    issuer = name_key(crl.issuer)
    named = [signer for signer in signers if name_key(signer.subject) == issuer]
    if not named:
        shown = printable(crl.issuer.rfc4514_string(), 200)
        raise UnusableList(f"issued by {shown}, who is not the one to ask")
    try:
        if not isinstance(crl.signature_hash_algorithm, (*_HASHES, type(None))):
            raise UnusableList("signed with a hash that is no longer safe")
    except UnsupportedAlgorithm:
        raise UnusableList("signed with an unknown algorithm") from None
    fit = [signer for signer in named if may_sign_lists(signer)]
    if not fit:
        raise UnusableList(f"{name_of(named[0])} may not sign lists (key usage cRLSign)")
    valid = [signer for signer in fit if validity_problem(signer, now) is None]
    if not valid:
        raise UnusableList(f"the certificate of {name_of(fit[0])} is not valid now")
    if not any(_signed_by(crl, signer) for signer in valid):
        raise UnusableList(f"its signature is not by {name_of(valid[0])}")


def may_sign_lists(certificate: x509.Certificate) -> bool:
    """Whether the key usage, where there is one, has cRLSign (RFC 5280 section 4.2.1.3)."""
    extensions = iter(certificate.extensions)
    usages = (e.value for e in extensions if isinstance(e.value, x509.KeyUsage))
    return all(usage.crl_sign for usage in usages)


def _signed_by(crl: x509.CertificateRevocationList, signer: x509.Certificate) -> bool:
    key = signer.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey):
        return False
    try:
        return crl.is_signature_valid(key)
    except (InvalidSignature, *UNREADABLE):
        return False


def _scope(
    crl: x509.CertificateRevocationList,
) -> tuple[bool, frozenset[str] | None, bool, bool]:
    """Whether it is indirect, where it is published, and what kinds of certificates it is about."""
    points: frozenset[str] | None = None
    found: x509.IssuingDistributionPoint | None = None
    for extension in crl.extensions:
        if isinstance(extension.value, x509.DeltaCRLIndicator):
            raise UnusableList("a delta list")
        if extension.critical and extension.oid not in _UNDERSTOOD:
            raise UnusableList(f"critical extension {extension.oid.dotted_string}")
        if isinstance(extension.value, x509.IssuingDistributionPoint):
            found = extension.value
    if found is None:
        return False, None, True, True
    if found.only_some_reasons is not None:
        raise UnusableList("a list for some reasons only")
    if found.only_contains_attribute_certs:
        raise UnusableList("a list of attribute certificates")
    if found.relative_name is not None:
        raise UnusableList("a distribution point relative to its issuer")
    if found.full_name is not None:
        points = uris(found.full_name)
    user, ca = found.only_contains_user_certs, found.only_contains_ca_certs
    return found.indirect_crl, points, user or not ca, ca or not user


def uris(names: Sequence[x509.GeneralName]) -> frozenset[str]:
    """The URIs among general names."""
    return frozenset(n.value for n in names if isinstance(n, x509.UniformResourceIdentifier))


class _Entries:
    """The index of the entries; each without certificateIssuer is of the one before it (5.3.3)."""

    def __init__(self, issuer: x509.Name) -> None:
        self.found: dict[NameKey, dict[int, str]] = {}
        self._current = [self._of(issuer)]

    def add(self, batch: Sequence[x509.RevokedCertificate]) -> None:
        """Index some entries; raises UnusableList."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for revoked in batch:
                reason = self._read(revoked)
                for serials in self._current:
                    serials[revoked.serial_number] = reason

    def _read(self, revoked: x509.RevokedCertificate) -> str:
        """The reason of an entry, whose issuer becomes the current one."""
        reason = "unspecified"
        for extension in revoked.extensions:
            value = extension.value
            if isinstance(value, x509.CertificateIssuer):
                names = value.get_values_for_type(x509.DirectoryName)
                if not names:
                    raise UnusableList("an entry whose certificateIssuer is no directory name")
                self._current = [self._of(name) for name in names]
            elif isinstance(value, x509.CRLReason):
                reason = value.reason.value
            elif extension.critical and not isinstance(value, x509.InvalidityDate):
                raise UnusableList(f"critical entry extension {extension.oid.dotted_string}")
        return reason

    def _of(self, issuer: x509.Name) -> dict[int, str]:
        return self.found.setdefault(name_key(issuer), {})
