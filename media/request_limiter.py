"""How many unsolicited requests one socket answers: a flood must not be mirrored."""

from __future__ import annotations

from collections import OrderedDict


class TokenBucket:
    """At most `rate` in any second: half of it may come at once, half as the second goes by."""

    __slots__ = ("_at", "_half", "_tokens")

    def __init__(self, rate: int, now: float) -> None:
        self._half = rate / 2
        self._tokens = self._half
        self._at = now

    def take(self, now: float) -> bool:
        """Whether one more may pass now; it is counted if so."""
        refill = max(now - self._at, 0.0) * self._half
        self._tokens = min(self._half, self._tokens + refill)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class RequestLimiter:
    """Counts answers for each source host, and refusals of all sources together.

    At most `max_sources` hosts are remembered; the longest unseen is forgotten first.
    """

    def __init__(self, *, per_source: int, refusals: int, max_sources: int) -> None:
        self._per_source = per_source
        self._refusals_per_second = refusals
        self._max_sources = max_sources
        self._sources: OrderedDict[str, TokenBucket] = OrderedDict()
        self._refusals: TokenBucket | None = None

    def answers(self, host: str, now: float) -> bool:
        """Count a request of the host; False once it has had its share."""
        bucket = self._sources.get(host)
        if bucket is None:
            bucket = self._sources[host] = TokenBucket(self._per_source, now)
            if len(self._sources) > self._max_sources:
                self._sources.popitem(last=False)
        else:
            self._sources.move_to_end(host)
        return bucket.take(now)

    def refuses(self, now: float) -> bool:
        """Count a refusal; False once the share of all sources together is used up."""
        if self._refusals is None:
            self._refusals = TokenBucket(self._refusals_per_second, now)
        return self._refusals.take(now)

    def __len__(self) -> int:
        return len(self._sources)
