"""PASSporT tokens: the JWS compact serialisation of RFC 8225, split, parsed and encoded."""

from __future__ import annotations

import binascii
import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from stir.strict_json import MalformedJson, canonical, parse_object

MAX_TOKEN: Final = 16_384
SIGNATURE_SIZE: Final = 64
# From the URL's alphabet to the one of binascii. What is none of it turns into a character that the
# strict decoder refuses, and so do padding and the other alphabet's two.
_URL_ALPHABET: Final = bytes.maketrans(b"-_+/=", b"+/!!!")
_PADDING: Final = {0: b"", 2: b"==", 3: b"="}
# The headers of one signer are all the same: long ones are not worth the memory.
_MAX_KNOWN_HEADERS: Final = 1_024
_MAX_KNOWN_HEADER: Final = 1_024
# The last character of a part whose length is 2 or 3 modulo 4 may not carry bits beyond the octets.
_LAST: Final = {2: frozenset(b"AQgw"), 3: frozenset(b"AEIMQUYcgkosw048")}


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
    """A parsed PASSporT: header and payload as JSON objects, and the octets that were signed.

    `ppt` is the extension type, None for a plain PASSporT (RFC 8225 section 8.1), `x5u` the URL of
    the credential (section 4.3).
    """

    header: Mapping[str, object]
    payload: Mapping[str, object]
    signing_input: bytes
    signature: bytes
    ppt: str | None = field(init=False)
    x5u: str | None = field(init=False)

    def __post_init__(self) -> None:
        # Every check asks for these two.
        for name in ("ppt", "x5u"):
            value = self.header.get(name)
            object.__setattr__(self, name, value if isinstance(value, str) else None)

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


def decode_part(text: str, name: str) -> bytes:
    """Decode base64url strictly; raises MalformedPassport for padding, other alphabets, loose bits.

    `name` is the part's name for the message.
    """
    return _decode(text.encode("ascii", errors="replace"), name)


def _decode(part: bytes, name: str) -> bytes:
    rest = len(part) % 4
    try:
        decoded = binascii.a2b_base64(
            part.translate(_URL_ALPHABET) + _PADDING[rest], strict_mode=True
        )
    except (binascii.Error, KeyError):
        decoded = b""
    if not decoded:
        raise MalformedPassport(f"the {name} is not base64url without padding")
    if rest and part[-1] not in _LAST[rest]:
        raise MalformedPassport(f"the {name} has loose bits at its end")
    return decoded


def split_token(token: str) -> TokenOctets:
    """Split a token of at most 16,384 characters into its octets (RFC 7515 section 7.1).

    Raises MalformedPassport; the JSON inside is not looked at.
    """
    if len(token) > MAX_TOKEN:
        raise MalformedPassport(f"longer than {MAX_TOKEN} characters")
    if not token.isascii():
        raise MalformedPassport("not ASCII")
    parts = token.encode("ascii").split(b".", 3)
    if len(parts) != 3:
        raise MalformedPassport("not three parts separated by dots")
    header, payload, signature = parts
    if not header and not payload:
        raise MalformedPassport("the compact form, whose header and payload were left out")
    return TokenOctets(
        header=_known_octets(header)
        if len(header) <= _MAX_KNOWN_HEADER
        else _decode(header, "header"),
        payload=_decode(payload, "payload"),
        signature=_decode(signature, "signature"),
        signing_input=header + b"." + payload,
    )


def read_octets(octets: TokenOctets) -> Passport:
    """Read the JSON of a split token; raises MalformedPassport."""
    short = len(octets.header) <= _MAX_KNOWN_HEADER
    return Passport(
        header=_known_header(octets.header) if short else _object(octets.header, "header"),
        payload=_object(octets.payload, "payload"),
        signing_input=octets.signing_input,
        signature=octets.signature,
    )


@lru_cache(maxsize=_MAX_KNOWN_HEADERS)
def _known_octets(header: bytes) -> bytes:
    return _decode(header, "header")


@lru_cache(maxsize=_MAX_KNOWN_HEADERS)
def _known_header(header: bytes) -> Mapping[str, object]:
    # One object for all PASSporTs of a signer: a Mapping, which nobody changes.
    return _object(header, "header")


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
