"""Rate limits over sliding windows and a replay memory, both of bounded size."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `count` events within any `period` seconds."""

    count: int
    period: float


class SlidingWindow:
    """Counts events by key and tells when one would be too many.

    max_keys bounds the memory. Where it is full, the key that has been quiet longest is
    forgotten, so a flood of new keys costs old ones their history and nothing else. Events of a
    future, which a clock that was set back leaves behind, count no more: they would never pass.
    """

    def __init__(self, limit: RateLimit, *, max_keys: int = 10_000) -> None:
        self._limit = limit
        self._max_keys = max_keys
        self._events: OrderedDict[str, deque[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._events)

    def allows(self, key: str, now: float) -> bool:
        """Tell whether one more event of `key` is within the limit; records nothing."""
        events = self._events.get(key)
        if events is None:
            return self._limit.count > 0
        self._drop_old(events, now)
        return len(events) < self._limit.count

    def record(self, key: str, now: float) -> None:
        """Count one event of `key`."""
        events = self._events.setdefault(key, deque(maxlen=max(self._limit.count, 1)))
        events.append(now)
        self._events.move_to_end(key)
        while len(self._events) > self._max_keys:
            self._events.popitem(last=False)

    def take(self, key: str, now: float) -> bool:
        """Count one event if the limit allows it; tell whether it did."""
        if not self.allows(key, now):
            return False
        self.record(key, now)
        return True

    def forget_old(self, now: float) -> None:
        """Forget the keys of which nothing counts any more."""
        since = now - self._limit.period
        for key in [key for key, events in self._events.items() if events[-1] <= since]:
            del self._events[key]

    def _drop_old(self, events: deque[float], now: float) -> None:
        while events and not now - self._limit.period < events[0] <= now:
            events.popleft()


class ReplayMemory:
    """Remembers what was used until it expires; full, it refuses rather than forgets.

    Forgetting the oldest would let a flood of fresh invitations open the door for an old one.
    """

    def __init__(self, *, max_entries: int = 100_000) -> None:
        self._max_entries = max_entries
        self._until: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._until)

    def seen(self, key: str, now: float) -> bool:
        """Tell whether `key` was used and is still remembered."""
        return self._until.get(key, now) > now

    def remember(self, key: str, until: float, now: float) -> bool:
        """Remember `key` until the given time; False where there is no room left."""
        if len(self._until) >= self._max_entries:
            self._until = {held: end for held, end in self._until.items() if end > now}
            if len(self._until) >= self._max_entries:
                return False
        self._until[key] = until
        return True

    def forget(self, key: str) -> None:
        """Take back what was remembered: it was not used after all."""
        self._until.pop(key, None)
