"""STI certificates: loading what x5u serves, and what makes one unfit for signing PASSporTs."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from stir.certificates.tn_auth_list import OID, MalformedTnAuthList, TnAuthList, parse_tn_auth_list
from stir.reason import Reason, printable

MAX_PEM: Final = 65_536
MAX_CERTIFICATES: Final = 10
ES256: Final = ec.ECDSA(hashes.SHA256())
TN_AUTH_LIST_OID: Final = x509.ObjectIdentifier(OID)
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
    }
)


class MalformedCredential(ValueError):
    """The octets are not a certificate chain; the message says what is wrong."""


class KeyMismatch(ValueError):
    """A private key does not belong to the certificate; the configuration is at fault."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that makes a certificate unfit: the Reason, what was found, what was wanted."""

    reason: Reason
    got: str
    expected: str


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


@dataclass(frozen=True, slots=True)
class Credential:
    """A parsed certificate chain, the signing certificate first, with what every call asks of it.

    Times are epoch seconds. `problem` is what makes the leaf unusable whatever the time; the
    TNAuthList is None where `authority_problem` says why.
    """

    certificates: tuple[x509.Certificate, ...]
    pem: bytes = field(repr=False)
    fingerprint: bytes
    subject: str
    not_before: float
    not_after: float
    public_key: ec.EllipticCurvePublicKey | None
    problem: Problem | None
    tn_auth_list: TnAuthList | None
    authority_problem: Problem | None

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
    tn_auth_list, authority_problem = _authority(leaf)
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
        tn_auth_list=tn_auth_list,
        authority_problem=authority_problem,
    )


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
        _authority(certificate)[1],
    )
    return tuple(problem for problem in found if problem is not None)


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
        if isinstance(extension.value, x509.KeyUsage) and not extension.value.digital_signature:
            return Problem(
                Reason.CREDENTIAL_KEY_USAGE,
                "a key usage without digitalSignature",
                "key usage digitalSignature",
            )
    return None


def _authority(certificate: x509.Certificate) -> tuple[TnAuthList | None, Problem | None]:
    expected = "a TNAuthList that covers the originating number"
    try:
        found = tn_auth_list_of(certificate)
    except MalformedTnAuthList as error:
        return None, Problem(Reason.AUTHORITY_MALFORMED, str(error), expected)
    if found is None:
        return None, Problem(Reason.AUTHORITY_MISSING, "no TNAuthList", expected)
    return found, None
