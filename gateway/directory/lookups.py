"""Lookups: one way through for known and unknown identifiers.

A SQLite file is read at once. Of a database elsewhere many identifiers are read in one statement:
those asked for while a statement runs are gathered for the next one, so that its cost is shared;
an idle directory answers each at once.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal

import structlog

from discovery.directory.answer import (
    MAX_RECORDS,
    Answer,
    LoggedRecord,
    build_answer,
    status_of,
)
from discovery.directory.identifier import Identifier
from discovery.directory.jws import Signer
from discovery.directory.reason import Refusal, Refused
from gateway.directory.database import DirectoryUnavailable
from gateway.directory.log_sink import LogSink
from gateway.directory.record_store import RecordStore, StoredRecord, live
from gateway.directory_log.log import LogUnavailable

_log = structlog.get_logger("directory")
_BATCH: Final = 64
_MAX_WAITING: Final = 4_096
_TOLD_AGAIN: Final = 60.0
Unproven = Literal["too long", "log unreadable", "not published"]


class Lookups:
    """Answers lookups; `directory` is our URL, `wall_clock` gives epoch seconds.

    `statuses` counts answers by what they say; `unproven` logged records that were returned
    without their proof, by why.
    """

    def __init__(
        self,
        store: RecordStore,
        log: LogSink,
        signer: Signer,
        directory: str,
        wall_clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._reader = _BatchReader(store)
        self._log = log
        self._signer = signer
        self._directory = directory
        self._wall_clock = wall_clock
        self.answered = 0
        self.signed = 0
        self.statuses: Counter[tuple[str, ...]] = Counter()
        self.unproven: Counter[tuple[str, ...]] = Counter()
        self._told_at = float("-inf")

    async def answer(self, csi: Identifier) -> bytes:
        """Return the body of an answer, always of one size. Raises DirectoryUnavailable."""
        found = self._store.find_now(str(csi))
        if found is None:
            found = await self._reader.find(str(csi))
        now = self._wall_clock()
        records = live(found, now)[:MAX_RECORDS]
        status = status_of(records)
        answer = Answer(
            directory=self._directory,
            csi=csi,
            issued_at=int(now),
            status=status,
            digests=tuple(record.digest for record in records),
            checkpoint=self._log.checkpoint,
        )
        logged = [
            LoggedRecord(record.token, record.chain, await self._proof(record))
            for record in records
        ]
        self.answered += 1
        self.signed += 1
        self.statuses[(str(status),)] += 1
        return self._built(answer, logged)

    def _built(self, answer: Answer, records: Sequence[LoggedRecord]) -> bytes:
        """Return the body; proofs that do not fit are left out, the last record's first."""
        place = len(records)
        while True:
            try:
                return build_answer(answer, records, self._signer)
            except Refused as refused:
                if refused.reason is not Refusal.OVERSIZED or not place:
                    raise
            place -= 1
            if records[place].proof is not None:
                bare = replace(records[place], proof=None)
                records = [*records[:place], bare, *records[place + 1 :]]
                self._tell_unproven("too long")

    async def _proof(self, record: StoredRecord) -> Mapping[str, object] | None:
        try:
            proof = await self._log.proof("record", record.csi, record.digest, record.log_index)
        except LogUnavailable:
            self._tell_unproven("log unreadable")
            return None
        if proof is None and record.log_index is not None:
            self._tell_unproven("not published")
        return proof

    def _tell_unproven(self, why: Unproven) -> None:
        """Senders who ask for proofs use no such record: the operator has to know."""
        self.unproven[(why,)] += 1
        now = time.monotonic()
        if now >= self._told_at + _TOLD_AGAIN:
            self._told_at = now
            _log.warning("answer without proof", reason=why, culprit="transparency_log")

    async def close(self) -> None:
        """Give up what is under way."""
        await self._reader.close()


class _BatchReader:
    """Reads identifiers, those that wait together in one statement."""

    def __init__(self, store: RecordStore) -> None:
        self._store = store
        self._waiting: dict[str, asyncio.Future[list[StoredRecord]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def find(self, csi: str) -> list[StoredRecord]:
        future = self._waiting.get(csi)
        if future is None:
            if len(self._waiting) >= _MAX_WAITING:
                raise DirectoryUnavailable("too many lookups wait")
            future = asyncio.get_running_loop().create_future()
            self._waiting[csi] = future
            if self._task is None:
                self._task = asyncio.create_task(self._read_all(), name="lookups")
        # Several may wait for one identifier: one that leaves must not take it from the others.
        return await asyncio.shield(future)

    async def close(self) -> None:
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        for future in self._waiting.values():
            future.cancel()
        self._waiting.clear()

    async def _read_all(self) -> None:
        try:
            while self._waiting:
                batch = dict(list(self._waiting.items())[:_BATCH])
                for csi in batch:
                    del self._waiting[csi]
                await self._read(batch)
        finally:
            self._task = None

    async def _read(self, batch: Mapping[str, asyncio.Future[list[StoredRecord]]]) -> None:
        try:
            found = await self._store.find(list(batch))
        except DirectoryUnavailable as error:
            for future in batch.values():
                if not future.done():
                    future.set_exception(DirectoryUnavailable(str(error)))
                    future.exception()  # whoever waited may have left
            return
        except asyncio.CancelledError:
            for future in batch.values():
                future.cancel()
            raise
        for csi, future in batch.items():
            if not future.done():
                future.set_result(found[csi])
