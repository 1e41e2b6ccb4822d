"""Authority tokens (RFC 9447 section 3, RFC 9448 section 5): what to ask for, what was given.

The tokens come from a token authority, in SHAKEN the STI-PA (ATIS-1000080), and say to the
certification authority: the holder of this account key may have this TNAuthList.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Final, Literal

from stir.acme.account_key import AccountKey
from stir.certificates.tn_auth_list import (
    MalformedTnAuthList,
    TnAuthList,
    build_tn_auth_list,
    parse_tn_auth_list,
)
from stir.passport import MalformedPassport, encode_part, parse_passport

IDENTIFIER_TYPE: Final = "TNAuthList"
MAX_TOKEN: Final = 16_384
_FINGERPRINT: Final = re.compile(r"SHA-?256[ :]?((?:[0-9A-Fa-f]{2}:?){32})")
_LEAST_LIFETIME: Final = 5.0


class UnfitToken(ValueError):
    """An authority token that the challenge cannot be answered with; the message says why."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where authorities differ from RFC 9448, whose words are the defaults.

    encoding: of the TNAuthList in identifier and token; ATIS-1000080 authorities want padded
    base64. response_member: of the answer to the challenge; before RFC 9447 it was ``atc``.
    fingerprint_of: what the token binds to, the JWK thumbprint or the SubjectPublicKeyInfo.
    """

    encoding: Literal["base64url", "base64"] = "base64url"
    response_member: Literal["tkauth", "atc"] = "tkauth"
    fingerprint_of: Literal["thumbprint", "public-key"] = "thumbprint"

    def identifier_value(self, tn_auth_list: TnAuthList) -> str:
        """Return the value of the TNAuthList identifier (RFC 9448 section 3)."""
        der = build_tn_auth_list(tn_auth_list.entries)
        return encode_part(der) if self.encoding == "base64url" else b64encode(der).decode("ascii")

    def fingerprint(self, key: AccountKey) -> str:
        """Return the key as ``SHA256 AB:CD...`` (RFC 9448 section 5.4)."""
        by_jwk = self.fingerprint_of == "thumbprint"
        digest = key.thumbprint if by_jwk else key.public_key_digest
        return f"SHA256 {digest.hex(':').upper()}"


RFC_9448: Final = Dialect()


@dataclass(frozen=True, slots=True)
class AuthorityTokenRequest:
    """What a token has to say: for whom (`fingerprint`) and for what (`value` as in the order)."""

    value: str
    fingerprint: str

    def claim(self) -> dict[str, object]:
        """Return the ``atc`` claim that is asked for (RFC 9448 section 5.4)."""
        return {
            "tktype": IDENTIFIER_TYPE,
            "tkvalue": self.value,
            "ca": False,
            "fingerprint": self.fingerprint,
        }


def check_token(token: str, request: AuthorityTokenRequest, now: float) -> None:
    """Raise UnfitToken where the authority could not but refuse a token, before it is used up.

    The signature is for the certification authority to check: it knows the token authorities.
    `now` in epoch seconds. The token never stands in the message.
    """
    try:
        payload = parse_passport(token).payload
    except MalformedPassport as error:
        raise UnfitToken(f"it is not a JSON web token ({error})") from None
    claim = payload.get("atc")
    if not isinstance(claim, dict):
        raise UnfitToken("it has no 'atc' claim (RFC 9447 section 3.1)")
    expires = payload.get("exp")
    if not isinstance(expires, int) or isinstance(expires, bool):
        raise UnfitToken("it has no 'exp' claim (RFC 9448 section 5.1)")
    if expires < now + _LEAST_LIFETIME:
        raise UnfitToken("it has expired: a new one is needed")
    kind = claim.get("tktype")
    if not isinstance(kind, str) or kind.lower() != IDENTIFIER_TYPE.lower():
        raise UnfitToken("it is not for a TNAuthList ('tktype')")
    if claim.get("ca") not in (None, False):
        raise UnfitToken("it is for a certification authority ('ca' is true)")
    if same_list(claim.get("tkvalue"), request.value) is False:
        raise UnfitToken("it is for another TNAuthList ('tkvalue') than the one ordered")
    if _digest(claim.get("fingerprint")) != _digest(request.fingerprint):
        raise UnfitToken(
            f"it is for another account key: 'fingerprint' is not {request.fingerprint}"
        )


def same_list(value: object, other: str) -> bool:
    """Whether two encodings, padded or not, base64 or base64url, are of one TNAuthList."""
    read, expected = read_identifier(value), read_identifier(other)
    return read is not None and read == expected


def read_identifier(value: object) -> frozenset[object] | None:
    """Return the entries an identifier's value stands for, whatever their order, or None."""
    if not isinstance(value, str) or not value.isascii() or len(value) > MAX_TOKEN:
        return None
    text = value.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        der = b64decode(text + "=" * (-len(text) % 4), validate=True)
        return frozenset(parse_tn_auth_list(der).entries)
    except (binascii.Error, ValueError, MalformedTnAuthList):
        return None


def _digest(value: object) -> bytes | None:
    """Read a fingerprint in the spellings that are about: with or without colons."""
    match = _FINGERPRINT.fullmatch(value) if isinstance(value, str) else None
    return bytes.fromhex(match[1].replace(":", "")) if match else None
