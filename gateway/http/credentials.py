"""Certificates by the URL in x5u: cached, fetched once however many calls ask, failures too."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from gateway.clock_watch import ClockWatch
from gateway.http.fetch import FailureReason, Fetched, FetchFailed, FetchRefused, GuardedClient
from gateway.http.tn_auth_lists import complete, sooner
from stir.certificates.cache_control import NEGATIVE_LIFETIME
from stir.certificates.certificate import (
    Credential,
    CredentialUnavailable,
    MalformedCredential,
    load_credential,
)
from stir.certificates.credential_cache import CacheEntry, CredentialCache
from stir.reason import Reason

_log = structlog.get_logger("credentials")
Found = Credential | CredentialUnavailable
_ACCEPT: Final = "application/pem-certificate-chain, */*"
# An entity-tag (RFC 9110 section 8.8.3), with a limit of ours.
_ETAG: Final = re.compile(r'(?:W/)?"[!#-~]{0,250}"')
# Errors for which RFC 5861 section 4 lets an expired copy serve on; any other answer is an answer.
_OUT_OF_ORDER: Final = frozenset({500, 502, 503, 504})
_LOOK_SECONDS: Final = 5.0
# A quarter of all places: what is fetched ahead must not crowd out what a call waits for.
_AHEAD_AT_ONCE: Final = 8
_MAX_AHEAD: Final = 512


class CertificateSource:
    """Gives the credential behind a URL; never raises, never waits longer than the client does.

    wall_clock gives epoch seconds. `clock_watch` hears of the servers' clocks. `on_stored` is told
    of every credential fetched. `trusts` says whether one leads to a trust anchor: what others name
    in their certificates is not fetched for them.
    """

    def __init__(
        self,
        client: GuardedClient,
        cache: CredentialCache,
        wall_clock: Callable[[], float],
        *,
        clock_watch: ClockWatch | None = None,
        on_stored: Callable[[str, CacheEntry], None] | None = None,
        trusts: Callable[[Credential], bool] = lambda _credential: True,
    ) -> None:
        self._trusts = trusts
        self._client = client
        self._cache = cache
        self._wall_clock = wall_clock
        self._clock_watch = clock_watch
        self._on_stored = on_stored
        self._under_way: dict[str, asyncio.Task[Found]] = {}
        self.fetches = 0
        self.failures = 0
        self.served_stale = 0

    def knows(self, url: str) -> bool:
        """Whether a URL needs no fetch now: it is cached, be it only that it could not be had."""
        return self._cache.knows(url, self._wall_clock())

    async def get(self, url: str) -> Found:
        """Return the credential, or why there is none and whose fault that is."""
        known = self._cache.get(url, self._wall_clock())
        if known is not None:
            return known
        # One caller giving up must not take the answer from the others.
        return await asyncio.shield(self._fetching(url))

    async def get_all(self, urls: Iterable[str]) -> dict[str, Found]:
        """Return the credentials of several URLs, fetched side by side."""
        wanted = tuple(dict.fromkeys(urls))
        now = self._wall_clock()
        known = {url: self._cache.get(url, now) for url in wanted}
        found = {url: each for url, each in known.items() if each is not None}
        if len(found) < len(wanted):  # most calls find all they need, and need no tasks
            missing = [url for url in wanted if url not in found]
            fetched = await asyncio.gather(*(self.get(url) for url in missing))
            found.update(zip(missing, fetched, strict=True))
        return found

    async def changed(self, urls: Iterable[str]) -> bool:
        """Ask the servers again for what did not fit a signature; tell whether one has changed.

        A provider may replace the certificate behind a URL before our copy expires. A URL is asked
        again no more than once in 5 minutes, whoever sends bad signatures in its name.
        """
        now = self._wall_clock()
        asked: list[tuple[Found, asyncio.Task[Found]]] = []
        for url in dict.fromkeys(urls):
            entry = self._cache.entry(url)
            if entry is not None and entry.may_revalidate(now):
                asked.append((entry.found, self._fetching(url)))
        results = await asyncio.gather(*(asyncio.shield(task) for _, task in asked))
        return any(
            isinstance(before, Credential)
            and isinstance(after, Credential)
            and after.fingerprint != before.fingerprint
            for (before, _), after in zip(asked, results, strict=True)
        )

    def anchors_changed(self) -> None:
        """Forget certificates whose lists were not fetched, as nobody was known to vouch for."""
        for url, entry in self._cache.entries(self._wall_clock()):
            if isinstance(entry.found, Credential) and entry.found.awaits_lists:
                self._cache.forget(url)

    async def keep_fresh(self) -> None:
        """Fetch again, for ever, what calls use and what expires soon, so that no call waits."""
        while True:
            due = self._cache.due(self._wall_clock(), _MAX_AHEAD)
            while due:
                batch, due = due[:_AHEAD_AT_ONCE], due[_AHEAD_AT_ONCE:]
                await asyncio.gather(*(asyncio.shield(self._fetching(url)) for url in batch))
            await asyncio.sleep(_LOOK_SECONDS)

    async def close(self) -> None:
        """Give up every fetch under way."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _fetching(self, url: str) -> asyncio.Task[Found]:
        task = self._under_way.get(url)
        if task is None:
            task = asyncio.create_task(self._fetch(url), name="x5u")
            self._under_way[url] = task
            task.add_done_callback(lambda _: self._under_way.pop(url, None))
        return task

    async def _fetch(self, url: str) -> Found:
        self.fetches += 1
        etag = self._known_etag(url)
        try:
            if etag is None:
                fetched = await self._client.get(url, accept=_ACCEPT)
            else:
                fetched = await self._client.get(url, accept=_ACCEPT, if_none_match=etag)
        except FetchFailed as error:
            found = CredentialUnavailable(f"{error.reason}: {error.detail}", error.culprit)
            # Our own limit says nothing about the URL: the next call may try.
            return self._out_of_order(url, found, remember=error.reason is not FailureReason.BUSY)
        except FetchRefused as error:
            detail = f"refused by our guard: {error.detail}"
            return self._failed(url, CredentialUnavailable(detail, error.culprit))
        return await self._answered(url, fetched, etag)

    def _known_etag(self, url: str) -> str | None:
        """What to ask by, None where the answer "not modified" would leave its lists unfetched."""
        entry = self._cache.entry(url)
        if entry is None or (isinstance(entry.found, Credential) and entry.found.by_reference):
            return None
        return entry.etag

    async def _answered(self, url: str, fetched: Fetched, etag: str | None) -> Found:
        host = url.split("/", 3)[2]
        cache_control = fetched.headers.get("cache-control")
        if fetched.status == 304 and etag is not None:
            renewed = self._cache.renew(url, cache_control, self._wall_clock())
            if renewed is not None:
                return self._stored(url, renewed, fetched)
        if fetched.status != 200:
            found = CredentialUnavailable(f"HTTP status {fetched.status}", host)
            if fetched.status in _OUT_OF_ORDER:
                return self._out_of_order(url, found, remember=True)
            return self._failed(url, found)
        try:
            credential = load_credential(fetched.body)
        except MalformedCredential as error:
            found = CredentialUnavailable(str(error), host, Reason.CREDENTIAL_MALFORMED)
            return self._failed(url, found)
        if not credential.by_reference:
            return self._keep(url, credential, fetched, cache_control)
        if not self._trusts(credential):
            return self._keep(url, credential, fetched, cache_control, whole=False)
        now = self._wall_clock()
        completed = await complete(credential, self._client, now)
        credential, whole = completed.credential, completed.whole
        copy = None if whole else self._cache.serve_on(url, now)
        if copy is not None and copy.pem == credential.pem:
            self.served_stale += 1
            return copy
        cache_control = sooner(cache_control, completed, now)
        return self._keep(url, credential, fetched, cache_control, whole=whole)

    def _keep(
        self,
        url: str,
        credential: Credential,
        fetched: Fetched,
        cache_control: str | None,
        *,
        whole: bool = True,
    ) -> Found:
        """Store what was fetched; for half a minute where lists it refers to are missing."""
        now = self._wall_clock()
        before = self._cache.entry(url)
        if before is not None and isinstance(before.found, Credential):
            if before.found.fingerprint == credential.fingerprint:
                credential = before.found  # what was worked out of it before stays good
            else:
                _log.info(
                    "certificate changed", culprit=url.split("/", 3)[2], subject=credential.subject
                )
        tag = fetched.headers.get("etag", "")
        stored = self._cache.store(
            url,
            credential,
            cache_control,
            now,
            etag=tag if _ETAG.fullmatch(tag) else None,
        )
        if not whole:  # its server is asked again as soon as that of a missing certificate
            stored.expires = stored.usable_until = min(stored.expires, now + NEGATIVE_LIFETIME)
        return self._stored(url, stored, fetched)

    def _stored(self, url: str, entry: CacheEntry, fetched: Fetched) -> Found:
        if self._clock_watch is not None and isinstance(entry.found, Credential):
            self._clock_watch.answered(url, fetched.headers, entry.found, self._wall_clock())
        if self._on_stored is not None:
            self._on_stored(url, entry)
        return entry.found

    def _out_of_order(self, url: str, found: CredentialUnavailable, *, remember: bool) -> Found:
        """The server gave no answer at all: a copy of ours may serve on (RFC 5861 section 4)."""
        copy = self._cache.serve_on(url, self._wall_clock())
        if copy is not None:
            self.served_stale += 1
            _log.warning("our copy serves on", culprit=found.culprit, detail=found.detail)
            return copy
        return self._failed(url, found) if remember else found

    def _failed(self, url: str, found: CredentialUnavailable) -> Found:
        self.failures += 1
        _log.warning("credential unavailable", culprit=found.culprit, detail=found.detail)
        now = self._wall_clock()
        entry = self._cache.entry(url)
        if entry is not None and entry.expires > now and isinstance(entry.found, Credential):
            # Fetched ahead of time: what is kept is good until it expires.
            return self._cache.serve_on(url, now) or entry.found
        self._cache.store_failure(url, found, now)
        return found
