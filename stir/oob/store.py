"""What a call placement service holds: little, for seconds, and from nobody too much.

RFC 8816 section 6.5 and its security considerations: somebody may store junk for a number to hide
what belongs to a call, or to fill the memory. So a number has a bound, a publisher has one at each
number and one in all, and where a number is full it is the publisher with most entries there who
loses the oldest: a flood displaces itself.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

_INDEX_KEY_OCTETS: Final = 32


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """Bounds of the store: seconds an entry lives, entries at a place, of a publisher, in all.

    A *place* is what one retrieval gives: a called number, or a pair of numbers. `octets` bounds
    the memory of all entries together.
    """

    lifetime: float = 15.0
    per_place: int = 32
    per_publisher_and_place: int = 4
    per_publisher: int = 10_000
    total: int = 100_000
    octets: int = 64 * 1024 * 1024


class StoreFull(Exception):
    """There is no room: for anybody, or for this publisher; `publisher` says which."""

    def __init__(self, *, publisher: bool) -> None:
        super().__init__("the publisher's share is used up" if publisher else "the store is full")
        self.publisher = publisher


@dataclass(frozen=True, slots=True)
class _Entry:
    place: bytes
    publisher: bytes
    expires: float
    content: tuple[str, ...] = field(repr=False)

    @property
    def size(self) -> int:
        return sum(map(len, self.content))


class PlacementStore:
    """Entries by place; places are keyed hashes, so that neither dump nor log shows a number.

    random gives octets of chance for the key of that hash. Times are epoch seconds.
    """

    def __init__(self, limits: StoreLimits, random: Callable[[int], bytes]) -> None:
        self._limits = limits
        self._key = random(_INDEX_KEY_OCTETS)
        # In order of their end, since all live equally long.
        self._entries: OrderedDict[int, _Entry] = OrderedDict()
        self._places: dict[bytes, list[int]] = {}
        self._publishers: Counter[bytes] = Counter()
        self._next = 0
        self._octets = 0
        self.displaced = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def octets(self) -> int:
        """Characters held in all."""
        return self._octets

    def add(
        self, dest: str, orig: str | None, publisher: bytes, content: tuple[str, ...], now: float
    ) -> None:
        """Hold what a publisher stores for a called number (and a calling one).

        The same content again renews nothing. Raises StoreFull.
        """
        self._forget(now)
        limits, place = self._limits, self._place(dest, orig)
        held = self._places.get(place, [])
        if any(self._entries[number].content == content for number in held):
            return
        own = [number for number in held if self._entries[number].publisher == publisher]
        if len(own) >= limits.per_publisher_and_place:
            self._displace(own[0])
        elif len(held) >= limits.per_place:
            self._displace(self._of_the_greediest(held))
        if self._publishers[publisher] >= limits.per_publisher:
            raise StoreFull(publisher=True)
        entry = _Entry(place, publisher, now + limits.lifetime, content)
        if len(self._entries) >= limits.total or self._octets + entry.size > limits.octets:
            raise StoreFull(publisher=False)
        self._entries[self._next] = entry
        self._places.setdefault(place, []).append(self._next)
        self._publishers[publisher] += 1
        self._octets += entry.size
        self._next += 1

    def find(self, dest: str, orig: str | None, now: float) -> tuple[tuple[str, ...], ...]:
        """Return what lies there, the youngest first; nothing for a number nobody stored for."""
        self._forget(now)
        held = self._places.get(self._place(dest, orig), [])
        return tuple(self._entries[number].content for number in reversed(held))

    def _place(self, dest: str, orig: str | None) -> bytes:
        text = f"{dest}/{orig or ''}".encode()
        return hmac.digest(self._key, text, hashlib.sha256)[:16]

    def _of_the_greediest(self, held: list[int]) -> int:
        counts = Counter(self._entries[number].publisher for number in held)
        most = max(counts.values())
        return next(n for n in held if counts[self._entries[n].publisher] == most)

    def _displace(self, number: int) -> None:
        self.displaced += 1
        self._remove(number)

    def _forget(self, now: float) -> None:
        while self._entries:
            number, entry = next(iter(self._entries.items()))
            if entry.expires > now:
                return
            self._remove(number)

    def _remove(self, number: int) -> None:
        entry = self._entries.pop(number)
        self._octets -= entry.size
        held = self._places[entry.place]
        held.remove(number)
        if not held:
            del self._places[entry.place]
        self._publishers[entry.publisher] -= 1
        if not self._publishers[entry.publisher]:
            del self._publishers[entry.publisher]
