"""Revocation lists and OCSP answers of any shape, by the authorities of a StirWorld."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from stir.certificates.certificate import Credential
from stir.certificates.chain import Path, PathBuilder
from stir.certificates.issuing import Authority
from stir.certificates.revocation import RevocationRecords, RevocationStatus
from stir.certificates.revocation_sources import Source
from tests.support.stir_authority import NOW, StirWorld, make_certificate

LIST_URL = "https://crl.sti-ca.example/issuing.crl"
ADMINISTRATOR_URL = "https://sti-pa.example/crl"
RESPONDER_URL = "https://ocsp.sti-ca.example/"
DAY = 86_400.0
AnyKey = ec.EllipticCurvePrivateKey
Added = tuple[x509.ExtensionType, bool]


def moment(epoch: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(int(epoch), datetime.UTC)


def named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


@dataclass(frozen=True)
class ListMaker:
    """Everything about a list; `replace` changes it, `der` makes it."""

    issuer: x509.Name
    key: AnyKey
    this_update: float = NOW - 600
    next_update: float = NOW + DAY
    extensions: Sequence[Added] = ()
    entries: Sequence[tuple[int, Sequence[Added]]] = ()

    def der(
        self,
        *revoked: x509.Certificate,
        reason: x509.ReasonFlags | None = x509.ReasonFlags.key_compromise,
        **changes: object,
    ) -> bytes:
        """The list in DER with these certificates revoked, after the `entries`."""
        made = replace(self, **changes)  # type: ignore[arg-type]
        why: list[Added] = [] if reason is None else [(x509.CRLReason(reason), False)]
        entries = [*made.entries, *((each.serial_number, why) for each in revoked)]
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(made.issuer)
            .last_update(moment(made.this_update))
            .next_update(moment(made.next_update))
        )
        for extension, critical in made.extensions:
            builder = builder.add_extension(extension, critical)
        for serial, added in entries:
            entry = (
                x509.RevokedCertificateBuilder()
                .serial_number(serial)
                .revocation_date(moment(made.this_update))
            )
            for extension, critical in added:
                entry = entry.add_extension(extension, critical)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(made.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def list_of(authority: Authority) -> ListMaker:
    return ListMaker(authority.certificate.subject, authority.key)


def issuing_point(
    *,
    url: str | None = None,
    user: bool = False,
    ca: bool = False,
    indirect: bool = False,
    attributes: bool = False,
    reasons: frozenset[x509.ReasonFlags] | None = None,
) -> Added:
    """The IssuingDistributionPoint extension, critical as it must be."""
    names = None if url is None else [x509.UniformResourceIdentifier(url)]
    point = x509.IssuingDistributionPoint(names, None, user, ca, reasons, indirect, attributes)
    return point, True


def issued_by(*authorities: x509.Name) -> Added:
    """The certificateIssuer extension of an entry."""
    return x509.CertificateIssuer([x509.DirectoryName(name) for name in authorities]), True


def points(*urls: str, issuer: x509.Name | None = None) -> Added:
    """A CRL distribution points extension, one point a URL."""
    issuers = None if issuer is None else [x509.DirectoryName(issuer)]
    return (
        x509.CRLDistributionPoints(
            [
                x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, issuers)
                for url in urls
            ]
        ),
        False,
    )


def responder(*urls: str) -> Added:
    """An authority information access extension that names OCSP responders."""
    return (
        x509.AuthorityInformationAccess(
            [
                x509.AccessDescription(
                    AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url)
                )
                for url in urls
            ]
        ),
        False,
    )


@dataclass
class RevocationWorld:
    """Records beside a StirWorld, and what comes from each URL, without any network."""

    world: StirWorld
    records: RevocationRecords
    builder: PathBuilder = field(init=False)

    def __post_init__(self) -> None:
        self.builder = PathBuilder(self.world.root.certificates)
        self._paths: dict[bytes, Path] = {}

    def path(self, credential: Credential) -> Path:
        if credential.fingerprint not in self._paths:
            self._paths[credential.fingerprint] = self.builder.find(credential)
        return self._paths[credential.fingerprint]

    def status(self, credential: Credential, now: float = NOW) -> RevocationStatus:
        return self.records.status(credential, self.path(credential), now)

    def sources(self, credential: Credential, now: float = NOW) -> tuple[Source, ...]:
        """What is due at first."""
        return self.status(credential, now).due


def responder_certificate(
    issuer: Authority,
    key: AnyKey,
    *,
    purpose: bool = True,
    not_after: float = NOW + DAY,
) -> x509.Certificate:
    """A certificate for OCSP signing, or one that only says so in its name."""
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])
    return make_certificate(
        issuer,
        key=key.public_key(),
        entries=None,
        name="OCSP Responder",
        not_after=not_after,
        extensions=[(usage, False)] if purpose else [],
    )


def ocsp_answer(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    key: AnyKey,
    *,
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
    signer: x509.Certificate | None = None,
    attached: bool = True,
    by_name: bool = False,
    this_update: float = NOW - 600,
    next_update: float | None = NOW + 3600,
    extensions: Sequence[Added] = (),
    algorithm: hashes.SHA1 | hashes.SHA256 | None = None,
) -> bytes:
    """An OCSP response in DER, signed by `key`, which belongs to the issuer or the `signer`."""
    revoked = status is ocsp.OCSPCertStatus.REVOKED
    encoding = "NAME" if by_name else "HASH"
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=certificate,
            issuer=issuer,
            algorithm=algorithm or hashes.SHA1(),
            cert_status=status,
            this_update=moment(this_update),
            next_update=None if next_update is None else moment(next_update),
            revocation_time=moment(this_update) if revoked else None,
            revocation_reason=x509.ReasonFlags.key_compromise if revoked else None,
        )
        .responder_id(ocsp.OCSPResponderEncoding[encoding], signer or issuer)
    )
    if signer is not None and attached:
        builder = builder.certificates([signer])
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
