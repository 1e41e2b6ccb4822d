"""Keeps a bucket store like the records of this directory.

Each identifier with records has one entry a generation. It is put when a record changes, sealed
anew before what the directory signed in it ends, and removed with the records. All there is to do
stands in a file, by when it is due; a store that lost everything, and a new generation of keys, are
filled by making all of it due.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from discovery.directory.answer import MAX_RECORDS, Answer, LoggedRecord, status_of
from discovery.directory.entry import build_entry
from discovery.directory.identifier import parse_identifier
from discovery.directory.jws import Signer
from discovery.directory.reason import Refused
from discovery.privacy.reason import PrivacyError
from discovery.privacy.split_storage import EvaluationKeys, StorageSecrets
from gateway.directory.database import DirectoryUnavailable
from gateway.directory.log_sink import LogSink
from gateway.directory.record_store import RecordStore, StoredRecord, live
from gateway.directory_log.log import LogUnavailable
from gateway.http.fetch import FetchFailed
from gateway.split_storage.asking import EvaluatorClient
from gateway.split_storage.filled import Filled, FilledStore, FilledUnavailable
from gateway.split_storage.paths import MAX_BATCH
from gateway.split_storage.writing import BucketWriter

_log = structlog.get_logger("split_storage")
_PAGE: Final = 500
_EVALUATING: Final = 30.0
_LONGEST_PAUSE: Final = 60.0
_IDLE: Final = 60.0
_PROOF_SOON: Final = 5.0
_NEVER: Final = float("inf")
_FAILURES: Final = (FetchFailed, DirectoryUnavailable, FilledUnavailable)


@dataclass(frozen=True, slots=True)
class FillerSettings:
    """refresh: seconds after which an entry is made anew, which lives twice as long; compare:
    seconds between two comparisons of all records with what was put."""

    directory: str
    keys: tuple[EvaluationKeys, ...]
    refresh: float
    compare: float


class Filler:
    """Fills one store. `run` does it for ever; `step` does what is due, for tests too.

    wall_clock gives epoch seconds. `outcomes` counts what was done.
    """

    def __init__(
        self,
        settings: FillerSettings,
        records: RecordStore,
        log: LogSink,
        signer: Signer,
        filled: FilledStore,
        evaluator: EvaluatorClient,
        writer: BucketWriter,
        wall_clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._records = records
        self._log = log
        self._signer = signer
        self._filled = filled
        self._evaluator = evaluator
        self._writer = writer
        self._wall_clock = wall_clock
        self._changed = asyncio.Event()
        self._compare_at = 0.0
        self._check_at = 0.0
        self._restarted: set[str] = set()
        self._touched: set[str] = set()
        self.outcomes: Counter[str] = Counter()

    def changed(self, csi: str) -> None:
        """Hear that the records of an identifier are others now."""
        self._touched.add(csi)
        try:
            self._filled.mark([csi])
        except FilledUnavailable as error:
            # The comparison of all records finds it later.
            _log.warning("change not noted", culprit="split-storage.db", detail=str(error))
        self._changed.set()

    async def run(self) -> None:
        """Do what is due, for ever; after a failure, again after a pause."""
        failures = 0
        while True:
            try:
                if not await self.step():
                    await self._rest()
                failures = 0
            except _FAILURES as error:
                failures += 1
                culprit = error.culprit if isinstance(error, FetchFailed) else "database"
                _log.warning("store not filled", culprit=culprit, detail=str(error))
                await asyncio.sleep(min(_LONGEST_PAUSE, 2.0**failures) * random.uniform(0.5, 1.0))  # noqa: S311

    async def step(self) -> bool:
        """Do up to 16 of the identifiers that are due; tell whether there may be more.

        Raises FetchFailed, DirectoryUnavailable, FilledUnavailable.
        """
        now = self._wall_clock()
        if now >= self._check_at:
            await self._check_store()
            self._check_at = now + _IDLE
        if now >= self._compare_at:
            await self._compare()
            self._compare_at = now + self._settings.compare
        self._changed.clear()
        due = self._filled.due(now, MAX_BATCH)
        if due:
            await self._do(due, now)
            return True
        for generation in sorted(self._restarted):
            self._restarted.discard(generation)
            await self._heard(generation, await self._writer.complete(generation))
            _log.info("store is complete", generation=generation)
        return False

    async def _rest(self) -> None:
        """Wait for a change, or until something is due."""
        now = self._wall_clock()
        until = min(self._filled.next_due() or _NEVER, self._check_at, self._compare_at)
        try:
            async with asyncio.timeout(min(max(until - now, 0.1), _IDLE)):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _check_store(self) -> None:
        """See whether the store is the one we filled, and has the generations that it should."""
        description = await self._writer.describe()
        if description.entry_seconds < 2 * self._settings.refresh:
            _log.error(
                "entries may be dropped before they are renewed",
                culprit="split_storage.refresh_seconds",
                detail=f"the store keeps them {description.entry_seconds:g} s",
            )
        wanted = {keys.generation for keys in self._settings.keys}
        for generation in (set(description.complete) | description.incomplete) - wanted:
            await self._writer.drop(generation)
        filled = self._filled.instances()
        for generation in set(filled) - wanted:
            self._filled.drop(generation)
        for generation in sorted(wanted):
            if filled.get(generation) != description.instance:
                await self._begin(generation, description.instance)
            elif generation not in description.complete:
                self._restarted.add(generation)

    async def _heard(self, generation: str, instance: str) -> None:
        if self._filled.instances().get(generation) != instance:
            await self._begin(generation, instance)

    async def _begin(self, generation: str, instance: str) -> None:
        """Fill a store from the beginning."""
        _log.info("store is filled from the beginning", generation=generation)
        self._filled.begin(generation, instance)
        after: str | None = ""
        while after is not None:
            after = self._filled.mark_after(after, _PAGE)
            await asyncio.sleep(0)
        self._restarted.add(generation)
        self._compare_at = 0.0

    async def _compare(self) -> None:
        """Find identifiers whose records are not those that were put, whatever the reason."""
        now, after, more = self._wall_clock(), "", True
        while more:
            page = await self._records.after(after, _PAGE)
            more = len(page) == _PAGE
            after = page[-1].csi if more else ""
            # The last identifier of a full page may go on in the next, and is taken from there.
            held = _by_csi([record for record in page if record.csi != after])
            if more:
                after = page[-1 - sum(record.csi == after for record in page)].csi
            known = self._filled.known(list(held))
            differing = [
                csi
                for csi, records in held.items()
                if known.get(csi) != _digests(live(records, now))
            ]
            self._filled.mark(differing)
        csis = self._filled.after("", _PAGE)
        while csis:
            found = await self._records.find(csis)
            self._filled.mark([csi for csi in csis if not found[csi]])
            csis = self._filled.after(csis[-1], _PAGE)

    async def _do(self, due: Sequence[str], now: float) -> None:
        self._touched.difference_update(due)
        found = await self._records.find(due)
        standing = {csi: live(found[csi], now)[:MAX_RECORDS] for csi in due}
        entries: dict[str, tuple[bytes, float]] = {}
        for csi, records in standing.items():
            if records:
                entry = await self._entry(csi, records, now)
                if entry is not None:
                    entries[csi] = entry
        gone = [csi for csi in due if csi not in entries]
        for keys in self._settings.keys:
            await self._put(keys, {csi: entry for csi, (entry, _) in entries.items()})
            await self._remove(keys.generation, gone)
        kept, forgotten = [], []
        for csi in due:
            if csi in self._touched:
                continue  # changed meanwhile: still due
            waiting = min((r.live_at for r in found[csi] if r.live_at > now), default=_NEVER)
            if csi in entries:
                ends = min(record.until for record in standing[csi])
                at = min(waiting, ends, entries[csi][1])
                kept.append(Filled(csi, _digests(standing[csi]), at))
            elif waiting < _NEVER or standing[csi]:
                at = min(waiting, now + self._settings.refresh)
                kept.append(Filled(csi, _digests(standing[csi]), at))
            else:
                forgotten.append(csi)
        self._filled.keep(kept)
        self._filled.forget(forgotten)
        self.outcomes["put"] += len(entries)
        self.outcomes["removed"] += len(gone)

    async def _entry(
        self, csi: str, records: Sequence[StoredRecord], now: float
    ) -> tuple[bytes, float] | None:
        """Return what to seal, and when it has to be made anew at the latest."""
        entry = Answer(
            directory=self._settings.directory,
            csi=parse_identifier(csi),
            issued_at=int(now),
            status=status_of(records),
            digests=tuple(record.digest for record in records),
            checkpoint=self._log.checkpoint,
            lifetime=int(2 * self._settings.refresh),
        )
        proofs = [await self._proof(record) for record in records]
        logged = [
            LoggedRecord(record.token, record.chain, proof)
            for record, proof in zip(records, proofs, strict=True)
        ]
        # Spread, so that what was filled at once is not due at once for ever.
        again = now + self._settings.refresh * random.uniform(0.75, 1.0)  # noqa: S311
        if self._log.verifier_key is not None and None in proofs:
            again = now + _PROOF_SOON
        try:
            return build_entry(entry, logged, self._signer), again
        except Refused as refused:
            _log.error("entry cannot be made", identifier=entry.csi.shown, reason=str(refused))
            self.outcomes["oversized"] += 1
            return None

    async def _proof(self, record: StoredRecord) -> dict[str, object] | None:
        try:
            proof = await self._log.proof("record", record.csi, record.digest, record.log_index)
        except LogUnavailable:
            return None
        return None if proof is None else dict(proof)

    async def _put(self, keys: EvaluationKeys, entries: dict[str, bytes]) -> None:
        if not entries:
            return
        generation = keys.generation
        secrets = await self._secrets(keys, list(entries))
        sealed, unsealed = [], []
        for csi, entry in entries.items():
            try:
                sealed.append((secrets[csi].label, secrets[csi].seal(entry)))
            except PrivacyError as error:
                _log.error("entry cannot be sealed", culprit="record", detail=str(error))
                self.outcomes["oversized"] += 1
                unsealed.append(csi)
        await self._remove(generation, unsealed)
        if sealed:
            await self._heard(generation, await self._writer.put(generation, sealed))

    async def _remove(self, generation: str, csis: Sequence[str]) -> None:
        """Remove entries; what has no label was never put."""
        labels = [each.label for each in self._filled.secrets(generation, csis).values()]
        if labels:
            await self._heard(generation, await self._writer.remove(generation, labels))

    async def _secrets(
        self, keys: EvaluationKeys, csis: Sequence[str]
    ) -> dict[str, StorageSecrets]:
        known = self._filled.secrets(keys.generation, csis)
        unknown = [csi for csi in csis if csi not in known]
        if unknown:
            asked = await self._evaluator.secrets(unknown, keys, timeout=_EVALUATING)
            made = list(zip(unknown, asked, strict=True))
            self._filled.keep_secrets(keys.generation, made)
            known.update(made)
        return known


def _by_csi(records: Sequence[StoredRecord]) -> dict[str, list[StoredRecord]]:
    held: dict[str, list[StoredRecord]] = {}
    for record in records:
        held.setdefault(record.csi, []).append(record)
    return held


def _digests(records: Sequence[StoredRecord]) -> str:
    return " ".join(sorted(record.digest for record in records))
