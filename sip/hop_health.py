"""Which hops failed a moment ago, so that the next request does not wait for them first.

A hop that failed is not given up, only tried after the others (RFC 3263 4.3 leaves the order of
later requests to us); where it is the only one it is tried as ever.
"""

from collections.abc import Iterable, Sequence

from sip.flow import Address, Hop, Transport

Place = tuple[Transport, Address, str | None]


class HopHealth:
    """Remembers failures for `seconds`, of at most `limit` hops."""

    def __init__(self, *, seconds: float = 30.0, limit: int = 4_096) -> None:
        self._seconds = seconds
        self._limit = limit
        self._bad_until: dict[Place, float] = {}

    def failed(self, hop: Hop, now: float, *, seconds: float | None = None) -> None:
        """A hop could not be reached, stayed silent, or asked to be left alone for a while."""
        if hop.flow is not None:
            return  # a flow that is gone says nothing about its address
        place = _place(hop)
        self._bad_until.pop(place, None)
        if len(self._bad_until) >= self._limit:
            del self._bad_until[next(iter(self._bad_until))]
        self._bad_until[place] = now + (self._seconds if seconds is None else seconds)

    def recovered(self, hop: Hop) -> None:
        """A hop answered."""
        if self._bad_until:
            self._bad_until.pop(_place(hop), None)

    def is_bad(self, hop: Hop, now: float) -> bool:
        """Tell whether a hop failed a moment ago."""
        return bool(self._bad_until) and self._bad_until.get(_place(hop), 0.0) > now

    def ordered(self, hops: Iterable[Hop], now: float) -> Sequence[Hop]:
        """Put the hops that failed a moment ago last."""
        return sorted(hops, key=lambda hop: self.is_bad(hop, now))


def _place(hop: Hop) -> Place:
    return hop.transport, hop.address, hop.tls_name
