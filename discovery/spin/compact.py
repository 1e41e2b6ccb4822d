"""A signed token read without believing it: its parts, before anybody checked the signature."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from typing import Final

from discovery.spin.reason import Refusal, Refused
from discovery.spin.strict_json import MalformedJson, parse_json_object

_COMPACT: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
MAX_TOKEN: Final = 4096
# With a chain of certificates inside.
MAX_X5C_TOKEN: Final = 16_384
_MAX_CERTIFICATES: Final = 4
_X5C_MEMBERS: Final = frozenset({"alg", "ppt", "typ", "x5c"})
_HEADER_MEMBERS: Final = frozenset({"alg", "ppt", "typ", "x5u"})


@dataclass(frozen=True, slots=True)
class UnverifiedPassport:
    """A compact PASSporT (RFC 8225) as text, with its claims; nothing in it is proven yet.

    x5c: the signer's certificates, base64 of DER, where it brought them along instead of x5u.
    """

    token: str = field(repr=False)
    x5u: str
    claims: dict[str, object] = field(repr=False)
    x5c: tuple[str, ...] = field(default=(), repr=False)

    def digest(self) -> str:
        """Return the base64url SHA-256 of the whole token, by which an answer is bound to it."""
        return token_digest(self.token)


def token_digest(token: str) -> str:
    """Return the base64url SHA-256, without padding, of a token's text."""
    return base64url(hashlib.sha256(token.encode("ascii")).digest())


def base64url(octets: bytes) -> str:
    """Return base64url without padding (RFC 7515 2)."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")


@dataclass(frozen=True, slots=True)
class UnverifiedJws:
    """Any compact JWS (RFC 7515 7.1) over a JSON object, taken apart."""

    header: dict[str, object]
    claims: dict[str, object] = field(repr=False)


def read_jws(token: str, *, max_length: int = MAX_TOKEN) -> UnverifiedJws:
    """Take any compact JWS apart. Raises Refused with OVERSIZED or MALFORMED."""
    if len(token) > max_length:
        raise Refused(Refusal.OVERSIZED, f"token longer than {max_length} characters")
    parts = _COMPACT.fullmatch(token)
    if parts is None:
        raise Refused(Refusal.MALFORMED, "not a compact token")
    try:
        header = parse_json_object(_from_base64url(parts[1]))
        claims = parse_json_object(_from_base64url(parts[2]))
        _from_base64url(parts[3])
    except MalformedJson as error:
        raise Refused(Refusal.MALFORMED, f"token: {error}") from None
    except ValueError:
        raise Refused(Refusal.MALFORMED, "token: not base64url") from None
    return UnverifiedJws(header, claims)


def read_passport(
    token: str, ppt: str, *, max_length: int = MAX_TOKEN, x5c: bool = False
) -> UnverifiedPassport:
    """Take a token apart: exactly the header members alg, ppt, typ and x5u, or x5c if that may be.

    Raises Refused with OVERSIZED, MALFORMED or WRONG_TYPE. Other keys inside the token (jwk, kid)
    are refused with the header member itself, so that nothing can ever use them.
    """
    jws = read_jws(token, max_length=max_length)
    header, claims = jws.header, jws.claims
    carried = x5c and set(header) == _X5C_MEMBERS
    if not carried and set(header) != _HEADER_MEMBERS:
        raise Refused(Refusal.WRONG_TYPE, "header members are not alg, ppt, typ, x5u")
    if (header["alg"], header["ppt"], header["typ"]) != ("ES256", ppt, "passport"):
        raise Refused(Refusal.WRONG_TYPE, f"not an ES256 passport of type {ppt}")
    if carried:
        return UnverifiedPassport(token, "", claims, _certificates(header["x5c"]))
    x5u = header["x5u"]
    if not isinstance(x5u, str) or not x5u.isascii():
        raise Refused(Refusal.MALFORMED, "x5u is not a URL")
    return UnverifiedPassport(token, x5u, claims)


def _certificates(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= _MAX_CERTIFICATES:
        raise Refused(Refusal.MALFORMED, f"x5c is not 1 to {_MAX_CERTIFICATES} certificates")
    if not all(isinstance(item, str) and item.isascii() for item in value):
        raise Refused(Refusal.MALFORMED, "x5c holds what is no base64")
    return tuple(value)


def _from_base64url(text: str) -> bytes:
    """Decode base64url, refusing bits that a canonical encoder leaves zero."""
    try:
        octets = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise ValueError("not base64url") from None
    if base64url(octets) != text:
        raise ValueError("not canonical base64url")
    return octets
