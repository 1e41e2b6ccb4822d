"""Digests of content a PASSporT binds: the values of rcdi (RFC 9795 section 6) and msgi (RFC 9475).

Written as the hash's name, a hyphen and the digest in base64, like those of Subresource Integrity.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from typing import Final, Literal

HashName = Literal["sha256", "sha384", "sha512"]
_WRITTEN: Final = re.compile(r"(sha256|sha384|sha512)-([A-Za-z0-9+/]{43,86})(={0,2})")
_SIZES: Final = {"sha256": 32, "sha384": 48, "sha512": 64}


def digest_of(content: bytes, algorithm: HashName = "sha256") -> str:
    """Return the digest of some octets, such as ``sha256-ZmFr...``, its base64 padded."""
    return f"{algorithm}-{b64encode(hashlib.new(algorithm, content).digest()).decode('ascii')}"


def read_digest(written: object) -> tuple[str, bytes] | None:
    """Return hash name and octets of a written digest, None for anything else.

    The padding may be there or left out; the number of octets has to be the hash's.
    """
    found = _WRITTEN.fullmatch(written) if isinstance(written, str) else None
    if found is None:
        return None
    algorithm, text, padding = found.groups()
    if padding and (len(text) + len(padding)) % 4:
        return None
    try:
        octets = b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return None
    return (algorithm, octets) if len(octets) == _SIZES[algorithm] else None


def is_digest_of(written: object, content: bytes) -> bool:
    """Whether a written digest is well formed and the one of these octets."""
    read = read_digest(written)
    if read is None:
        return False
    algorithm, octets = read
    return hmac.compare_digest(octets, hashlib.new(algorithm, content).digest())
