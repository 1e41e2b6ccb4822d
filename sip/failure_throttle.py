"""Slowing down those who guess passwords: failures counted by source, in a bounded table."""

from collections import OrderedDict


class FailureThrottle:
    """Blocks a source for `block` seconds after `allowed` failures within `window` seconds.

    Counting is per source address, so that one guesser cannot lock a user out. A success forgives
    nothing: one valid account would let its owner guess at all others. At most `limit`
    sources are remembered, the one that failed longest ago is forgotten first.
    """

    def __init__(
        self,
        *,
        allowed: int = 20,
        window: float = 60.0,
        block: float = 60.0,
        limit: int = 65_536,
    ) -> None:
        self._allowed = allowed
        self._window = window
        self._block = block
        self._limit = limit
        # source -> (window began at, failures in it, blocked until)
        self._sources: OrderedDict[str, tuple[float, int, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sources)

    def blocked_for(self, source: str, now: float) -> float:
        """Give the seconds a source is still blocked; 0 where it is not."""
        known = self._sources.get(source)
        return max(0.0, known[2] - now) if known is not None else 0.0

    def failed(self, source: str, now: float) -> None:
        """Count a wrong password or an unknown user."""
        began, failures, until = self._sources.pop(source, (now, 0, 0.0))
        if now - began > self._window:
            began, failures = now, 0
        failures += 1
        if failures >= self._allowed:
            began, failures, until = now, 0, now + self._block
        if len(self._sources) >= self._limit:
            self._sources.popitem(last=False)
        self._sources[source] = (began, failures, until)
