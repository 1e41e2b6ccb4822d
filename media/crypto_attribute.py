"""`a=crypto` of security descriptions (RFC 4568), value only: no cipher is touched here."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Final

# Suite -> octets of master key plus master salt (RFC 4568 section 6.2, RFC 7714 section 14.2).
SUITES: Final[dict[str, int]] = {
    "AEAD_AES_256_GCM": 32 + 12,
    "AEAD_AES_128_GCM": 16 + 12,
    "AES_CM_128_HMAC_SHA1_80": 16 + 14,
    "AES_CM_128_HMAC_SHA1_32": 16 + 14,
}

# RFC 4568 section 9.1: a=crypto:<tag> <crypto-suite> <key-params> [<session-params>]
_CRYPTO: Final = re.compile(
    r"([0-9]{1,9})[ \t]+([A-Za-z0-9_]{1,64})[ \t]+([A-Za-z0-9_-]{1,32}:\S{1,1024})((?:[ \t]+\S+)*)"
)
# One inline key, perhaps with a lifetime; a master key identifier or a second key is not taken.
_INLINE: Final = re.compile(
    r"inline:([A-Za-z0-9+/]{1,256}={0,2})(?:\|(?:2\^[0-9]{1,2}|[0-9]{1,20}))?"
)


@dataclass(frozen=True, slots=True)
class CryptoAttribute:
    """One `a=crypto` line; `key_params` (`inline:...`) is a secret and not shown by repr()."""

    tag: int
    suite: str
    key_params: str = field(repr=False)
    session_params: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether it may protect a stream of ours: known suite, one key of right length.

        UNENCRYPTED_SRTP, UNENCRYPTED_SRTCP and UNAUTHENTICATED_SRTP turn protection off, and
        an unknown session parameter makes the line invalid (RFC 4568 section 6.3.8); WSH is
        only a hint.
        """
        size = SUITES.get(self.suite.upper())
        match = _INLINE.fullmatch(self.key_params)
        if size is None or match is None:
            return False
        try:
            key = base64.b64decode(match[1], validate=True)
        except (binascii.Error, ValueError):
            return False
        return len(key) == size and all(word.startswith("WSH=") for word in self.session_params)

    def __str__(self) -> str:
        return " ".join((str(self.tag), self.suite, self.key_params, *self.session_params))


def parse_crypto(value: str) -> CryptoAttribute | None:
    """Parse the value of `a=crypto`; None if it is not one (RFC 4568 section 9.1)."""
    match = _CRYPTO.fullmatch(value)
    if match is None:
        return None
    return CryptoAttribute(int(match[1]), match[2], match[3], tuple(match[4].split()))
