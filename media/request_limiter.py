"""How many unsolicited requests one socket answers: a flood must not be mirrored."""

from __future__ import annotations

from collections import OrderedDict


class RequestLimiter:
    """Counts answers in whole seconds, for each source host and for refusals together.

    At most `max_sources` hosts are remembered; the longest unseen is forgotten first.
    """

    def __init__(self, *, per_source: int, refusals: int, max_sources: int) -> None:
        self._per_source = per_source
        self._refusals = refusals
        self._max_sources = max_sources
        self._counts: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._refused: tuple[int, int] = (0, 0)

    def answers(self, host: str, now: float) -> bool:
        """Count a request of the host; False once it has had its share of this second."""
        second = int(now)
        since, count = self._counts.pop(host, (second, 0))
        count = count + 1 if since == second else 1
        self._counts[host] = (second, count)
        if len(self._counts) > self._max_sources:
            self._counts.popitem(last=False)
        return count <= self._per_source

    def refuses(self, now: float) -> bool:
        """Count a refusal; False once this second's share of all sources is used up."""
        second = int(now)
        since, count = self._refused
        count = count + 1 if since == second else 1
        self._refused = (second, count)
        return count <= self._refusals

    def __len__(self) -> int:
        return len(self._counts)
