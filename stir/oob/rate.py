"""Token buckets by key, of bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_second` on average, `burst` at once."""

    per_second: float
    burst: float


class TokenBuckets:
    """One bucket a key. Full, the key that has been quiet longest is forgotten.

    A forgotten key begins again with a full bucket, which one that was quiet that long has anyway,
    unless somebody makes keys up: so keys have to cost something (an address, a certificate).
    """

    def __init__(self, rate: Rate, *, max_keys: int = 10_000) -> None:
        self._rate = rate
        self._max = max_keys
        self._levels: OrderedDict[bytes | str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._levels)

    def take(self, key: bytes | str, now: float) -> bool:
        """Take one token of `key`; False where none is left. `now` may be any steady clock's."""
        level, at = self._levels.get(key, (self._rate.burst, now))
        level = min(self._rate.burst, level + max(0.0, now - at) * self._rate.per_second)
        granted = level >= 1.0
        self._levels[key] = (level - 1.0 if granted else level, now)
        self._levels.move_to_end(key)
        if len(self._levels) > self._max:
            self._levels.popitem(last=False)
        return granted
