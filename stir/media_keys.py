"""The mky claim: media key fingerprints bound into a PASSporT (RFC 8225 section 5.2.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

Fingerprint = tuple[str, str]
_HEX: Final = re.compile(r"(?:[0-9A-F]{2}){16,64}")
_COLONS: Final = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})*")
MAX_FINGERPRINTS: Final = 32


def canonical_fingerprint(algorithm: str, value: str) -> Fingerprint | None:
    """Return hash name in lower case and digest in upper-case hex without colons, or None.

    `value` is written as in SDP (RFC 8122, with colons) or as in mky (without).
    """
    if ":" in value and _COLONS.fullmatch(value) is None:
        return None
    digest = value.replace(":", "").upper()
    return (algorithm.lower(), digest) if _HEX.fullmatch(digest) else None


def media_keys_claim(fingerprints: Iterable[Fingerprint]) -> list[dict[str, str]]:
    """Build the mky array: one object a fingerprint, ordered by `alg`, then `dig`.

    Raises ValueError for a fingerprint that is not hex octets of 16 to 64 bytes.
    """
    wanted = set()
    for algorithm, value in fingerprints:
        fingerprint = canonical_fingerprint(algorithm, value)
        if fingerprint is None:
            raise ValueError(f"a {algorithm} fingerprint that is not hexadecimal octets")
        wanted.add(fingerprint)
    return [{"alg": algorithm, "dig": digest} for algorithm, digest in sorted(wanted)]


def read_media_keys(claim: object) -> frozenset[Fingerprint] | None:
    """Read a received mky claim: at most 32 objects of `alg` and `dig`; None if malformed."""
    if not isinstance(claim, list) or not 0 < len(claim) <= MAX_FINGERPRINTS:
        return None
    found = set()
    for item in claim:
        algorithm = item.get("alg") if isinstance(item, dict) else None
        digest = item.get("dig") if isinstance(item, dict) else None
        if not isinstance(algorithm, str) or not isinstance(digest, str):
            return None
        fingerprint = canonical_fingerprint(algorithm, digest)
        if fingerprint is None:
            return None
        found.add(fingerprint)
    return frozenset(found)
