"""Fetching revocation lists and OCSP answers: once for all calls, ahead of time, under the guard.

Only what certificates name that lead to a trust anchor is fetched, and what is configured.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

import structlog

from gateway.http.fetch import FetchFailed, FetchRefused, GuardedClient
from stir.certificates.certificate import Credential
from stir.certificates.chain import Path
from stir.certificates.crl import RevocationList, UnusableList, read_revocation_list
from stir.certificates.ocsp import UnusableAnswer, load_ocsp_answer, ocsp_request, ocsp_url
from stir.certificates.revocation import RevocationRecords
from stir.certificates.revocation_records import Record
from stir.certificates.revocation_sources import Found, ListSource, ResponderSource, Source

_log = structlog.get_logger("revocation")
_MAX_UNDER_WAY: Final = 64
_LOOK_SECONDS: Final = 1.0
_LEAST_PAUSE: Final = 0.1
_LONGEST_LIST: Final = 1_000


class NotHad(Exception):
    """Nothing came that counts; `culprit` is whose fault that is."""

    def __init__(self, culprit: str, detail: str) -> None:
        super().__init__(f"{culprit}: {detail}")
        self.culprit = culprit
        self.detail = detail


class RevocationService:
    """Keeps the records of a verification service filled; never raises towards calls."""

    def __init__(
        self,
        records: RevocationRecords,
        find_path: Callable[[Credential], Path],
        administrators: GuardedClient,
        others: GuardedClient,
        wall_clock: Callable[[], float],
        *,
        wait: float = 2.0,
    ) -> None:
        """`administrators` fetches configured lists, `others` what certificates name.

        `wait`: seconds a call waits for a source nothing is known of. `wall_clock`: epoch seconds.
        """
        self._records = records
        self._find_path = find_path
        self._administrators = administrators
        self._others = others
        self._wall_clock = wall_clock
        self._wait = wait
        self._under_way: dict[Source, asyncio.Task[None]] = {}
        self._begun: dict[Source, float] = {}
        self._keeping: asyncio.Task[None] | None = None
        self._reading = asyncio.Lock()
        self.fetches: dict[tuple[str, ...], int] = {
            (kind, outcome): 0
            for kind in ("administrator", "list", "responder")
            for outcome in ("good", "failed")
        }

    @property
    def records(self) -> RevocationRecords:
        """What is known, for whoever verifies."""
        return self._records

    async def start(self) -> None:
        """Fetch configured lists now, and everything in use again in time."""
        self._keeping = asyncio.get_running_loop().create_task(self._keep_fresh())

    async def stop(self) -> None:
        """Give up every fetch under way."""
        tasks = list(self._under_way.values())
        tasks += [self._keeping] if self._keeping is not None else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def prepare(self, credentials: Iterable[object]) -> None:
        """Fetch what is due for a call's credentials; wait only for what nothing is known of.

        To be awaited before the verification is concluded; without anything due it does not yield.
        """
        now = self._wall_clock()
        missing: list[Source] = []
        for credential in credentials:
            if not isinstance(credential, Credential) or credential.problem is not None:
                continue
            path = self._find_path(credential).at(now)
            if path.problem is not None or not _valid(credential, path, now):
                continue
            status = self._records.peek(credential, path, now)
            for source in status.due:
                self._begin(source, now)
            missing += status.missing
        if missing:
            await self._wait_for(missing)

    async def _wait_for(self, sources: Iterable[Source]) -> None:
        """Wait for fetches under way, none of which holds calls up for longer than `wait`."""
        now = asyncio.get_running_loop().time()
        left = {
            self._under_way[source]: self._begun[source] + self._wait - now
            for source in sources
            if source in self._under_way
        }
        tasks = [task for task, seconds in left.items() if seconds > 0]
        if tasks:
            await asyncio.wait(tasks, timeout=max(left[task] for task in tasks))

    # --- fetching ----------------------------------------------------------------------------

    async def _keep_fresh(self) -> None:
        while True:
            now = self._wall_clock()
            for source in self._records.sources.due(now):
                self._begin(source, now)
            pause = self._records.sources.next_due(now) - now
            await asyncio.sleep(min(max(pause, _LEAST_PAUSE), _LOOK_SECONDS))

    def _begin(self, source: Source, now: float) -> None:
        if source in self._under_way or len(self._under_way) >= _MAX_UNDER_WAY:
            return
        loop = asyncio.get_running_loop()
        self._records.sources.started(source, now)
        task = loop.create_task(self._fetch(source), name="revocation")
        self._under_way[source] = task
        self._begun[source] = loop.time()
        task.add_done_callback(partial(self._ended, source))

    def _ended(self, source: Source, _: asyncio.Task[None]) -> None:
        del self._under_way[source], self._begun[source]

    async def _fetch(self, source: Source) -> None:
        try:
            found = await self._obtain(source)
        except NotHad as error:
            self.fetches[_kind(source), "failed"] += 1
            now = self._wall_clock()
            self._records.failed(source, error.detail, now)
            record = self._records.sources.asked(source, now)
            _log.warning(
                "revocation source unavailable",
                culprit=error.culprit,
                detail=error.detail,
                source=source.name,
                expired_seconds=_expired(record, now),
            )
            return
        self.fetches[_kind(source), "good"] += 1
        self._records.store(source, found, self._wall_clock())
        size = found.size if isinstance(found, RevocationList) else None
        _log.info("revocation source fetched", source=source.name, revoked=size)

    async def _obtain(self, source: Source) -> Found:
        """Fetch and check; raises NotHad."""
        host = source.url.split("/", 3)[2]
        if isinstance(source, ResponderSource):
            request = ocsp_request(source.certificate, source.issuer)
            url = ocsp_url(source.url, request)
            body = await self._body(self._others, url, host, "application/ocsp-response")
            try:
                return load_ocsp_answer(body, source.certificate, source.issuer, self._wall_clock())
            except UnusableAnswer as error:
                raise NotHad(host, str(error)) from None
        client = self._administrators if source.configured else self._others
        body = await self._body(client, source.url, host, "application/pkix-crl, */*")
        try:
            return await self._read(body, source)
        except UnusableList as error:
            raise NotHad(host, str(error)) from None

    async def _read(self, body: bytes, source: ListSource) -> RevocationList:
        """Read one list at a time, a hundred entries between other work; raises UnusableList.

        A thread would hold the interpreter for as long, and longer at a time.
        """
        async with self._reading:
            reading = read_revocation_list(body, source.signers, self._wall_clock())
            while True:
                try:
                    next(reading)
                except StopIteration as end:
                    found: RevocationList = end.value
                    return found
                await asyncio.sleep(0)

    async def _body(self, client: GuardedClient, url: str, host: str, accept: str) -> bytes:
        try:
            fetched = await client.get(url, accept=accept)
        except FetchFailed as error:
            raise NotHad(error.culprit, f"{error.reason}: {error.detail}") from None
        except FetchRefused as error:
            raise NotHad(host, f"refused by our guard: {error.detail}") from None
        if fetched.status != 200:
            raise NotHad(host, f"HTTP status {fetched.status}")
        return fetched.body

    # --- for the operator --------------------------------------------------------------------

    def counts(self) -> dict[tuple[str, ...], int]:
        """Return how many certificates of calls came to which result."""
        return {(grade,): count for grade, count in self._records.counts.items()}

    def known(self) -> int:
        """Return from how many sources something is known."""
        records = self._records.sources.records()
        return sum(1 for _, record in records if record.found is not None)

    def expired(self) -> int:
        """Return how many sources in use have nothing current, or nothing at all."""
        now = self._wall_clock()
        records = self._records.sources.records()
        return sum(
            1
            for _, record in records
            if record.tried and (record.found is None or record.found.next_update <= now)
        )

    def listing(self) -> list[dict[str, Any]]:
        """Return the sources, configured ones first, at most 1,000; times in seconds."""
        now = self._wall_clock()
        records = self._records.sources.records()[:_LONGEST_LIST]
        return [_listed(source, record, now) for source, record in records]


def _valid(credential: Credential, path: Path, now: float) -> bool:
    return (
        credential.not_before <= now <= credential.not_after
        and path.not_before <= now <= path.not_after
    )


def _kind(source: Source) -> str:
    if isinstance(source, ListSource):
        return "administrator" if source.configured else "list"
    return "responder"


def _expired(record: Record, now: float) -> int | None:
    if record.found is None:
        return None
    return max(0, round(now - record.found.next_update))


def _listed(source: Source, record: Record, now: float) -> dict[str, Any]:
    found = record.found
    entry: dict[str, Any] = {"source": _kind(source), "url": source.url}
    if found is None:
        entry["state"] = record.failure or "not fetched yet"
        return entry
    entry["state"] = "current" if now < found.next_update else "expired"
    if isinstance(found, RevocationList):
        entry["revoked"] = found.size
    else:
        entry["answer"] = found.status
    entry["age_seconds"] = round(now - found.this_update)
    entry["seconds_left"] = round(found.next_update - now)
    if record.failure is not None:
        entry["failure"] = record.failure
    return entry
