"""What the operator does with the certificate cache: preload, list, clear.

An import says: this is what the server behind this URL gives. The operator vouches for that in
place of the server's TLS certificate, for this one URL, until the copy expires and is fetched. It
makes no certificate trusted: each call still verifies the chain up to a configured trust anchor,
and one that does not lead there now is not imported at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog

from gateway.http.credential_folder import CredentialFolder, KeptCredential
from gateway.http.credentials import CertificateSource
from gateway.http.guard import GuardPolicy, UrlRefused, check_url
from stir.certificates.certificate import (
    Credential,
    CredentialUnavailable,
    MalformedCredential,
    Problem,
    load_credential,
)
from stir.certificates.chain import PathBuilder, validity_of_issuers
from stir.certificates.credential_cache import MAX_LIFETIME, CacheEntry, CredentialCache

_LONGEST_LIST: Final = 5_000
_AT_ONCE: Final = 4
_log = structlog.get_logger("credentials")


class Preloading:
    """Fills, shows and empties a credential cache for the operator.

    `builder` knows the trust anchors, `policy` which URLs may be fetched; wall_clock gives epoch
    seconds. `saved` is to be told of every credential fetched.
    """

    def __init__(
        self,
        cache: CredentialCache,
        folder: CredentialFolder,
        builder: PathBuilder,
        policy: GuardPolicy,
        wall_clock: Callable[[], float],
    ) -> None:
        self._cache = cache
        self._folder = folder
        self._builder = builder
        self._policy = policy
        self._wall_clock = wall_clock

    def trusted(self, credential: Credential) -> bool:
        """Whether a credential is fit and leads to a trust anchor now."""
        return self._problem(credential) is None

    def restore(self, most: int) -> int:
        """Take back what was kept in an earlier run and still verifies; return how many."""
        now, count = self._wall_clock(), 0
        for kept in self._folder.load(most):
            credential = self._verified(kept.url, kept.pem)
            if isinstance(credential, str):
                # It stays on disk: its root may be trusted again when the operator's lists are.
                _log.warning("kept certificate not used", culprit=kept.url, detail=credential)
                continue
            self._cache.restore(kept.url, credential, kept.expires, now)
            count += 1
        return count

    def take(self, url: str, pem: str) -> str | None:
        """Import one certificate chain for one URL; return why it is refused, or None."""
        credential = self._verified(url, pem)
        if isinstance(credential, str):
            return credential
        self._cache.store(
            url, credential, f"max-age={MAX_LIFETIME:.0f}", self._wall_clock(), source="imported"
        )
        self._save(url)
        return None

    async def fetch(self, urls: Sequence[str], source: CertificateSource) -> list[str | None]:
        """Have URLs fetched through the guard, four at once; a text says why one is refused."""
        places = asyncio.Semaphore(_AT_ONCE)

        async def one(url: str) -> str | None:
            async with places:
                return await self._fetch_one(url, source)

        return list(await asyncio.gather(*map(one, urls)))

    async def _fetch_one(self, url: str, source: CertificateSource) -> str | None:
        entry = self._cache.entry(url)
        if entry is not None and isinstance(entry.found, CredentialUnavailable):
            self._cache.forget(url)  # the operator wants to know how it is now
        found = await source.get(url)
        if isinstance(found, CredentialUnavailable):
            return f"{found.culprit}: {found.detail}"
        problem = self._problem(found)
        if problem is not None:
            return f"{problem.reason.code}: {problem.got}"
        entry = self._cache.entry(url)
        if entry is not None and entry.source == "fetched":
            entry.source = "preloaded"
            self._save(url)
        return None

    def saved(self, url: str, entry: CacheEntry) -> None:
        """Keep on disk what was fetched again, where the operator had preloaded it."""
        if entry.source != "fetched":
            self._save(url)

    def clear(self, url: str | None) -> int:
        """Forget one URL or all of them, on disk as well; return how many were known."""
        if url is None:
            self._folder.clear()
            return self._cache.clear()
        self._folder.remove(url)
        return int(self._cache.forget(url))

    def listing(self) -> list[dict[str, Any]]:
        """Return at most 5,000 entries, the most recently used first; times in epoch seconds."""
        entries = self._cache.entries(self._wall_clock())
        return [_listed(url, entry) for url, entry in reversed(entries[-_LONGEST_LIST:])]

    def _save(self, url: str) -> None:
        entry = self._cache.entry(url)
        if entry is not None and isinstance(entry.found, Credential):
            pem = entry.found.pem.decode("ascii")
            self._folder.save(KeptCredential(url, pem, entry.expires))

    def _verified(self, url: str, pem: str) -> Credential | str:
        """Read and verify what the operator or the disk says is at a URL; a text says why not."""
        try:
            check_url(url, self._policy)
            credential = load_credential(pem.encode("ascii", errors="replace"))
        except UrlRefused as error:
            return f"the URL is {error}"
        except MalformedCredential as error:
            return f"the certificate is malformed: {error}"
        if credential.references:
            return "its TNAuthList is by reference and has to be fetched: preload the URL instead"
        problem = self._problem(credential)
        return credential if problem is None else f"{problem.reason.code}: {problem.got}"

    def _problem(self, credential: Credential) -> Problem | None:
        now = self._wall_clock()
        problem = credential.problem or credential.validity_problem(now)
        if problem is not None:
            return problem
        path = self._builder.find(credential).at(now)
        return path.problem or validity_of_issuers(path, now)


def _listed(url: str, entry: CacheEntry) -> dict[str, Any]:
    found = entry.found
    known = isinstance(found, Credential)
    return {
        "url": url,
        "subject": found.subject if isinstance(found, Credential) else None,
        "problem": None if isinstance(found, Credential) else f"{found.culprit}: {found.detail}",
        "not_after": round(found.not_after) if isinstance(found, Credential) else None,
        "expires": round(entry.expires),
        "source": entry.source if known else "failed",
        "hits": entry.all_hits,
        "stale": bool(entry.retry_at),
    }
