"""A directory's log at work: takes entries, signs a tree a second at most, has it witnessed.

One batch is one write, one signature and one round of the witnesses. An entry is taken once its
tree is on the disk; it is proven by the published checkpoint, which the witnesses have cosigned.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import structlog

from discovery.log.checkpoint import SignedCheckpoint, sign_checkpoint
from discovery.log.entry import LogEntry
from discovery.log.logged import InclusionProof
from discovery.log.note import NoteSigner, SignatureLine
from discovery.log.reason import LogRefusal, LogRefused
from gateway.directory.database import DirectoryUnavailable
from gateway.directory_log.store import LogCorrupted, LogStore
from gateway.metrics import Exposition

_log = structlog.get_logger("directory_log")
_T = TypeVar("_T")
# Refusals of a witness after which the log must not sign anything more.
_FATAL: Final = {LogRefusal.SPLIT_VIEW, LogRefusal.INCONSISTENT, LogRefusal.ROLLED_BACK}


class LogUnavailable(DirectoryUnavailable):
    """The log takes no entry now: full queue, full disk, stopped, or halted for an operator."""


class WitnessAsked(Protocol):
    """A witness that is asked over whatever leads to it."""

    @property
    def name(self) -> str: ...

    async def cosign(self, signed: SignedCheckpoint, store: LogStore) -> SignatureLine:
        """Return its cosignature. Raises LogRefused."""
        ...


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How a log works; times in seconds.

    interval: between two trees, at least. max_batch: entries a tree; max_waiting: entries waiting,
    any more are refused. quorum: cosignatures without which no checkpoint is published. refresh:
    a checkpoint that stands is cosigned anew after this long, so that it does not look stale.
    publish_wait: how long an entry that is stored waits to be published before it is acknowledged.
    """

    interval: float = 1.0
    max_batch: int = 10_000
    max_waiting: int = 50_000
    quorum: int = 1
    refresh: float = 600.0
    publish_wait: float = 3.0


class DirectoryLog:
    """Owns a LogStore and what is done to it. `run` does the work until it is cancelled.

    wall_clock: epoch seconds. `halted` says why the log signs nothing any more, empty while it
    does: witnesses have seen another tree of it, so it was restored from a backup or copied.
    """

    def __init__(
        self,
        store: LogStore,
        signer: NoteSigner,
        witnesses: Sequence[WitnessAsked] = (),
        settings: LogSettings | None = None,
        *,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._signer = signer
        self._witnesses = tuple(witnesses)
        self._settings = settings or LogSettings()
        self._wall_clock = wall_clock
        self._waiting: deque[tuple[bytes, asyncio.Future[int]]] = deque()
        self._wake = asyncio.Event()
        self._grown = asyncio.Event()
        self._published = asyncio.Condition()
        self._published_at = self._shown_at = float("-inf")
        self._running = False
        self.halted = ""
        # By witness, and what it said to a checkpoint.
        self.cosigned: Counter[tuple[str, ...]] = Counter()

    @property
    def store(self) -> LogStore:
        """The files."""
        return self._store

    @property
    def verifier_key(self) -> str:
        """The key that verifies the log's signature, as a vkey."""
        return str(self._signer.verifier)

    @property
    def checkpoint(self) -> str | None:
        """The published checkpoint as a note; None before the first."""
        published = self._store.published
        return str(published.note) if published else None

    async def append(self, entry: LogEntry) -> int:
        """Log an entry; return its index once its tree is on the disk.

        Waits up to `publish_wait` seconds for it to be published as well. Raises LogUnavailable.
        """
        if self.halted or not self._running:
            raise LogUnavailable(self.halted or "the log is not running")
        if len(self._waiting) >= self._settings.max_waiting:
            raise LogUnavailable(f"{len(self._waiting)} entries are waiting")
        taken: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry.encode(), taken))
        self._wake.set()
        index = await taken
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.publish_wait), self._published:
                await self._published.wait_for(lambda: self._covers(index))
        return index

    def proof(self, index: int) -> InclusionProof | None:
        """Return the proof of an entry under the published checkpoint; None where it is newer.

        A few dozen short reads, 60 us from the page cache. Raises LogUnavailable.
        """
        published = self._store.published
        if published is None or not 0 <= index < published.checkpoint.size:
            return None
        try:
            path = self._store.inclusion_path(index, published.checkpoint.size)
        except (OSError, LogCorrupted) as error:
            _log.error("log unreadable", detail=str(error))
            raise LogUnavailable("the log cannot be read") from None
        return InclusionProof(index, tuple(path), str(published.note))

    async def find(self, leaves: Set[bytes]) -> dict[bytes, int]:
        """Return the indices of those of these leaf hashes that are stored.

        Raises LogUnavailable.
        """
        try:
            return await asyncio.to_thread(self._store.find, leaves)
        except (OSError, LogCorrupted) as error:
            _log.error("log unreadable", detail=str(error))
            raise LogUnavailable("the log cannot be read") from None

    async def run(self) -> None:
        """Work until cancelled; entries still waiting then are refused."""
        self._running = True
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._take_entries())
                tasks.create_task(self._publish())
        finally:
            self._running = False
            for _, taken in self._waiting:
                _refuse(taken, "the log has stopped")
            self._waiting.clear()

    async def _take_entries(self) -> None:
        if self._store.committed is None:
            await self._grow([])
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                count = min(len(self._waiting), self._settings.max_batch)
                await self._grow([self._waiting.popleft() for _ in range(count)])
                await asyncio.sleep(self._settings.interval)

    async def _grow(self, batch: Sequence[tuple[bytes, asyncio.Future[int]]]) -> None:
        first = self._store.size
        try:
            if self.halted:
                raise LogUnavailable(self.halted)
            await _to_the_end(self._write, [entry for entry, _ in batch])
        except asyncio.CancelledError:
            for _, taken in batch:
                _refuse(taken, "the log has stopped")
            raise
        except (OSError, LogCorrupted, LogUnavailable) as error:
            _log.error("log not written", entries=len(batch), detail=str(error))
            for _, taken in batch:
                _refuse(taken, "the log cannot be written")
            return
        for index, (_, taken) in enumerate(batch, first):
            if not taken.done():
                taken.set_result(index)
        self._grown.set()

    def _write(self, entries: Sequence[bytes]) -> None:
        tree = self._store.append(entries)
        self._store.commit(sign_checkpoint(tree, self._signer))

    async def _publish(self) -> None:
        failures = 0
        while True:
            due = self._published_at + self._settings.refresh - self._wall_clock()
            pause = max(min(due, self._settings.refresh), 0.0)
            if failures:
                pause = min(2.0**failures, 60.0) * self._settings.interval
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._grown.wait()
            self._grown.clear()
            committed = self._store.committed
            if committed is None or self.halted:
                self._published_at = self._wall_clock()
                continue
            failures = 0 if await self._have_witnessed(committed) else min(failures + 1, 6)

    async def _have_witnessed(self, committed: SignedCheckpoint) -> bool:
        asked = [self._ask(witness, committed) for witness in self._witnesses]
        lines = [line for line in await asyncio.gather(*asked) if line is not None]
        if len(lines) < self._settings.quorum or self.halted:
            _log.warning(
                "checkpoint not published", size=committed.checkpoint.size, witnesses=len(lines)
            )
            return False
        note = committed.note.with_signatures(lines)
        try:
            shown = SignedCheckpoint(committed.checkpoint, note)
            await _to_the_end(self._store.publish, shown)
        except OSError as error:
            _log.error("checkpoint not published", detail=error.strerror)
            return False
        self._published_at = self._shown_at = self._wall_clock()
        async with self._published:
            self._published.notify_all()
        return True

    async def _ask(
        self, witness: WitnessAsked, committed: SignedCheckpoint
    ) -> SignatureLine | None:
        try:
            line = await witness.cosign(committed, self._store)
        except LogRefused as error:
            self.cosigned[witness.name, str(error.reason)] += 1
            if error.reason in _FATAL:
                self.halted = f"{witness.name} has seen another tree of this log: {error.detail}"
                _log.error("log halted", witness=witness.name, reason=str(error.reason))
            else:
                _log.warning("not cosigned", witness=witness.name, reason=str(error.reason))
            return None
        self.cosigned[witness.name, "cosigned"] += 1
        return line

    def measure(self, exposition: Exposition) -> None:
        """Add what an operator watches: a log that stands still is not seen from outside."""
        exposition.gauge("log_entries", "Entries of the log", lambda: self._store.size)
        exposition.gauge(
            "log_published_entries",
            "Entries that the published checkpoint covers",
            lambda: shown.checkpoint.size if (shown := self._store.published) else 0,
        )
        exposition.gauge(
            "log_checkpoint_age_seconds",
            "Since the checkpoint was published last; infinite before the first time",
            lambda: self._wall_clock() - self._shown_at,
        )
        exposition.gauge(
            "log_cosignatures",
            "Witnesses that have cosigned the published checkpoint",
            lambda: len(shown.note.signatures) - 1 if (shown := self._store.published) else 0,
        )
        exposition.gauge("log_waiting", "Entries that wait", lambda: len(self._waiting))
        exposition.gauge("log_halted", "Whether it signs nothing more", lambda: bool(self.halted))
        text = "Checkpoints shown to witnesses, by what they said"
        exposition.counts("log_witnessed", text, ("witness", "outcome"), lambda: self.cosigned)

    def _covers(self, index: int) -> bool:
        published = self._store.published
        return published is not None and index < published.checkpoint.size


async def _to_the_end(work: Callable[[_T], None], argument: _T) -> None:
    """Work in a thread, which is waited for even if this is cancelled: the files are in use."""
    task = asyncio.ensure_future(asyncio.to_thread(work, argument))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _refuse(taken: asyncio.Future[int], why: str) -> None:
    if not taken.done():
        taken.set_exception(LogUnavailable(why))
