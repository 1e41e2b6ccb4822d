"""A memory of what was used, so that nothing is used twice; bounded, forgotten by the hour."""

from __future__ import annotations

import math
from typing import Final

from discovery.privacy.reason import Fault, PrivacyError

_OCTETS: Final = 16
_NEVER: Final = 1e12


class Once:
    """Remembers values until they expire; full, it refuses rather than forgets.

    Forgetting the oldest would let a flood of fresh values open the door for an old one. Values
    that expire within the same `slot` seconds are forgotten together, so nothing is ever searched
    for what has expired. max_entries bounds them all; one takes about 90 octets of memory.
    Sixteen octets of each value are kept, which therefore have to be of a secret or a digest.
    """

    def __init__(self, *, slot: float, max_entries: int) -> None:
        self._slot = slot
        self._max_entries = max_entries
        self._slots: dict[int, set[bytes]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

    def take(self, value: bytes, until: float, now: float) -> None:
        """Use a value that is good until the given time (epoch seconds) and remember it.

        Raises PrivacyError: REPLAYED if it was used before, OVERLOADED if the memory is full.
        """
        self._forget(now)
        key = value[:_OCTETS]
        if any(key in held for held in self._slots.values()):
            raise PrivacyError(Fault.REPLAYED)
        if len(self) >= self._max_entries:
            raise PrivacyError(Fault.OVERLOADED, f"{self._max_entries} uses are remembered")
        self._slots.setdefault(self._slot_of(until), set()).add(key)

    def _forget(self, now: float) -> None:
        current = self._slot_of(now)
        for slot in [held for held in self._slots if held < current]:
            del self._slots[slot]

    def _slot_of(self, moment: float) -> int:
        return math.floor(min(moment, _NEVER) / self._slot)
