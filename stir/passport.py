"""PASSporT tokens: the JWS compact serialisation of RFC 8225, split, parsed and encoded."""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from stir.strict_json import MalformedJson, canonical, parse_object

MAX_TOKEN: Final = 16_384
SIGNATURE_SIZE: Final = 64
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+")
# The last character of a part whose length is 2 or 3 modulo 4 may not carry bits beyond the octets.
_LAST: Final = {2: frozenset("AQgw"), 3: frozenset("AEIMQUYcgkosw048")}


class MalformedPassport(ValueError):
    """The text is not a PASSporT; `problem` says in a few words why, without quoting the token."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class TokenOctets:
    """The three decoded parts of a JWS compact serialisation, before any meaning is read."""

    header: bytes
    payload: bytes
    signature: bytes
    signing_input: bytes


@dataclass(frozen=True, slots=True)
class Passport:
    """A parsed PASSporT: header and payload as JSON objects, and the octets that were signed."""

    header: Mapping[str, object]
    payload: Mapping[str, object]
    signing_input: bytes
    signature: bytes

    @property
    def ppt(self) -> str | None:
        """The extension type (RFC 8225 section 8.1), None for a plain PASSporT."""
        value = self.header.get("ppt")
        return value if isinstance(value, str) else None

    @property
    def x5u(self) -> str | None:
        """The URL of the credential (RFC 8225 section 4.3)."""
        value = self.header.get("x5u")
        return value if isinstance(value, str) else None

    @property
    def iat(self) -> int | None:
        """When it was signed, epoch seconds (RFC 8225 section 5.1.1)."""
        value = self.payload.get("iat")
        return value if type(value) is int else None

    @property
    def orig_number(self) -> str | None:
        """The `orig.tn` claim as written, None where the originator is a URI."""
        orig = self.payload.get("orig")
        value = orig.get("tn") if isinstance(orig, dict) else None
        return value if isinstance(value, str) else None

    @property
    def attest(self) -> str | None:
        """The SHAKEN attestation, `A`, `B` or `C` (RFC 8588 section 4)."""
        value = self.payload.get("attest")
        return value if isinstance(value, str) else None

    @property
    def digest(self) -> bytes:
        """SHA-256 of header and payload: the replay key, since ECDSA signatures are malleable."""
        return hashlib.sha256(self.signing_input).digest()


def encode_part(data: bytes) -> str:
    """Encode base64url without padding (RFC 7515 section 2)."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode_part(part: str, name: str) -> bytes:
    """Decode base64url strictly; raises MalformedPassport for padding, other alphabets, loose bits.

    `name` is the part's name for the message.
    """
    rest = len(part) % 4
    if _BASE64URL.fullmatch(part) is None or rest == 1:
        raise MalformedPassport(f"the {name} is not base64url without padding")
    if rest == 0:
        return urlsafe_b64decode(part)
    if part[-1] not in _LAST[rest]:
        raise MalformedPassport(f"the {name} has loose bits at its end")
    return urlsafe_b64decode(part + "=" * (4 - rest))


def split_token(token: str) -> TokenOctets:
    """Split a token of at most 16,384 characters into its octets (RFC 7515 section 7.1).

    Raises MalformedPassport; the JSON inside is not looked at.
    """
    if len(token) > MAX_TOKEN:
        raise MalformedPassport(f"longer than {MAX_TOKEN} characters")
    if not token.isascii():
        raise MalformedPassport("not ASCII")
    parts = token.split(".", 3)
    if len(parts) != 3:
        raise MalformedPassport("not three parts separated by dots")
    if not parts[0] and not parts[1]:
        raise MalformedPassport("the compact form, whose header and payload were left out")
    return TokenOctets(
        header=decode_part(parts[0], "header"),
        payload=decode_part(parts[1], "payload"),
        signature=decode_part(parts[2], "signature"),
        signing_input=token[: token.rindex(".")].encode("ascii"),
    )


def read_octets(octets: TokenOctets) -> Passport:
    """Read the JSON of a split token; raises MalformedPassport."""
    return Passport(
        header=_object(octets.header, "header"),
        payload=_object(octets.payload, "payload"),
        signing_input=octets.signing_input,
        signature=octets.signature,
    )


def parse_passport(token: str) -> Passport:
    """Parse a full-form PASSporT; raises MalformedPassport and nothing else (RFC 8225 section 4).

    Types and meaning of the claims are checked by the verification service, not here.
    """
    return read_octets(split_token(token))


def signing_input(header: Mapping[str, object], payload: Mapping[str, object]) -> bytes:
    """Return the octets to sign, ``base64url(header).base64url(payload)`` (RFC 8225 section 6).

    Raises MalformedPassport where a value cannot be written as JSON.
    """
    try:
        return f"{encode_part(canonical(header))}.{encode_part(canonical(payload))}".encode("ascii")
    except MalformedJson as error:
        raise MalformedPassport(str(error)) from None


def _object(data: bytes, name: str) -> dict[str, object]:
    try:
        return parse_object(data)
    except MalformedJson as error:
        raise MalformedPassport(f"the {name} is malformed: {error}") from None
