"""What makes a certificate fit to issue another one (RFC 5280 section 6.1.4)."""

from __future__ import annotations

from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from stir.certificates.certificate import UNDERSTOOD, Problem, is_authority, key_name, name_of
from stir.reason import Reason

# Others are weak, or slow to verify with: strangers choose them, and calls wait.
_CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_RSA_BITS: Final = range(2048, 4097)
_RSA_EXPONENT: Final = 65_537
_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


def issuer_problem(
    issuer: x509.Certificate, path: tuple[x509.Certificate, ...], *, p256_only: bool
) -> Problem | None:
    """Return why `issuer` may not have issued the last of `path`, leaf first, or None.

    Everything but the signature itself, so that nothing slow is done for an unfit issuer.
    """
    return (
        _authority_problem(issuer, path)
        or _key_problem(issuer, p256_only=p256_only)
        or _algorithm_problem(path[-1])
    )


def names_issuer(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the authority key identifier is the issuer's key identifier (RFC 5280 4.2.1.1)."""
    named = own = None
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.AuthorityKeyIdentifier):
            named = extension.value.key_identifier
    for extension in issuer.extensions:
        if isinstance(extension.value, x509.SubjectKeyIdentifier):
            own = extension.value.digest
    return named is not None and named == own


def too_long(got: str) -> Problem:
    """The Problem of a path that is longer than permitted."""
    return Problem(Reason.CHAIN_TOO_LONG, got, "a path within the issuers' path lengths")


def _authority_problem(
    issuer: x509.Certificate, path: tuple[x509.Certificate, ...]
) -> Problem | None:
    if not is_authority(issuer):
        return Problem(Reason.CHAIN_NOT_CA, f"{name_of(issuer)} is not an authority", "CA:TRUE")
    for extension in issuer.extensions:
        value = extension.value
        if extension.critical and extension.oid not in UNDERSTOOD:
            return Problem(
                Reason.CREDENTIAL_EXTENSION,
                f"critical extension {extension.oid.dotted_string} in {name_of(issuer)}",
                "critical extensions of the STI profile only",
            )
        if isinstance(value, x509.KeyUsage) and not value.key_cert_sign:
            return Problem(
                Reason.CHAIN_NOT_CA, f"{name_of(issuer)} may not sign certificates", "keyCertSign"
            )
        if isinstance(value, x509.BasicConstraints) and value.path_length is not None:
            below = sum(1 for c in path[1:] if c.subject != c.issuer)
            if below > value.path_length:
                return too_long(
                    f"{below} authorities below {name_of(issuer)}, at most {value.path_length}"
                )
    return None


def _key_problem(issuer: x509.Certificate, *, p256_only: bool) -> Problem | None:
    expected = "EC secp256r1" if p256_only else "EC P-256, P-384 or P-521, or RSA of 2048 to 4096"
    problem = Problem(Reason.CREDENTIAL_KEY, f"{key_name(issuer)} in {name_of(issuer)}", expected)
    try:
        key = issuer.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return problem
    if isinstance(key, ec.EllipticCurvePublicKey):
        return None if isinstance(key.curve, _CURVES[: 1 if p256_only else None]) else problem
    if p256_only or not isinstance(key, rsa.RSAPublicKey) or key.key_size not in _RSA_BITS:
        return problem
    return None if key.public_numbers().e == _RSA_EXPONENT else problem


def _algorithm_problem(certificate: x509.Certificate) -> Problem | None:
    try:
        used = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        used = None
    if isinstance(used, _HASHES):
        return None
    name = "another algorithm" if used is None else used.name
    return Problem(
        Reason.CHAIN_SIGNATURE, f"{name_of(certificate)} is signed with {name}", "SHA-2 signatures"
    )
