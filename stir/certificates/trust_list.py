"""The policy administrator's list of trusted STI-CAs: a JWS over their roots (ATIS-1000084).

The payload has `version`, `sequence`, `exp` and `trustList`, an array of certificates in PEM; the
administrator's interface wraps the compact JWS into a JSON object as `caList`.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from stir.certificates.certificate import (
    ES256,
    Credential,
    MalformedCredential,
    is_authority,
    load_certificates,
    load_credential,
    name_of,
    validity_problem,
)
from stir.certificates.chain import PathBuilder, validity_of_issuers
from stir.passport import SIGNATURE_SIZE, MalformedPassport, decode_part
from stir.strict_json import MalformedJson, parse_object

MAX_LIST: Final = 1_048_576
MAX_ANCHORS: Final = 500
_PARTS: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class TrustListRefused(ValueError):
    """The list is not taken; the message says why, and nothing of it may be used."""


@dataclass(frozen=True, slots=True)
class TrustList:
    """A list whose signature holds.

    `sequence` grows with every change. `expires` (epoch seconds) is its own `exp`, None without
    one. `jws` is the list as it was signed, and `digest` its payload's SHA-256.
    """

    version: str
    sequence: int
    expires: float | None
    anchors: tuple[x509.Certificate, ...]
    jws: str = field(repr=False)
    digest: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SignedList:
    """A list taken apart, its signature not yet checked; `signer_url` is its x5u, if any."""

    jws: str = field(repr=False)
    header: Mapping[str, object]
    payload: bytes = field(repr=False)

    @property
    def signer_url(self) -> str | None:
        """Where the signer's certificate chain is, None where the list does not say."""
        url = self.header.get("x5u")
        return url if isinstance(url, str) else None

    @property
    def chain(self) -> bytes | None:
        """The signer's chain as the list itself carries it (x5c), in PEM; raises TrustListRefused.

        It is no more trusted than one from elsewhere.
        """
        given = self.header.get("x5c")
        if given is None:
            return None
        if not isinstance(given, list) or not 0 < len(given) <= 10:
            raise TrustListRefused("x5c is not 1 to 10 certificates")
        try:
            ders = [b64decode(str(text), validate=True) for text in given]
            certificates = [load_certificates(der)[0] for der in ders]
        except (NotBase64, ValueError):
            raise TrustListRefused("x5c is not certificates in base64") from None
        return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)


def open_trust_list(data: bytes) -> SignedList:
    """Take apart a list, at most 1 MiB, bare or wrapped in JSON; raises TrustListRefused."""
    if len(data) > MAX_LIST:
        raise TrustListRefused(f"longer than {MAX_LIST} octets")
    try:
        if data.lstrip().startswith(b"{"):
            inner = parse_object(data).get("caList")
            jws = inner if isinstance(inner, str) else ""
        else:
            jws = data.decode("ascii").strip()
        if _PARTS.fullmatch(jws) is None:
            raise TrustListRefused("not a JWS in compact form")
        header, payload, _ = jws.split(".")
        fields = parse_object(decode_part(header, "header"))
        octets = decode_part(payload, "payload")
    except (MalformedJson, MalformedPassport, UnicodeDecodeError) as error:
        raise TrustListRefused(f"not a signed list: {error}") from None
    if fields.get("alg") != "ES256":
        raise TrustListRefused("not signed with ES256")
    if "crit" in fields:
        raise TrustListRefused("has critical header parameters")
    return SignedList(jws, fields, octets)


def read_trust_list(
    signed: SignedList,
    administrator: Sequence[x509.Certificate],
    now: float,
    *,
    chain: bytes | None = None,
    last: TrustList | None = None,
    expired: bool = False,
) -> TrustList:
    """Check a list's signature and contents; raises TrustListRefused.

    `administrator` are the configured certificates: one of them signed it, or issued the signer's,
    whose `chain` is in PEM, leaf first, from x5u or x5c. `now` is in epoch seconds. `last` is the
    list in force, behind which the new one must not fall. `expired` takes it after its `exp` too.
    """
    _check_signature(signed, administrator, now, chain)
    try:
        claims = parse_object(signed.payload)
    except MalformedJson as error:
        raise TrustListRefused(f"the payload is malformed: {error}") from None
    sequence, expires = claims.get("sequence"), claims.get("exp")
    if type(sequence) is not int or sequence < 0:
        raise TrustListRefused("no sequence number")
    if expires is not None and type(expires) is not int:
        raise TrustListRefused("exp is not an integer of epoch seconds")
    if expires is not None and now > expires and not expired:
        raise TrustListRefused(f"expired {now - expires:.0f} s ago")
    digest = _digest(signed.payload)
    if last is not None and sequence < last.sequence:
        raise TrustListRefused(f"sequence {sequence} after {last.sequence}: an older list")
    if last is not None and sequence == last.sequence and digest != last.digest:
        raise TrustListRefused(f"another list of the same sequence number {sequence}")
    return TrustList(
        version=str(claims.get("version", ""))[:32],
        sequence=sequence,
        expires=None if expires is None else float(expires),
        anchors=_anchors(claims.get("trustList")),
        jws=signed.jws,
        digest=digest,
    )


def _check_signature(
    signed: SignedList,
    administrator: Sequence[x509.Certificate],
    now: float,
    chain: bytes | None,
) -> None:
    signature = _der_signature(signed.jws)
    octets = signed.jws[: signed.jws.rindex(".")].encode("ascii")
    chain = chain or signed.chain
    if any(_signed_by(key, signature, octets) for key in _configured_keys(administrator, now)):
        return
    if chain is not None:
        key = _vouched_for(chain, administrator, now).public_key
        if key is not None and _signed_by(key, signature, octets):
            return
    raise TrustListRefused("not signed by the policy administrator")


def _signed_by(key: ec.EllipticCurvePublicKey, signature: bytes, octets: bytes) -> bool:
    try:
        key.verify(signature, octets, ES256)
    except InvalidSignature:
        return False
    return True


def _configured_keys(
    administrator: Sequence[x509.Certificate], now: float
) -> Iterator[ec.EllipticCurvePublicKey]:
    for certificate in administrator:
        key = certificate.public_key()
        if validity_problem(certificate, now) is not None:
            continue
        if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
            yield key


def _vouched_for(chain: bytes, administrator: Sequence[x509.Certificate], now: float) -> Credential:
    try:
        credential = load_credential(chain)
    except MalformedCredential as error:
        raise TrustListRefused(f"the signer's certificate: {error}") from None
    problem = credential.problem or credential.validity_problem(now)
    if problem is None:
        path = PathBuilder(administrator).find(credential).at(now)
        problem = path.problem or validity_of_issuers(path, now)
    if problem is not None:
        raise TrustListRefused(f"the signer's certificate: {problem.reason.code}: {problem.got}")
    return credential


def _der_signature(jws: str) -> bytes:
    """The signature of a compact JWS in DER."""
    try:
        raw = decode_part(jws.rpartition(".")[2], "signature")
    except MalformedPassport as error:
        raise TrustListRefused(str(error)) from None
    if len(raw) != SIGNATURE_SIZE:
        raise TrustListRefused(f"a signature of {len(raw)} octets, not {SIGNATURE_SIZE}")
    return encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))


def _anchors(given: object) -> tuple[x509.Certificate, ...]:
    if not isinstance(given, list) or not 0 < len(given) <= MAX_ANCHORS:
        raise TrustListRefused(f"trustList is not 1 to {MAX_ANCHORS} certificates")
    found: dict[x509.Certificate, None] = {}
    for number, text in enumerate(given):
        try:
            certificates = load_certificates(str(text).encode("ascii"))
        except (MalformedCredential, UnicodeEncodeError):
            raise TrustListRefused(f"trustList[{number}] is no certificate in PEM") from None
        for certificate in certificates:
            if not is_authority(certificate):
                raise TrustListRefused(f"{name_of(certificate)} is not an authority")
            found[certificate] = None
    return tuple(found)


def _digest(payload: bytes) -> bytes:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(payload)
    return digest.finalize()
