"""Where it stands whether a certificate is revoked: its distribution points, its responders, the
lists of policy administrators."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from stir.certificates.certificate import is_authority, name_of
from stir.certificates.chain import Path
from stir.certificates.crl import NameKey, RevocationList, may_sign_lists, name_key, uris
from stir.certificates.ocsp import OcspAnswer
from stir.reason import printable

MAX_CHOICES: Final = 3


@dataclass(frozen=True, slots=True)
class PolicyAdministrator:
    """Who publishes one list for the certificates of many authorities (ATIS-1000080 section 6).

    `certificates` are those its lists are signed with, believed because they are configured.
    """

    url: str
    certificates: tuple[x509.Certificate, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ListSource:
    """A list at a URL, as signed by one of `signers`.

    One URL named in the certificates of two authorities is two sources, so that neither can spoil
    what is known of the other. `configured`: it is a policy administrator's.
    """

    url: str
    signers: tuple[x509.Certificate, ...] = field(repr=False)
    configured: bool = False

    @property
    def name(self) -> str:
        """The source as it is shown to people."""
        return f"the list at {printable(self.url, 120)}"


@dataclass(frozen=True, slots=True)
class ResponderSource:
    """What the OCSP responder at a URL says about one certificate."""

    url: str
    certificate: x509.Certificate = field(repr=False)
    issuer: x509.Certificate = field(repr=False)

    @property
    def name(self) -> str:
        """The source as it is shown to people."""
        return f"the responder at {printable(self.url, 120)}"


Source = ListSource | ResponderSource
Found = RevocationList | OcspAnswer


@dataclass(frozen=True, slots=True)
class Choice:
    """One source that suffices for a certificate.

    `points` are the URIs of its distribution point, None for a list that needs to be named by
    nobody. `indirect`: the list has to say that it speaks of others' certificates.
    """

    source: Source
    points: frozenset[str] | None = None
    indirect: bool = False


@dataclass(frozen=True, slots=True)
class Subject:
    """One certificate of a path and who can tell about it.

    Any of the `choices` suffices; without any, `without` says why. `also` may revoke it but are
    not asked whether it is good. An `anchor` is believed unless it is revoked there.
    """

    certificate: x509.Certificate = field(repr=False)
    issuer: NameKey = field(repr=False)
    serial: int
    name: str
    authority: bool
    choices: tuple[Choice, ...]
    also: tuple[ListSource, ...]
    anchor: bool
    without: str = ""

    @property
    def sources(self) -> tuple[Source, ...]:
        """Everyone who is asked."""
        return (*(choice.source for choice in self.choices), *self.also)


class SourceFinder:
    """Finds the sources for the certificates of a path."""

    def __init__(
        self, administrators: Sequence[PolicyAdministrator], *, allow_http: bool = False
    ) -> None:
        """`allow_http`: lists and responders are asked without TLS too; what they say is signed."""
        self.configured = tuple(
            ListSource(administrator.url, administrator.certificates, configured=True)
            for administrator in administrators
        )
        self._schemes = ("https://", "http://") if allow_http else ("https://",)

    def subjects(self, path: Path) -> tuple[Subject, ...]:
        """The certificates of a path to an anchor, leaf first, and whom to ask about each."""
        found = []
        for index, certificate in enumerate(path.certificates):
            above = path.certificates[index + 1 :]
            choices, without = self._choices(certificate, above) if above else ((), "")
            asked = {choice.source for choice in choices}
            found.append(
                Subject(
                    certificate,
                    name_key(certificate.issuer),
                    certificate.serial_number,
                    name_of(certificate),
                    is_authority(certificate),
                    choices,
                    tuple(source for source in self.configured if source not in asked),
                    anchor=not above,
                    without=without,
                )
            )
        return tuple(found)

    def _choices(
        self, certificate: x509.Certificate, above: Sequence[x509.Certificate]
    ) -> tuple[tuple[Choice, ...], str]:
        points = list(_distribution_points(certificate))
        lists = [choice for point in points for choice in self._lists(point, above)]
        if lists:
            return tuple(dict.fromkeys(lists))[:MAX_CHOICES], ""
        if not points and self.configured:
            return tuple(Choice(source) for source in self.configured)[:MAX_CHOICES], ""
        responders = [url for url in _responders(certificate) if self._asked(url)]
        if responders:
            sources = (ResponderSource(url, certificate, above[0]) for url in responders)
            return tuple(Choice(source) for source in sources)[:MAX_CHOICES], ""
        if points:
            return (), _why_not(points, above, self._schemes)
        return (), "names neither a revocation list nor a responder"

    def _lists(
        self, point: x509.DistributionPoint, above: Sequence[x509.Certificate]
    ) -> Iterator[Choice]:
        """The lists behind one distribution point that can be had (RFC 5280 4.2.1.13, 6.3.3)."""
        names = uris(point.full_name or ())
        issuers = _directory_names(point.crl_issuer or ())
        for source in self.configured:
            own = {name_key(signer.subject) for signer in source.signers}
            if source.url in names or any(name_key(issuer) in own for issuer in issuers):
                yield Choice(source)
                return
        if point.reasons is not None:
            return
        signers = _signers(issuers, above)
        for url in sorted(names):
            if signers and self._asked(url):
                indirect = signers != (above[0],)
                yield Choice(ListSource(url, signers), names, indirect=indirect)

    def _asked(self, url: str) -> bool:
        return url.lower().startswith(self._schemes)


def _signers(
    issuers: Sequence[x509.Name], above: Sequence[x509.Certificate]
) -> tuple[x509.Certificate, ...]:
    """Who signs the list: the issuer, or where the point names others, authorities above it."""
    if not issuers:
        return (above[0],)
    wanted = {name_key(issuer) for issuer in issuers}
    return tuple(c for c in above if name_key(c.subject) in wanted and may_sign_lists(c))


def _why_not(
    points: Sequence[x509.DistributionPoint],
    above: Sequence[x509.Certificate],
    schemes: tuple[str, ...],
) -> str:
    for point in points:
        issuers = _directory_names(point.crl_issuer or ())
        if issuers and not _signers(issuers, above):
            shown = printable(issuers[0].rfc4514_string(), 200)
            return f"has its list from {shown}, who is not configured"
        if point.reasons is not None:
            return "names only lists for some reasons"
    allowed = " or ".join(scheme.removesuffix("://") for scheme in schemes)
    return f"names no list by {allowed}"


def _directory_names(names: Sequence[x509.GeneralName]) -> list[x509.Name]:
    return [name.value for name in names if isinstance(name, x509.DirectoryName)]


def _distribution_points(certificate: x509.Certificate) -> Iterator[x509.DistributionPoint]:
    for extension in iter(certificate.extensions):
        if isinstance(extension.value, x509.CRLDistributionPoints):
            yield from list(extension.value)[:MAX_CHOICES]


def _responders(certificate: x509.Certificate) -> Iterator[str]:
    for extension in iter(certificate.extensions):
        if isinstance(extension.value, x509.AuthorityInformationAccess):
            for access in extension.value:
                location = access.access_location
                if access.access_method == AuthorityInformationAccessOID.OCSP and isinstance(
                    location, x509.UniformResourceIdentifier
                ):
                    yield location.value
