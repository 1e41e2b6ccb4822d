"""Soft state: what was found for a number, kept for a while and never trusted beyond that."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

from discovery.model import Assurance, FoundUri, Service


@dataclass(frozen=True, slots=True)
class _Held:
    uris: tuple[FoundUri, ...]
    since: float

    def alive(self, now: float) -> tuple[FoundUri, ...]:
        """What is left; nothing where the clock was set back, since nobody knows for how long."""
        if now < self.since:
            return ()
        return tuple(uri for uri in self.uris if uri.expires_at > now)


@dataclass(frozen=True, slots=True)
class CacheKey:
    """A number and a service; `caller` only where answers are not shared between callers."""

    number: str
    service: Service
    caller: str = ""


class MappingCache:
    """URIs by number and service, the least recently used leaving first.

    max_entries: keys held; max_lifetime: seconds a mapping is kept at most, whatever its source
    said. A mapping known only from a text message (assurance `sms`) is not taken.
    """

    def __init__(self, *, max_entries: int = 100_000, max_lifetime: float = 3600.0) -> None:
        self._max_entries = max_entries
        self._max_lifetime = max_lifetime
        self._entries: OrderedDict[CacheKey, _Held] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: CacheKey, now: float) -> tuple[FoundUri, ...]:
        """Return the URIs still alive at `now` (epoch seconds), best first; empty for none."""
        held = self._entries.get(key)
        if held is None:
            return ()
        alive = held.alive(now)
        if not alive:
            del self._entries[key]
            return ()
        self._entries.move_to_end(key)
        return alive

    def put(self, key: CacheKey, uris: tuple[FoundUri, ...], now: float) -> None:
        """Keep the signed ones of `uris` until they expire, at most `max_lifetime` seconds."""
        latest = now + self._max_lifetime
        kept = tuple(
            replace(uri, expires_at=min(uri.expires_at, latest))
            for uri in sorted(uris, key=lambda uri: (-uri.assurance.strength, uri.prio))
            if uri.assurance is not Assurance.SMS and uri.expires_at > now
        )
        if not kept:
            return
        self._entries[key] = _Held(kept, now)
        self._entries.move_to_end(key)
        while len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)

    def forget(self, key: CacheKey) -> None:
        """Drop a mapping, for instance because the called side did not know the number."""
        self._entries.pop(key, None)

    def entries(self, now: float) -> list[tuple[CacheKey, tuple[FoundUri, ...]]]:
        """Return what is alive at `now`, least recently used first."""
        return [(key, alive) for key, held in self._entries.items() if (alive := held.alive(now))]
