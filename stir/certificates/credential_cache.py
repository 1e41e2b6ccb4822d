"""A bounded cache of credentials by URL; pure, the time is an argument.

An entry goes through three times: fresh, it is the answer; then, for as long as policy and server
allow, it is the answer only when its server gives none (stale-if-error); then it is gone. None of
them goes past the certificate's own notAfter.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from stir.certificates.cache_control import (
    MAX_LIFETIME,
    MIN_LIFETIME,
    NEGATIVE_LIFETIME,
    lifetime,
    stale_lifetime,
)
from stir.certificates.certificate import Credential, CredentialUnavailable

__all__ = ["MAX_LIFETIME", "MIN_LIFETIME", "NEGATIVE_LIFETIME", "lifetime"]

# The last part of a lifetime, in which a credential that calls use is fetched again.
_REFRESH_PART: Final = 0.2
_REFRESH_MOST: Final = 300.0

MAX_OCTETS: Final = 64 * 2**20

Source = Literal["fetched", "preloaded", "imported"]


@dataclass(slots=True)
class CacheEntry:
    """A credential, or why there is none, with its times in epoch seconds.

    `expires` ends its fresh time, `usable_until` its use when the server is out of order; before
    `retry_at` the server is not asked again after it failed. `etag` is what the server named this
    version (RFC 9110 section 8.8.3). `hits` counts the answers given since it was fetched,
    `all_hits` those since the URL is known. Until `doubted_at` a signature that does not fit is no
    reason to ask again. `source`: because of a call, from its server because
    the operator asked, or from a file of the operator's.
    """

    found: Credential | CredentialUnavailable
    stored: float
    expires: float
    usable_until: float
    source: Source = "fetched"
    etag: str | None = None
    cache_control: str | None = None
    retry_at: float = 0.0
    doubted_at: float = 0.0
    hits: int = 0
    all_hits: int = 0

    @property
    def octets(self) -> int:
        """How long the chain is; strangers choose that."""
        return len(self.found.pem) if isinstance(self.found, Credential) else 0

    def answers(self, now: float) -> bool:
        """Whether it is the answer to a call now, and nobody has to be asked.

        Once its server failed when asked, an expired one serves on: no call waits for the server.
        """
        return now < self.expires or (self.retry_at > 0 and now < self.usable_until)

    def may_revalidate(self, now: float) -> bool:
        """Whether the server may be asked if it has another version by now; notes that it is.

        Not within half a minute after it was asked, and not twice in 5 minutes.
        """
        if isinstance(self.found, CredentialUnavailable):
            return False
        if now < max(self.stored + NEGATIVE_LIFETIME, self.retry_at, self.doubted_at):
            return False
        self.doubted_at = now + MIN_LIFETIME
        return True

    def wants_refresh(self, now: float) -> bool:
        """Whether to fetch it again now, before it expires, because calls use it."""
        if self.hits == 0 or now < self.retry_at or isinstance(self.found, CredentialUnavailable):
            return False
        early = min((self.expires - self.stored) * _REFRESH_PART, _REFRESH_MOST)
        return now >= self.expires - early


class CredentialCache:
    """Credentials by URL: least recently used ones go first when it is full."""

    def __init__(
        self,
        max_entries: int = 5_000,
        *,
        stale_if_error: float = 0.0,
        max_octets: int = MAX_OCTETS,
    ) -> None:
        """`max_entries` bounds it, and `max_octets` of PEM: a chain has 2 to 64 kB.

        `stale_if_error`: seconds an expired credential may still serve while its server is out of
        order.
        """
        self._max = max_entries
        self._stale = stale_if_error
        self._entries: OrderedDict[str, CacheEntry] = OrderedDict()
        self._max_octets = max_octets
        self._octets = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, url: str, now: float) -> Credential | CredentialUnavailable | None:
        """Return what is known of the URL, None where it has to be fetched (again)."""
        entry = self._entries.get(url)
        if entry is None:
            return None
        if not entry.answers(now):
            if entry.usable_until <= now:
                self.forget(url)
            return None
        self._entries.move_to_end(url)
        entry.hits += 1
        entry.all_hits += 1
        return entry.found

    def knows(self, url: str, now: float) -> bool:
        """Whether `get` would give something, without counting it as a use."""
        entry = self._entries.get(url)
        return entry is not None and entry.answers(now)

    def entry(self, url: str) -> CacheEntry | None:
        """Return what is kept for a URL, fresh or not, without counting it as a use."""
        return self._entries.get(url)

    def store(
        self,
        url: str,
        found: Credential,
        cache_control: str | None,
        now: float,
        *,
        etag: str | None = None,
        source: Source | None = None,
    ) -> CacheEntry:
        """Keep a credential by the Cache-Control value and the ETag it came with.

        A URL that the operator asked for remains one when it is fetched again.
        """
        before = self._entries.get(url)
        expires = now + lifetime(cache_control, found.not_after, now)
        stale_until = expires + stale_lifetime(cache_control, self._stale)
        entry = CacheEntry(
            found,
            now,
            expires,
            max(expires, min(stale_until, found.not_after)),
            source or ("preloaded" if before and before.source != "fetched" else "fetched"),
            etag,
            cache_control,
            doubted_at=before.doubted_at if before else 0.0,
            all_hits=before.all_hits if before else 0,
        )
        self._put(url, entry)
        return entry

    def renew(self, url: str, cache_control: str | None, now: float) -> CacheEntry | None:
        """Keep what the server says is unchanged (304) for another lifetime."""
        entry = self._entries.get(url)
        if entry is None or not isinstance(entry.found, Credential):
            return None
        # A 304 without the field leaves the stored one in force (RFC 9111 section 3.2).
        control = entry.cache_control if cache_control is None else cache_control
        return self.store(url, entry.found, control, now, etag=entry.etag)

    def restore(self, url: str, found: Credential, expires: float, now: float) -> None:
        """Keep a credential from an earlier run, for what is left of its lifetime.

        One that expired meanwhile has only its stale time left, and wants to be fetched at once.
        """
        expires = min(expires, now + MAX_LIFETIME, found.not_after)
        usable_until = max(expires, min(now + self._stale, found.not_after))
        # Counted as used once: what the operator preloaded is to be warm before the first call.
        entry = CacheEntry(found, now, expires, usable_until, "preloaded", hits=1)
        self._put(url, entry)

    def store_failure(self, url: str, why: CredentialUnavailable, now: float) -> None:
        """Remember for 30 s that the URL gave nothing, so that calls do not queue on it."""
        until = now + NEGATIVE_LIFETIME
        self._put(url, CacheEntry(why, now, until, until))

    def serve_on(self, url: str, now: float) -> Credential | None:
        """Return the credential that may be used although its server failed just now, or None.

        The server is not asked again for 30 s.
        """
        entry = self._entries.get(url)
        if entry is None or entry.usable_until <= now:
            return None
        entry.retry_at = now + NEGATIVE_LIFETIME
        return entry.found if isinstance(entry.found, Credential) else None

    def due(self, now: float, most: int) -> list[str]:
        """Return at most `most` URLs to fetch again now, before calls have to wait for them."""
        found: list[str] = []
        for url, entry in self._entries.items():
            if entry.wants_refresh(now):
                found.append(url)
                if len(found) >= most:
                    break
        return found

    def entries(self, now: float) -> tuple[tuple[str, CacheEntry], ...]:
        """All entries that are of use, least recently used first."""
        return tuple(self._usable(now))

    def forget(self, url: str) -> bool:
        """Drop one URL; tell whether it was known."""
        entry = self._entries.pop(url, None)
        self._octets -= 0 if entry is None else entry.octets
        return entry is not None

    def clear(self) -> int:
        """Drop everything; return how many entries that were."""
        count = len(self._entries)
        self._entries.clear()
        self._octets = 0
        return count

    def _usable(self, now: float) -> Iterator[tuple[str, CacheEntry]]:
        return ((url, entry) for url, entry in self._entries.items() if entry.usable_until > now)

    def _put(self, url: str, entry: CacheEntry) -> None:
        self.forget(url)
        while self._entries and (
            len(self._entries) >= self._max or self._octets + entry.octets > self._max_octets
        ):
            self.forget(next(iter(self._entries)))
        self._entries[url] = entry
        self._octets += entry.octets
