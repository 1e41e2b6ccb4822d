"""Messages that look alike from outside: padded to size classes, sent at even times.

Encryption hides content, not length and time. A directory answers for known and unknown numbers
by the same code, pads what it says to a class, and lets it go on the next beat.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from discovery.privacy.reason import Fault, PrivacyError


@dataclass(frozen=True, slots=True)
class SizeClasses:
    """The sizes in octets that messages are padded to, ascending."""

    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.sizes or list(self.sizes) != sorted(set(self.sizes)) or self.sizes[0] < 1:
            raise ValueError("size classes have to be positive and ascending")

    def size_for(self, length: int) -> int:
        """Return the smallest class that holds so many octets. Raises PrivacyError(OVERSIZED)."""
        for size in self.sizes:
            if length <= size:
                return size
        raise PrivacyError(Fault.OVERSIZED, f"message of more than {self.sizes[-1]} octets")


# A lookup with its token fits the first, a registration the second.
REQUEST_SIZES: Final = SizeClasses((1_024, 4_096, 16_384))
# Encapsulated they stay below the 64 kB that a guarded client takes.
RESPONSE_SIZES: Final = SizeClasses((4_096, 16_384, 61_440))


@dataclass(frozen=True, slots=True)
class Beat:
    """Lets answers go at whole multiples of `interval` seconds after the question came.

    What differs between two answers by less than that cannot be seen from the time they take.
    """

    interval: float

    def release(self, asked: float, now: float) -> float:
        """Return when an answer that is ready `now` to a question of `asked` may go."""
        if self.interval <= 0:
            return now
        return asked + max(1, math.ceil((now - asked) / self.interval)) * self.interval
