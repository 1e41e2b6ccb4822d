"""Certificate fingerprints as `a=fingerprint` writes them (RFC 8122); the handshake compares."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

# RFC 8122 section 5: MD2, MD5 and SHA-1 must not be relied on. Name -> octets.
STRONG_ALGORITHMS: Final[dict[str, int]] = {"sha-256": 32, "sha-384": 48, "sha-512": 64}

_FINGERPRINT: Final = re.compile(r"([!-~]{1,32})[ \t]+([0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){0,127})")


class Fingerprint(NamedTuple):
    """A certificate's hash: `algorithm` lower-case (`sha-256`), `value` upper-case hex, colons."""

    algorithm: str
    value: str

    @property
    def strong(self) -> bool:
        """Whether the algorithm may be relied on and the value has its length."""
        return STRONG_ALGORITHMS.get(self.algorithm, 0) * 3 - 1 == len(self.value)

    def __str__(self) -> str:
        return f"{self.algorithm} {self.value}"


def parse_fingerprint(value: str) -> Fingerprint | None:
    """Parse the value of `a=fingerprint`; None if it is not one (RFC 8122 section 5)."""
    match = _FINGERPRINT.fullmatch(value)
    return None if match is None else Fingerprint(match[1].lower(), match[2].upper())
