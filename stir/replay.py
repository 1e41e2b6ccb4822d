"""A bounded memory of PASSporTs that were accepted, to refuse them a second time."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

DEFAULT_ENTRIES: Final = 200_000


class ReplayCache:
    """Remembers accepted PASSporTs by digest of header and payload until they are stale anyway.

    The signature is no part of the key, since an ECDSA signature can be changed into another valid
    one (RFC 8224 section 12.1). Full, it forgets the oldest entries first: at 200,000 entries and
    60 s freshness that takes more than 1,600 accepted calls a second.
    """

    def __init__(self, max_entries: int = DEFAULT_ENTRIES) -> None:
        """`max_entries` bounds the memory, at about 250 bytes an entry."""
        self._max = max_entries
        self._seen: OrderedDict[bytes, tuple[str | None, float]] = OrderedDict()
        # When the first entry becomes stale, as last seen: before that there is nothing to forget.
        self._oldest = 0.0
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._seen)

    def admit(self, digest: bytes, call_id: str | None, now: float, keep: float) -> bool:
        """Record an accepted PASSporT for `keep` seconds; False if another call used it before.

        The same Call-ID may show it again: a fork, a failover or a challenged request repeats it.
        """
        if now >= self._oldest:
            self._forget(now)
        known = self._seen.get(digest)
        if known is not None and known[1] > now:
            return call_id is not None and known[0] == call_id
        if known is None and len(self._seen) >= self._max:
            self._seen.popitem(last=False)
            self.evicted += 1
        if known is not None:
            self._seen.move_to_end(digest)
        self._seen[digest] = (call_id, now + keep)
        return True

    def _forget(self, now: float) -> None:
        while self._seen:
            digest, (_, expires) = next(iter(self._seen.items()))
            if expires > now:
                self._oldest = expires
                return
            del self._seen[digest]
