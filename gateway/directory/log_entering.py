"""Records into the log, each once: those being registered, and those that a crash left out.

A record is kept first and logged then. Whoever dies in between leaves one that nobody can prove;
whoever dies before its place is noted, one that is in the log already. Both are found later by
their missing place. Only the one process that has the log open appends to it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import structlog

from gateway.directory.log_sink import LogSink
from gateway.directory.record_store import RecordStore, StoredRecord

_log = structlog.get_logger("directory")
_AT_ONCE: Final = 256


class RecordEntries:
    """Enters records in the log and notes their places."""

    def __init__(self, store: RecordStore, log: LogSink) -> None:
        self._store = store
        self._log = log
        self._under_way: Counter[str] = Counter()
        self._entering: dict[str, asyncio.Task[None]] = {}

    @contextmanager
    def under_way(self, digest: str) -> Iterator[None]:
        """For as long as this lasts somebody else sees to the record: it is not missing."""
        self._under_way[digest] += 1
        try:
            yield
        finally:
            self._under_way[digest] -= 1
            if not self._under_way[digest]:
                del self._under_way[digest]

    async def enter(self, record: StoredRecord, *, is_new: bool) -> None:
        """Enter a record and note its place; one that is not new may be in the log already.

        Raises DirectoryUnavailable.
        """
        task = self._entering.get(record.digest)
        if task is None:
            task = asyncio.create_task(self._enter(record, is_new), name="log entry")
            self._entering[record.digest] = task
            task.add_done_callback(lambda done: self._entered(record.digest, done))
        # Several may wait for it: one that leaves must not take it from the others.
        await asyncio.shield(task)

    async def enter_missing(self, now: float) -> int:
        """Enter all records that count still and are in no log; return how many there were.

        now: epoch seconds. Raises DirectoryUnavailable.
        """
        if self._log.verifier_key is None:
            return 0
        after, done = "", 0
        while missing := await self._store.unlogged(now, after=after, limit=_AT_ONCE):
            after = missing[-1].csi
            left = [each for each in missing if each.digest not in self._under_way]
            await self._enter_all(left)
            done += len(left)
        if done:
            _log.warning("records were not in the log", records=done)
        return done

    async def close(self) -> None:
        """Wait for what is being entered."""
        await asyncio.gather(*self._entering.values(), return_exceptions=True)

    async def _enter_all(self, records: Sequence[StoredRecord]) -> None:
        named = [(each.csi, each.digest) for each in records]
        found = await self._log.find("record", named) if named else {}
        entering = []
        for each in records:
            index = found.get((each.csi, each.digest))
            if index is not None:
                await self._note(each, index)
            else:
                entering.append(self.enter(each, is_new=True))
        results = await asyncio.gather(*entering, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _enter(self, record: StoredRecord, is_new: bool) -> None:
        name = (record.csi, record.digest)
        index = None if is_new else (await self._log.find("record", [name])).get(name)
        if index is None:
            index = await self._log.append("record", record.csi, record.digest)
        if index is not None:
            await self._note(record, index)

    def _entered(self, digest: str, task: asyncio.Task[None]) -> None:
        del self._entering[digest]
        if not task.cancelled():
            task.exception()  # whoever waited may have left

    async def _note(self, record: StoredRecord, index: int) -> None:
        await self._store.set_log_index(record.csi, record.thumbprint, record.digest, index)
