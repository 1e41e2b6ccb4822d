"""PASSporT tokens: the JWS compact serialisation of RFC 8225, split, parsed and encoded."""

from __future__ import annotations

import binascii
import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from stir.shaken_payload import read_shaken_payload
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


class TokenOctets(NamedTuple):
    """The three decoded parts of a JWS compact serialisation, before any meaning is read.

    `digest` is the SHA-256 of `signing_input`, which is header and payload as they were sent.
    """

    header: bytes
    payload: bytes
    signature: bytes
    signing_input: bytes
    digest: bytes


class Passport(NamedTuple):
    """A parsed PASSporT: header and payload as JSON objects, and the octets that were signed.

    `digest`, the SHA-256 of the latter, is the replay key, since ECDSA signatures are malleable.
    `ppt` is the extension type, None for a plain PASSporT (RFC 8225 section 8.1), `x5u` the URL of
    the credential (section 4.3). A named tuple, as one is made for every call.
    """

    header: Mapping[str, object]
    payload: Mapping[str, object]
    signing_input: bytes
    signature: bytes
    digest: bytes
    ppt: str | None = None
    x5u: str | None = None

    @property
    def iat(self) -> int | None:
        """When it was signed, epoch seconds (RFC 8225 section 5.1.1)."""
        value = self.payload.get("iat")
        return value if type(value) is int else None

    @property
    def attest(self) -> str | None:
        """The SHAKEN attestation, `A`, `B` or `C` (RFC 8588 section 4)."""
        value = self.payload.get("attest")
        return value if isinstance(value, str) else None


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
    octets = header + b"." + payload
    short = len(header) <= _MAX_KNOWN_HEADER
    return TokenOctets(
        _known_octets(header) if short else _decode(header, "header"),
        _decode(payload, "payload"),
        _decode(signature, "signature"),
        octets,
        hashlib.sha256(octets).digest(),
    )


def read_octets(octets: TokenOctets) -> Passport:
    """Read the JSON of a split token; raises MalformedPassport."""
    short = len(octets.header) <= _MAX_KNOWN_HEADER
    header = _known_header(octets.header) if short else _object(octets.header, "header")
    payload = read_shaken_payload(octets.payload) or _object(octets.payload, "payload")
    ppt, x5u = header.get("ppt"), header.get("x5u")
    return Passport(
        header,
        payload,
        octets.signing_input,
        octets.signature,
        octets.digest,
        ppt if isinstance(ppt, str) else None,
        x5u if isinstance(x5u, str) else None,
    )


# Two caches, so that what is decoded can be shown although it is no JSON.
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
