"""A bounded cache of fetched credentials; pure, the time is an argument."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from stir.certificates.certificate import Credential, CredentialUnavailable

MIN_LIFETIME: Final = 300.0
MAX_LIFETIME: Final = 86_400.0
NEGATIVE_LIFETIME: Final = 30.0
_MAX_AGE: Final = re.compile(r"(?:^|[,\s])max-age\s*=\s*\"?(-?[0-9]{1,20})\"?(?=$|[,\s])")


def lifetime(cache_control: str | None, not_after: float, now: float) -> float:
    """Seconds to keep a credential: max-age within 5 minutes to 24 hours, never past `not_after`.

    Without a max-age the minimum: a rotated certificate is seen soon, and a repository that
    forbids caching is still not asked at every call. Times in epoch seconds. The result is not
    below 30 s, so that an expired certificate is not fetched again for each call.
    """
    match = _MAX_AGE.search((cache_control or "")[:1024].lower())
    asked = float(int(match[1])) if match else MIN_LIFETIME
    kept = min(max(asked, MIN_LIFETIME), MAX_LIFETIME)
    return max(min(kept, not_after - now), NEGATIVE_LIFETIME)


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """A credential, or why there is none, until `expires` (epoch seconds)."""

    found: Credential | CredentialUnavailable
    expires: float


class CredentialCache:
    """Credentials by URL: least recently used ones go first when it is full."""

    def __init__(self, max_entries: int = 5_000) -> None:
        """`max_entries` bounds it; a chain takes about 10 kB."""
        self._max = max_entries
        self._entries: OrderedDict[str, CacheEntry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, url: str, now: float) -> Credential | CredentialUnavailable | None:
        """Return what is known of the URL, None where it has to be fetched (again)."""
        entry = self._entries.get(url)
        if entry is None:
            return None
        if entry.expires <= now:
            del self._entries[url]
            return None
        self._entries.move_to_end(url)
        return entry.found

    def store(self, url: str, found: Credential, cache_control: str | None, now: float) -> None:
        """Keep a fetched credential by the Cache-Control value it came with."""
        self._put(url, CacheEntry(found, now + lifetime(cache_control, found.not_after, now)))

    def store_failure(self, url: str, why: CredentialUnavailable, now: float) -> None:
        """Remember for 30 s that the URL gave nothing, so that calls do not queue on it."""
        self._put(url, CacheEntry(why, now + NEGATIVE_LIFETIME))

    def entries(self, now: float) -> tuple[tuple[str, CacheEntry], ...]:
        """All live entries, least recently used first."""
        return tuple((url, e) for url, e in self._entries.items() if e.expires > now)

    def forget(self, url: str) -> None:
        """Drop one URL, known or not."""
        self._entries.pop(url, None)

    def clear(self) -> None:
        """Drop everything."""
        self._entries.clear()

    def _put(self, url: str, entry: CacheEntry) -> None:
        self._entries.pop(url, None)
        while len(self._entries) >= self._max:
            self._entries.popitem(last=False)
        self._entries[url] = entry
