"""Certificates by the URL in x5u: cached, fetched once however many calls ask, failures too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import structlog

from gateway.http.fetch import FailureReason, FetchFailed, FetchRefused, GuardedClient
from stir.certificates.certificate import (
    Credential,
    CredentialUnavailable,
    MalformedCredential,
    load_credential,
)
from stir.certificates.credential_cache import CredentialCache
from stir.reason import Reason

_log = structlog.get_logger("credentials")
Found = Credential | CredentialUnavailable


class CertificateSource:
    """Gives the credential behind a URL; never raises, never waits longer than the client does.

    wall_clock gives epoch seconds.
    """

    def __init__(
        self,
        client: GuardedClient,
        cache: CredentialCache,
        wall_clock: Callable[[], float],
    ) -> None:
        self._client = client
        self._cache = cache
        self._wall_clock = wall_clock
        self._under_way: dict[str, asyncio.Task[Found]] = {}
        self.fetches = 0

    async def get(self, url: str) -> Found:
        """Return the credential, or why there is none and whose fault that is."""
        known = self._cache.get(url, self._wall_clock())
        if known is not None:
            return known
        task = self._under_way.get(url)
        if task is None:
            task = asyncio.create_task(self._fetch(url), name="x5u")
            self._under_way[url] = task
            task.add_done_callback(lambda _: self._under_way.pop(url, None))
        # One caller giving up must not take the answer from the others.
        return await asyncio.shield(task)

    async def get_all(self, urls: Iterable[str]) -> dict[str, Found]:
        """Return the credentials of several URLs, fetched side by side."""
        wanted = tuple(dict.fromkeys(urls))
        found = await asyncio.gather(*(self.get(url) for url in wanted))
        return dict(zip(wanted, found, strict=True))

    async def close(self) -> None:
        """Give up every fetch under way."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fetch(self, url: str) -> Found:
        self.fetches += 1
        try:
            fetched = await self._client.get(url, accept="application/pem-certificate-chain, */*")
        except FetchFailed as error:
            found = CredentialUnavailable(f"{error.reason}: {error.detail}", error.culprit)
            if error.reason is FailureReason.BUSY:
                # Our own limit says nothing about the URL: the next call may try.
                return found
            return self._failed(url, found)
        except FetchRefused as error:
            detail = f"refused by our guard: {error.detail}"
            return self._failed(url, CredentialUnavailable(detail, error.culprit))
        host = url.split("/", 3)[2]
        if fetched.status != 200:
            detail = f"HTTP status {fetched.status}"
            return self._failed(url, CredentialUnavailable(detail, host))
        try:
            credential = load_credential(fetched.body)
        except MalformedCredential as error:
            found = CredentialUnavailable(str(error), host, Reason.CREDENTIAL_MALFORMED)
            return self._failed(url, found)
        cache_control = fetched.headers.get("cache-control")
        self._cache.store(url, credential, cache_control, self._wall_clock())
        return credential

    def _failed(self, url: str, found: CredentialUnavailable) -> CredentialUnavailable:
        _log.warning("credential unavailable", culprit=found.culprit, detail=found.detail)
        self._cache.store_failure(url, found, self._wall_clock())
        return found
