"""The issuer directory: where to ask for tokens and with which keys (RFC 9578 section 4)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from discovery.privacy.reason import Fault, PrivacyError
from discovery.privacy.token import BLIND_RSA
from discovery.privacy.token_key import TokenKey, parse_token_key
from discovery.spin.strict_json import MalformedJson, parse_json_object

MAX_DIRECTORY: Final = 65_536
_MAX_KEYS: Final = 64
_MAX_URI: Final = 2_048


@dataclass(frozen=True, slots=True)
class IssuerDirectory:
    """Issuer Request URL, absolute or relative, and keys of type 2 with their start, in order."""

    request_uri: str
    keys: tuple[tuple[TokenKey, float], ...]

    def encode(self) -> bytes:
        """Return `application/private-token-issuer-directory`."""
        keys = [
            {
                "token-type": BLIND_RSA,
                "token-key": base64.urlsafe_b64encode(key.spki).decode(),
                "not-before": int(not_before),
            }
            for key, not_before in self.keys
        ]
        return json.dumps({"issuer-request-uri": self.request_uri, "token-keys": keys}).encode()

    def key(self, now: float) -> TokenKey:
        """Return the key to ask with, the first in its time. Raises PrivacyError(KEY_UNKNOWN)."""
        for key, not_before in self.keys:
            if not_before <= now:
                return key
        raise PrivacyError(Fault.KEY_UNKNOWN, "no key of type 2 to ask with now")


def parse_issuer_directory(data: bytes) -> IssuerDirectory:
    """Read a directory, which must have come authenticated; keys of other types are left out.

    Raises PrivacyError: OVERSIZED, MALFORMED.
    """
    if len(data) > MAX_DIRECTORY:
        raise PrivacyError(Fault.OVERSIZED, f"directory of more than {MAX_DIRECTORY} octets")
    try:
        members = parse_json_object(data)
    except MalformedJson as error:
        raise PrivacyError(Fault.MALFORMED, str(error)) from None
    uri, keys = members.get("issuer-request-uri"), members.get("token-keys")
    if not isinstance(uri, str) or not 0 < len(uri) <= _MAX_URI or not isinstance(keys, list):
        raise PrivacyError(Fault.MALFORMED, "issuer-request-uri or token-keys")
    if len(keys) > _MAX_KEYS:
        raise PrivacyError(Fault.OVERSIZED, f"more than {_MAX_KEYS} keys")
    return IssuerDirectory(uri, tuple(_keys(keys)))


def _keys(entries: list[object]) -> Iterable[tuple[TokenKey, float]]:
    for entry in entries:
        if not isinstance(entry, dict):
            raise PrivacyError(Fault.MALFORMED, "token key")
        if entry.get("token-type") != BLIND_RSA:
            continue
        text, start = entry.get("token-key"), entry.get("not-before", 0)
        if (
            not isinstance(text, str)
            or isinstance(start, bool)
            or not isinstance(start, int | float)
        ):
            raise PrivacyError(Fault.MALFORMED, "token key")
        yield parse_token_key(decode_base64url(text)), start


def decode_base64url(text: str) -> bytes:
    """Decode base64url with its padding, in its one right form. Raises PrivacyError(MALFORMED)."""
    try:
        decoded = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise PrivacyError(Fault.MALFORMED, "not base64url") from None
    # Bits after the end, and the other alphabet, would give one token two spellings.
    if base64.urlsafe_b64encode(decoded).decode() != text:
        raise PrivacyError(Fault.MALFORMED, "not base64url")
    return decoded
