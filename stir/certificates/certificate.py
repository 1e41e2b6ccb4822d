"""STI certificates: loading what x5u serves, and what makes one unfit for signing PASSporTs."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from stir.certificates.grant import TN_AUTH_LIST_OID as TN_AUTH_LIST_OID
from stir.certificates.grant import Grant, Grants, granted_by, missing, refers_to_list
from stir.certificates.problem import Problem as Problem
from stir.certificates.tn_auth_list import TnAuthList, parse_tn_auth_list
from stir.reason import Reason, printable

MAX_PEM: Final = 65_536
MAX_CERTIFICATES: Final = 10
MAX_REFERENCES: Final = 3
ES256: Final = ec.ECDSA(hashes.SHA256())
JWT_CLAIM_CONSTRAINTS_OID: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.27")
ENHANCED_JWT_CLAIM_CONSTRAINTS_OID: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.33")
_ANY_PURPOSE: Final = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
# What the X.509 library raises on a damaged certificate; not all of them are ValueErrors.
UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
# Critical extensions this verifier acts on; any other one makes a certificate unusable.
UNDERSTOOD: Final = frozenset(
    {
        x509.BasicConstraints.oid,
        x509.KeyUsage.oid,
        x509.ExtendedKeyUsage.oid,
        x509.NameConstraints.oid,
        x509.SubjectAlternativeName.oid,
        x509.CertificatePolicies.oid,
        x509.CRLDistributionPoints.oid,
        TN_AUTH_LIST_OID,
        JWT_CLAIM_CONSTRAINTS_OID,
        ENHANCED_JWT_CLAIM_CONSTRAINTS_OID,
    }
)


class MalformedCredential(ValueError):
    """The octets are not a certificate chain; the message says what is wrong."""


class KeyMismatch(ValueError):
    """A private key does not belong to the certificate; the configuration is at fault."""


@dataclass(frozen=True, slots=True)
class BareKey:
    """A public key given without certificate: it can verify, but nothing vouches for it."""

    public_key: ec.EllipticCurvePublicKey


@dataclass(frozen=True, slots=True)
class CredentialUnavailable:
    """A credential that could not be had: what happened, and whose fault it is.

    `culprit` names the party in a few words for the log: the host, the resolver, our own limits.
    `reason` is CREDENTIAL_UNAVAILABLE (could not be fetched: nothing is known against the peer) or
    CREDENTIAL_MALFORMED (what was fetched is no certificate: the check failed).
    """

    detail: str
    culprit: str
    reason: Reason = Reason.CREDENTIAL_UNAVAILABLE


_NOT_FETCHED: Final = CredentialUnavailable("it was not fetched", "this gateway")


@dataclass(frozen=True, slots=True)
class Credential:
    """A parsed certificate chain, the signing certificate first, with what every call asks of it.

    Times are epoch seconds. `problem` is what makes the leaf unusable whatever the time. `grants`
    go with `certificates`; those of the leaf are `tn_auth_list`, and `authority_problem` where that
    is missing or not all. `references` are the URLs of TNAuthLists that have to be fetched, at most
    3, and given to `with_tn_auth_lists`.
    """

    certificates: tuple[x509.Certificate, ...]
    pem: bytes = field(repr=False)
    fingerprint: bytes
    subject: str
    not_before: float
    not_after: float
    public_key: ec.EllipticCurvePublicKey | None
    problem: Problem | None
    granted: Grants = field(repr=False, compare=False)

    @property
    def grants(self) -> tuple[Grant, ...]:
        """What each certificate grants, read at the first time."""
        return self.granted.read()

    @property
    def tn_auth_list(self) -> TnAuthList | None:
        """What the leaf grants, as far as it is known."""
        return self.grants[0].tn_auth_list

    @property
    def authority_problem(self) -> Problem | None:
        """Why the leaf grants nothing, or not all it may grant, or None."""
        leaf = self.grants[0]
        if leaf.problem is None and leaf.tn_auth_list is None:
            return missing()
        return leaf.problem

    @property
    def references(self) -> tuple[str, ...]:
        """The URLs of TNAuthLists to be fetched, those nearest to the leaf first."""
        pending = (grant.reference for grant in self.grants if grant.pending)
        return tuple(dict.fromkeys(url for url in pending if url))[:MAX_REFERENCES]

    @property
    def by_reference(self) -> bool:
        """Whether a TNAuthList of it stands elsewhere, fetched or not."""
        return any(refers_to_list(certificate) for certificate in self.certificates)

    @property
    def awaits_lists(self) -> bool:
        """Whether lists it refers to were not asked for, as nobody was known to vouch for it."""
        return self.by_reference and (not self.granted.were_read or bool(self.references))

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate whose key signs."""
        return self.certificates[0]

    def validity_problem(self, at: float) -> Problem | None:
        """Why the leaf is not valid at `at` (epoch seconds), or None."""
        if self.not_before <= at <= self.not_after:
            return None
        return validity_problem(self.leaf, at)


def load_credential(data: bytes) -> Credential:
    """Read what x5u serves: a PEM chain, leaf first, or one DER certificate, at most 65,536 octets.

    Raises MalformedCredential. A certificate that can be read but not used gives a Credential
    whose `problem` says so, so that the verdict can name the Reason.
    """
    certificates = load_certificates(data)
    leaf = certificates[0]
    public_key, problem = _signing_key(leaf)
    pem = b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)
    return Credential(
        certificates=certificates,
        pem=pem,
        fingerprint=b"".join(c.fingerprint(hashes.SHA256()) for c in certificates),
        subject=name_of(leaf),
        not_before=leaf.not_valid_before_utc.timestamp(),
        not_after=leaf.not_valid_after_utc.timestamp(),
        public_key=public_key,
        problem=problem or _usage_problem(leaf),
        granted=Grants(certificates),
    )


def with_tn_auth_lists(
    credential: Credential, fetched: Mapping[str, bytes | CredentialUnavailable]
) -> Credential:
    """Return the credential with the TNAuthLists its certificates refer to (RFC 8226 10.1).

    `fetched` gives for each of its `references` the octets or why there are none; one that is not
    in it counts as not fetched. The fingerprint becomes another with other lists.
    """
    digest = hashes.Hash(hashes.SHA256())
    digest.update(credential.fingerprint)
    grants = []
    for place, grant in enumerate(credential.grants):
        got = fetched.get(grant.reference or "", _NOT_FETCHED) if grant.pending else None
        if isinstance(got, bytes):
            digest.update(place.to_bytes(1) + len(got).to_bytes(4) + got)
            grants.append(grant.with_list(got))
        elif got is not None:
            grants.append(grant.without_list(f"{got.detail} ({got.culprit})"))
        else:
            grants.append(grant)
    granted = Grants(credential.certificates, tuple(grants))
    return replace(credential, granted=granted, fingerprint=digest.finalize())


def load_certificates(data: bytes) -> tuple[x509.Certificate, ...]:
    """Read 1 to 10 certificates from PEM, or one from DER; raises MalformedCredential."""
    if len(data) > MAX_PEM:
        raise MalformedCredential(f"longer than {MAX_PEM} octets")
    try:
        with warnings.catch_warnings():
            # odd serial numbers are a stranger's matter, not one for our standard error
            warnings.simplefilter("ignore")
            if data.startswith(b"\x30"):
                certificates = [x509.load_der_x509_certificate(data)]
            else:
                certificates = x509.load_pem_x509_certificates(data)
            for certificate in certificates:
                _ = certificate.extensions, certificate.subject, certificate.issuer
                _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except x509.DuplicateExtension:
        raise MalformedCredential("an extension appears twice in a certificate") from None
    except UNREADABLE:
        raise MalformedCredential("not a PEM chain or DER certificate") from None
    if not 0 < len(certificates) <= MAX_CERTIFICATES:
        raise MalformedCredential(f"{len(certificates)} certificates, not 1 to {MAX_CERTIFICATES}")
    return tuple(certificates)


def load_public_key(data: bytes) -> BareKey:
    """Read a P-256 public key in PEM; raises MalformedCredential."""
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise MalformedCredential("not a public key in PEM") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise MalformedCredential("the public key is not on curve P-256")
    return BareKey(key)


def load_private_key(data: bytes) -> ec.EllipticCurvePrivateKey:
    """Read an unencrypted P-256 private key in PEM; raises MalformedCredential without the key."""
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise MalformedCredential("not an unencrypted private key in PEM") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise MalformedCredential("the private key is not on curve P-256")
    return key


def match_key(key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    """Raise KeyMismatch unless the private key is the certificate's."""
    public, problem = _signing_key(certificate)
    if public is None:
        assert problem is not None
        raise KeyMismatch(f"the certificate has {problem.got}")
    if public.public_numbers() != key.public_key().public_numbers():
        raise KeyMismatch("the private key is not the certificate's")


def name_of(certificate: x509.Certificate) -> str:
    """The subject on one printable line, whatever its maker put in."""
    return printable(certificate.subject.rfc4514_string(), 200) or "a certificate without a name"


def key_name(certificate: x509.Certificate) -> str:
    """Name the certificate's key for people, such as ``EC secp256r1`` or ``RSA 2048``."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "an unreadable key"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.curve.name}"
    size = getattr(key, "key_size", None)
    kind = type(key).__name__.removesuffix("PublicKey")
    return kind if size is None else f"{kind} {size}"


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether basic constraints say CA:TRUE (RFC 5280 section 4.2.1.9)."""
    return any(
        isinstance(e.value, x509.BasicConstraints) and e.value.ca for e in _each(certificate)
    )


def validity_problem(certificate: x509.Certificate, at: float) -> Problem | None:
    """Why a certificate is not valid at `at` (epoch seconds), or None (RFC 5280 4.1.2.5)."""
    before, after = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if at < before.timestamp():
        return Problem(
            Reason.CREDENTIAL_NOT_YET_VALID,
            f"not before {before:%Y-%m-%dT%H:%M:%SZ}",
            "a certificate valid at the time of the check",
        )
    if at > after.timestamp():
        return Problem(
            Reason.CREDENTIAL_EXPIRED,
            f"not after {after:%Y-%m-%dT%H:%M:%SZ}",
            "a certificate valid at the time of the check",
        )
    return None


def tn_auth_list_of(
    certificate: x509.Certificate | x509.CertificateSigningRequest,
) -> TnAuthList | None:
    """Return the certificate's TNAuthList, None without one; raises MalformedTnAuthList."""
    for extension in _each(certificate):
        if extension.oid == TN_AUTH_LIST_OID:
            value = extension.value
            assert isinstance(value, x509.UnrecognizedExtension)
            return parse_tn_auth_list(value.value)
    return None


def unfitness(certificate: x509.Certificate, at: float) -> tuple[Problem, ...]:
    """All that makes a certificate unfit as STI certificate at `at` (epoch seconds), in order."""
    _, key_problem = _signing_key(certificate)
    found = (
        validity_problem(certificate, at),
        key_problem,
        _usage_problem(certificate),
        _grant_problem(certificate),
    )
    return tuple(problem for problem in found if problem is not None)


def _grant_problem(certificate: x509.Certificate) -> Problem | None:
    """What is wrong with the certificate itself; a list still to be fetched is not."""
    grant = granted_by(certificate)
    if grant.pending:
        return None
    return grant.problem or (missing() if grant.tn_auth_list is None else None)


def _each(
    certificate: x509.Certificate | x509.CertificateSigningRequest,
) -> Iterator[x509.Extension[x509.ExtensionType]]:
    return iter(certificate.extensions)


def _signing_key(
    certificate: x509.Certificate,
) -> tuple[ec.EllipticCurvePublicKey | None, Problem | None]:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key, None
    return None, Problem(Reason.CREDENTIAL_KEY, key_name(certificate), "EC secp256r1")


def _usage_problem(certificate: x509.Certificate) -> Problem | None:
    for extension in _each(certificate):
        if extension.critical and extension.oid not in UNDERSTOOD:
            return Problem(
                Reason.CREDENTIAL_EXTENSION,
                f"critical extension {extension.oid.dotted_string}",
                "critical extensions of the STI profile only",
            )
        if extension.critical and _is_for_something_else(extension.value):
            return Problem(
                Reason.CREDENTIAL_KEY_USAGE,
                "a critical extended key usage of another purpose",
                "no extended key usage: there is none for PASSporTs",
            )
        if isinstance(extension.value, x509.KeyUsage) and not extension.value.digital_signature:
            return Problem(
                Reason.CREDENTIAL_KEY_USAGE,
                "a key usage without digitalSignature",
                "key usage digitalSignature",
            )
    return None


def _is_for_something_else(value: x509.ExtensionType) -> bool:
    """Whether an extended key usage leaves PASSporTs out (RFC 5280 section 4.2.1.12).

    None is defined for them, and authorities copy those of TLS into their profiles: only one that
    is critical is taken at its word.
    """
    return isinstance(value, x509.ExtendedKeyUsage) and _ANY_PURPOSE not in value
