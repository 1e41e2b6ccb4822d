"""A development certificate authority: STI and TLS certificates for tests, demo and first steps.

Not for production numbers: there, certificates come from an STI-CA on the policy administrator's
list. Keys are P-256, serial numbers random, and times are given in epoch seconds.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stir.certificates.certificate import (
    ENHANCED_JWT_CLAIM_CONSTRAINTS_OID,
    JWT_CLAIM_CONSTRAINTS_OID,
    TN_AUTH_LIST_OID,
    UNREADABLE,
    MalformedCredential,
    load_certificates,
    load_private_key,
    match_key,
    tn_auth_list_of,
)
from stir.certificates.claim_constraints import ClaimConstraints, build_claim_constraints
from stir.certificates.grant import STIR_TN_LIST_METHOD
from stir.certificates.tn_auth_list import TnAuthList, build_tn_auth_list

DAY: Final = 86_400.0
# A clock a little behind the issuer's must not find a fresh certificate "not yet valid".
BACKDATED: Final = 300.0


@dataclass(frozen=True, slots=True)
class Authority:
    """An issuing authority: its chain, own certificate first, root last, and its key."""

    certificates: tuple[x509.Certificate, ...]
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def certificate(self) -> x509.Certificate:
        """The authority's own certificate."""
        return self.certificates[0]

    @property
    def certificate_pem(self) -> bytes:
        """The authority's own certificate in PEM."""
        return to_pem(self.certificates[:1])

    @property
    def key_pem(self) -> bytes:
        """The authority's private key, PKCS#8 PEM without encryption: keep it at mode 0600."""
        return key_to_pem(self.key)

    @property
    def chain_pem(self) -> bytes:
        """What goes below a leaf in its file: all certificates but a self-signed root, PEM."""
        return to_pem([c for c in self.certificates if c.subject != c.issuer])


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate in PEM with its issuers (no root) after it, and its key where made here."""

    chain_pem: bytes = field(repr=False)
    key_pem: bytes | None = field(repr=False)

    @property
    def certificate(self) -> x509.Certificate:
        """The issued certificate itself."""
        return load_certificates(self.chain_pem)[0]


def new_key() -> ec.EllipticCurvePrivateKey:
    """Generate a P-256 key, the only kind SHAKEN permits."""
    return ec.generate_private_key(ec.SECP256R1())


def key_to_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Serialise a private key as unencrypted PKCS#8 PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def to_pem(certificates: Sequence[x509.Certificate]) -> bytes:
    """Serialise certificates as PEM, one after the other."""
    return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)


def load_authority(certificate_pem: bytes, key_pem: bytes) -> Authority:
    """Load an authority from its chain (own certificate first) and key.

    Raises MalformedCredential or KeyMismatch.
    """
    certificates = load_certificates(certificate_pem)
    key = load_private_key(key_pem)
    match_key(key, certificates[0])
    return Authority(certificates, key)


def make_root(name: str, now: float, *, lifetime: float = 3650 * DAY) -> Authority:
    """Make a self-signed root; `now` in epoch seconds, `lifetime` in seconds."""
    key = new_key()
    subject = _subject(name)
    builder = _builder(subject, subject, key.public_key(), now, lifetime)
    return Authority((_authority(builder, key, None).sign(key, hashes.SHA256()),), key)


def make_intermediate(
    parent: Authority,
    name: str,
    now: float,
    *,
    lifetime: float = 1825 * DAY,
    path_length: int | None = 0,
    tn_auth_list: TnAuthList | None = None,
    tn_auth_list_url: str | None = None,
    claim_constraints: ClaimConstraints | None = None,
    permitted_dns: Sequence[str] = (),
) -> Authority:
    """Make an authority below `parent`; with a TNAuthList, of which `tn_auth_list_url` may name
    another part or all, a delegating one (RFC 9060)."""
    key = new_key()
    builder = _builder(_subject(name), parent.certificate.subject, key.public_key(), now, lifetime)
    builder = _authority(builder, parent.key, path_length)
    builder = _granting(builder, tn_auth_list, tn_auth_list_url, claim_constraints)
    if permitted_dns:
        constraints = x509.NameConstraints([x509.DNSName(name) for name in permitted_dns], None)
        builder = builder.add_extension(constraints, critical=True)
    certificate = builder.sign(parent.key, hashes.SHA256())
    return Authority((certificate, *parent.certificates), key)


def issue_sti_certificate(
    authority: Authority,
    tn_auth_list: TnAuthList | None,
    now: float,
    *,
    name: str = "SHAKEN development",
    dns_names: Sequence[str] = (),
    lifetime: float = 30 * DAY,
    public_key: ec.EllipticCurvePublicKey | None = None,
    tn_auth_list_url: str | None = None,
    claim_constraints: ClaimConstraints | None = None,
    mail_addresses: Sequence[str] = (),
) -> Issued:
    """Issue a certificate that signs PASSporTs (RFC 8226); a key is made where none is given.

    `tn_auth_list_url` is where more of its TNAuthList is, or all (section 10.1). One for a mailbox
    has `mail_addresses` instead, as rfc822Name.
    """
    key = None if public_key is not None else new_key()
    public = public_key if key is None else key.public_key()
    assert public is not None
    subject = _subject(name)
    builder = _builder(subject, authority.certificate.subject, public, now, lifetime)
    builder = _granting(
        _leaf(builder, authority), tn_auth_list, tn_auth_list_url, claim_constraints
    )
    names: list[x509.GeneralName] = [x509.DNSName(n) for n in dns_names]
    names += [x509.RFC822Name(address) for address in mail_addresses]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return _issued(builder.sign(authority.key, hashes.SHA256()), authority, key)


def issue_tls_certificate(
    authority: Authority,
    now: float,
    *,
    dns_names: Sequence[str] = (),
    addresses: Sequence[str] = (),
    uris: Sequence[str] = (),
    lifetime: float = 90 * DAY,
) -> Issued:
    """Issue a TLS certificate, for servers and clients, with at least one name (RFC 5922)."""
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in dns_names]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    names += [x509.UniformResourceIdentifier(uri) for uri in uris]
    if not names:
        raise ValueError("a TLS certificate needs a DNS name, address or URI")
    key = new_key()
    subject = _subject([*dns_names, *addresses, *uris][0])
    builder = _builder(subject, authority.certificate.subject, key.public_key(), now, lifetime)
    usage = x509.ExtendedKeyUsage(
        [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    )
    builder = (
        _leaf(builder, authority)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(usage, critical=False)
    )
    return _issued(builder.sign(authority.key, hashes.SHA256()), authority, key)


def make_csr(
    key: ec.EllipticCurvePrivateKey,
    name: str,
    tn_auth_list: TnAuthList,
    dns_names: Sequence[str] = (),
) -> bytes:
    """Make a certificate signing request in PEM that asks for a TNAuthList (RFC 9448)."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_subject(name))
    builder = builder.add_extension(_tn_extension(tn_auth_list), critical=False)
    if dns_names:
        names = x509.SubjectAlternativeName([x509.DNSName(n) for n in dns_names])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """A certificate signing request whose signature holds: what is asked for, and the key."""

    name: str
    public_key: ec.EllipticCurvePublicKey
    tn_auth_list: TnAuthList | None
    dns_names: tuple[str, ...]


def read_csr(data: bytes) -> CertificateRequest:
    """Read a request in PEM; raises MalformedCredential, or MalformedTnAuthList for its list."""
    try:
        csr = x509.load_pem_x509_csr(data)
        key = csr.public_key()
        proven = csr.is_signature_valid
        extensions = list(csr.extensions)
        common = csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except (*UNREADABLE, x509.DuplicateExtension):
        raise MalformedCredential("not a certificate signing request in PEM") from None
    if not proven:
        raise MalformedCredential("the request is not signed by its own key")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise MalformedCredential("the request's key is not on curve P-256")
    names: list[str] = []
    for extension in extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            names = extension.value.get_values_for_type(x509.DNSName)
    name = str(common[0].value) if common else "SHAKEN development"
    return CertificateRequest(name, key, tn_auth_list_of(csr), tuple(names))


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: float,
    lifetime: float,
) -> x509.CertificateBuilder:
    start = min(now - BACKDATED, now + lifetime)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_time(start))
        .not_valid_after(_time(max(now + lifetime, start)))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _authority(
    builder: x509.CertificateBuilder,
    issuer_key: ec.EllipticCurvePrivateKey,
    path_length: int | None,
) -> x509.CertificateBuilder:
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return (
        builder.add_extension(
            x509.BasicConstraints(ca=True, path_length=path_length), critical=True
        )
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(issuer, critical=False)
    )


def _leaf(builder: x509.CertificateBuilder, authority: Authority) -> x509.CertificateBuilder:
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(issuer, critical=False)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _granting(
    builder: x509.CertificateBuilder,
    tn_auth_list: TnAuthList | None,
    tn_auth_list_url: str | None,
    claim_constraints: ClaimConstraints | None,
) -> x509.CertificateBuilder:
    """Add what makes it an STI certificate."""
    if tn_auth_list is not None:
        builder = builder.add_extension(_tn_extension(tn_auth_list), critical=False)
    if tn_auth_list_url is not None:
        location = x509.UniformResourceIdentifier(tn_auth_list_url)
        access = x509.AccessDescription(STIR_TN_LIST_METHOD, location)
        builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    if claim_constraints is not None:
        builder = builder.add_extension(_claim_extension(claim_constraints), critical=False)
    return builder


def _claim_extension(constraints: ClaimConstraints) -> x509.UnrecognizedExtension:
    """In the older form where that can say it, which more verifiers read."""
    if not constraints.must_exclude:
        der = build_claim_constraints(constraints, enhanced=False)
        return x509.UnrecognizedExtension(JWT_CLAIM_CONSTRAINTS_OID, der)
    der = build_claim_constraints(constraints, enhanced=True)
    return x509.UnrecognizedExtension(ENHANCED_JWT_CLAIM_CONSTRAINTS_OID, der)


def _tn_extension(tn_auth_list: TnAuthList) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(TN_AUTH_LIST_OID, build_tn_auth_list(tn_auth_list.entries))


def _issued(
    certificate: x509.Certificate, authority: Authority, key: ec.EllipticCurvePrivateKey | None
) -> Issued:
    chain = to_pem([certificate]) + authority.chain_pem
    return Issued(chain, None if key is None else key_to_pem(key))


def _time(epoch: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(int(epoch), datetime.UTC)
