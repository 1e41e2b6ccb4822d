"""The keys of applications, fetched from the domains they speak for, and what they signed."""

from __future__ import annotations

import base64
import binascii
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from discovery.spin.app_proof import proof_key_url
from discovery.spin.reason import Refusal, Refused
from discovery.spin.strict_json import MalformedJson, parse_json_object
from gateway.http.fetch import Fetched, FetchFailed, FetchRefused

_MAX_DOCUMENT: Final = 4096
_MAX_KEYS: Final = 4
_OCTETS: Final = 32


class Getter(Protocol):
    """A guarded HTTP client; raises FetchRefused and FetchFailed within a time of its own."""

    async def get(self, url: str, *, accept: str = "*/*") -> Fetched: ...


class FetchedAppKeys:
    """AppKeys over the guarded client: every proof is held against what is published now."""

    def __init__(self, client: Getter) -> None:
        self._client = client

    async def verify(self, token: str, *, msp: str, app_id: str) -> None:
        keys = await self._keys(msp, app_id)
        signing_input, _, signature = token.rpartition(".")
        if not any(_verifies(key, signing_input.encode("ascii"), signature) for key in keys):
            raise Refused(Refusal.FORGED, f"no key of this app at {msp} signed the proof")

    async def _keys(self, msp: str, app_id: str) -> list[ec.EllipticCurvePublicKey]:
        try:
            fetched = await self._client.get(
                proof_key_url(msp, app_id), accept="application/jwk-set+json, application/jwk+json"
            )
        except (FetchFailed, FetchRefused) as error:
            detail = f"{error.culprit}: {error.reason}"
            raise Refused(Refusal.CREDENTIAL_UNAVAILABLE, detail) from None
        if fetched.status != 200:
            detail = f"{msp}: HTTP status {fetched.status} for the keys of the app"
            raise Refused(Refusal.CREDENTIAL_UNAVAILABLE, detail)
        try:
            if len(fetched.body) > _MAX_DOCUMENT:
                raise MalformedJson("larger than 4 KiB")
            return _read_keys(parse_json_object(fetched.body))
        except (MalformedJson, ValueError) as error:
            detail = f"{msp}: keys of the app: {error}"
            raise Refused(Refusal.CREDENTIAL_UNAVAILABLE, detail) from None


def _read_keys(document: dict[str, object]) -> list[ec.EllipticCurvePublicKey]:
    """Read a JWK or a JWK Set (RFC 7517 4, 5) of P-256 keys; raises ValueError."""
    listed = document.get("keys", [document])
    if not isinstance(listed, list) or not 0 < len(listed) <= _MAX_KEYS:
        raise ValueError(f"not 1 to {_MAX_KEYS} keys")
    return [_read_key(item) for item in listed]


def _read_key(item: object) -> ec.EllipticCurvePublicKey:
    if not isinstance(item, dict) or (item.get("kty"), item.get("crv")) != ("EC", "P-256"):
        raise ValueError("not a P-256 key")
    x, y = (_coordinate(item.get(name)) for name in ("x", "y"))
    return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()


def _coordinate(value: object) -> int:
    octets = _decode(value) if isinstance(value, str) else b""
    if len(octets) != _OCTETS:
        raise ValueError("a coordinate is not 32 octets")
    return int.from_bytes(octets, "big")


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""


def _verifies(key: ec.EllipticCurvePublicKey, signed: bytes, signature: str) -> bool:
    raw = _decode(signature)
    if len(raw) != 2 * _OCTETS:
        return False
    der = encode_dss_signature(
        int.from_bytes(raw[:_OCTETS], "big"), int.from_bytes(raw[_OCTETS:], "big")
    )
    try:
        key.verify(der, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
