"""The online certificate status protocol (RFC 6960): what is asked, which answers count."""

from __future__ import annotations

import base64
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from stir.certificates.certificate import UNDERSTOOD, UNREADABLE, validity_problem
from stir.certificates.crl import CLOCK_TOLERANCE, name_key

MAX_ANSWER: Final = 65_536
MAX_CERTIFICATES: Final = 4
MAX_RESPONSES: Final = 16
# Without nextUpdate newer information is always to be had (section 4.2.2.1); not at every call.
_DEFAULT_LIFETIME: Final = 300.0
_SHA1: Final = hashes.SHA1()  # noqa: S303  (names the issuer, proves nothing: RFC 5019 2.1.1)
_SAFE_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


class UnusableAnswer(ValueError):
    """The octets are no answer that counts; the message says why."""


@dataclass(frozen=True, slots=True)
class OcspAnswer:
    """What an authorised responder says of one certificate; times in epoch seconds.

    `reason` is why it was revoked, such as ``keyCompromise``.
    """

    status: Literal["good", "revoked", "unknown"]
    this_update: float
    next_update: float
    reason: str = "unspecified"


def ocsp_request(certificate: x509.Certificate, issuer: x509.Certificate) -> bytes:
    """Build the DER of a request about one certificate, without nonce, so that answers are shared.

    SHA-1 names the issuer, as RFC 5019 section 2.1.1 wants it: responders know no other.
    """
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, _SHA1)
    return builder.build().public_bytes(serialization.Encoding.DER)


def ocsp_url(responder: str, request: bytes) -> str:
    """The URL that asks by GET (RFC 6960 appendix A.1)."""
    return f"{responder.rstrip('/')}/{quote(base64.b64encode(request).decode(), safe='')}"


def load_ocsp_answer(
    data: bytes, certificate: x509.Certificate, issuer: x509.Certificate, now: float
) -> OcspAnswer:
    """Read a response and check all of section 3.2; raises UnusableAnswer only.

    It must speak of this very certificate, be signed by its issuer or by a responder the issuer
    authorised (4.2.2.2), and not be from the future. An expired one is read: it may still revoke.
    """
    if len(data) > MAX_ANSWER:
        raise UnusableAnswer(f"longer than {MAX_ANSWER} octets")
    try:
        with warnings.catch_warnings():
            # odd names and serial numbers are a stranger's matter, not one for our standard error
            warnings.simplefilter("ignore")
            return _read(data, certificate, issuer, now)
    except UnusableAnswer:
        raise
    except x509.DuplicateExtension:
        raise UnusableAnswer("an extension appears twice") from None
    except (*UNREADABLE, OverflowError):
        raise UnusableAnswer("not an OCSP response") from None


def _read(
    data: bytes, certificate: x509.Certificate, issuer: x509.Certificate, now: float
) -> OcspAnswer:
    response = ocsp.load_der_ocsp_response(data)
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        status = response.response_status.name.lower().replace("_", " ")
        raise UnusableAnswer(f"the responder says: {status}")
    for extension in response.extensions:
        if extension.critical and not isinstance(extension.value, x509.OCSPNonce):
            raise UnusableAnswer(f"critical extension {extension.oid.dotted_string}")
    _check_responder(response, issuer, now)
    return _answer(_about(response, certificate, issuer), now)


def _about(
    response: ocsp.OCSPResponse, certificate: x509.Certificate, issuer: x509.Certificate
) -> ocsp.OCSPSingleResponse:
    for count, single in enumerate(response.responses):
        if count >= MAX_RESPONSES:
            break
        asked = ocsp.OCSPRequestBuilder().add_certificate(
            certificate, issuer, single.hash_algorithm
        )
        wanted = asked.build()
        if (single.serial_number, single.issuer_name_hash, single.issuer_key_hash) == (
            wanted.serial_number,
            wanted.issuer_name_hash,
            wanted.issuer_key_hash,
        ):
            return single
    raise UnusableAnswer("it is about another certificate")


def _answer(single: ocsp.OCSPSingleResponse, now: float) -> OcspAnswer:
    this_update = single.this_update_utc.timestamp()
    if this_update > now + CLOCK_TOLERANCE:
        raise UnusableAnswer("its thisUpdate lies in the future")
    next_update = single.next_update_utc
    until = now + _DEFAULT_LIFETIME if next_update is None else next_update.timestamp()
    if single.certificate_status is ocsp.OCSPCertStatus.REVOKED:
        why = single.revocation_reason
        reason = "unspecified" if why is None else why.value
        return OcspAnswer("revoked", this_update, until, reason)
    good = single.certificate_status is ocsp.OCSPCertStatus.GOOD
    return OcspAnswer("good" if good else "unknown", this_update, until)


def _check_responder(response: ocsp.OCSPResponse, issuer: x509.Certificate, now: float) -> None:
    """The signature is by the issuer, or by who holds its certificate for OCSP signing."""
    if _answered_by(response, issuer):
        if not _signed_by(response, issuer):
            raise UnusableAnswer("its signature is not by the certificate's issuer")
        return
    delegates = response.certificates[:MAX_CERTIFICATES]
    named = [delegate for delegate in delegates if _answered_by(response, delegate)]
    if not named:
        raise UnusableAnswer("it does not come with the responder's certificate")
    for delegate in named:
        _check_delegate(delegate, issuer, now)
        if _signed_by(response, delegate):
            return
    raise UnusableAnswer("its signature is not by the responder")


def _check_delegate(delegate: x509.Certificate, issuer: x509.Certificate, now: float) -> None:
    try:
        delegate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *UNREADABLE):
        raise UnusableAnswer("its responder is not authorised by the issuer") from None
    purposes: Sequence[x509.ObjectIdentifier] = ()
    for extension in delegate.extensions:
        if isinstance(extension.value, x509.ExtendedKeyUsage):
            purposes = list(extension.value)
        elif extension.critical and extension.oid not in UNDERSTOOD:
            raise UnusableAnswer("a critical extension in the responder's certificate")
    if ExtendedKeyUsageOID.OCSP_SIGNING not in purposes:
        raise UnusableAnswer("its responder's certificate is not for OCSP signing")
    if validity_problem(delegate, now) is not None:
        raise UnusableAnswer("its responder's certificate is not valid now")


def _answered_by(response: ocsp.OCSPResponse, certificate: x509.Certificate) -> bool:
    name, key_hash = response.responder_name, response.responder_key_hash
    if name is not None:
        return name_key(name) == name_key(certificate.subject)
    return key_hash == x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest


def _signed_by(response: ocsp.OCSPResponse, certificate: x509.Certificate) -> bool:
    key, signed = certificate.public_key(), response.tbs_response_bytes
    try:
        algorithm = response.signature_hash_algorithm
        if isinstance(key, ed25519.Ed25519PublicKey) and algorithm is None:
            key.verify(response.signature, signed)
        elif not isinstance(algorithm, _SAFE_HASHES):
            return False
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(response.signature, signed, ec.ECDSA(algorithm))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(response.signature, signed, padding.PKCS1v15(), algorithm)
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True
