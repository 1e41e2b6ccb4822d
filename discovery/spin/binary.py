"""Carriage B: an invitation as 8-bit data for an application port, for phones known to take it.

No fallback is shown on others, so it goes to networks the operator names and to nobody else.
"""

from __future__ import annotations

from typing import Final

from discovery.spin.carriage import MARK
from discovery.spin.segments import BinaryPart, split_binary

# Ports 16000 to 16999 are for applications to use (TS 23.040 9.2.3.24.4).
PORT: Final = 16_060
# What arrives is read on as text.
MARKED: Final = MARK
MAX_PARTS: Final = 10


def to_binary_parts(token: str, reference: int) -> tuple[BinaryPart, ...]:
    """Return a token as short messages of 128 octets; raises ValueError above MAX_PARTS."""
    return split_binary(token.encode("ascii"), PORT, reference, max_parts=MAX_PARTS)
