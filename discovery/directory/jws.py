"""Compact JWS (RFC 7515) of canonical JSON, ES256, with a header that says nothing but its type.

The header of each type is one constant text. Keys and certificates travel beside a token, never
in it, so that nothing inside can name the key that is to prove it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from discovery.directory.canonical_json import canonical, parse_canonical
from discovery.directory.reason import Refusal, Refused

SIGNATURE_OCTETS: Final = 64
_PART: Final = re.compile(r"[A-Za-z0-9_-]+")


class Kind(StrEnum):
    """What a token is, its `typ`; the same octets can never be read as two kinds."""

    RECORD = "spin-record"
    REMOVAL = "spin-removal"
    RELEASE = "spin-release"
    ANSWER = "spin-dp-answer"
    ENTRY = "spin-dp-entry"
    ORDER = "spin-order"
    PREFIXES = "spin-dp-prefixes"


class Signer(Protocol):
    """Holds one P-256 private key."""

    def sign(self, octets: bytes) -> bytes:
        """Return the 64 octets r||s of ES256 (RFC 7518 section 3.4)."""
        ...


class Key(Protocol):
    """One P-256 public key."""

    @property
    def thumbprint(self) -> str:
        """The base64url SHA-256 of the key as JWK (RFC 7638)."""
        ...

    def verify(self, octets: bytes, signature: bytes) -> bool:
        """Tell whether 64 octets r||s are this key's ES256 signature over `octets`."""
        ...


@dataclass(frozen=True, slots=True)
class Signed:
    """A token taken apart; its claims are believed by nobody until `prove` returned."""

    token: str = field(repr=False)
    kind: Kind
    claims: dict[str, object] = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        """The base64url SHA-256 of what was signed: ECDSA signatures are malleable, this is not."""
        return encode(hashlib.sha256(self.signing_input).digest())

    def prove(self, key: Key) -> None:
        """Raise Refused(BAD_SIGNATURE) unless the key signed this token."""
        if not key.verify(self.signing_input, self.signature):
            raise Refused(Refusal.BAD_SIGNATURE, "not signed by the key it is presented with")


def sign(kind: Kind, claims: Mapping[str, object], signer: Signer) -> str:
    """Return the token of these claims. Raises Refused(NOT_CANONICAL)."""
    signing_input = _HEADERS[kind] + b"." + encode(canonical(claims)).encode("ascii")
    return f"{signing_input.decode('ascii')}.{encode(signer.sign(signing_input))}"


def read(token: object, kind: Kind, *, max_length: int) -> Signed:
    """Take a token apart; nothing is proven yet.

    Raises Refused: OVERSIZED, MALFORMED, WRONG_TYPE (another header), NOT_CANONICAL.
    """
    if not isinstance(token, str):
        raise Refused(Refusal.MALFORMED, "a token that is no text")
    if len(token) > max_length:
        raise Refused(Refusal.OVERSIZED, f"token longer than {max_length} characters")
    parts = token.split(".")
    if len(parts) != 3 or not all(_PART.fullmatch(part) for part in parts):
        raise Refused(Refusal.MALFORMED, "not a compact token")
    if parts[0].encode("ascii") != _HEADERS[kind]:
        raise Refused(Refusal.WRONG_TYPE, f"header is not that of ES256 and {kind}")
    signature = decode(parts[2])
    if len(signature) != SIGNATURE_OCTETS:
        raise Refused(Refusal.MALFORMED, "signature is not 64 octets")
    claims = parse_canonical(decode(parts[1]))
    signing_input = f"{parts[0]}.{parts[1]}".encode("ascii")
    return Signed(token, kind, claims, signing_input, signature)


def encode(octets: bytes) -> str:
    """Return base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """Decode base64url, refusing other spellings of the same octets with Refused(MALFORMED)."""
    try:
        octets = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise Refused(Refusal.MALFORMED, "not base64url") from None
    if encode(octets) != text:
        raise Refused(Refusal.MALFORMED, "not canonical base64url")
    return octets


_HEADERS: Final = {
    kind: encode(canonical({"alg": "ES256", "typ": str(kind)})).encode("ascii") for kind in Kind
}
