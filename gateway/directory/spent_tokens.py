"""Which tokens were spent, in the database: each once over all processes and restarts.

Tokens that arrive while others are being written are written together, in one transaction. A
process that dies forgets nothing; a machine that loses power may forget the last second, which
could then be spent again (SQLite `synchronous=NORMAL`, PostgreSQL `synchronous_commit=off`).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Final, Protocol

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Integer,
    LargeBinary,
    Table,
    delete,
    func,
    insert,
    select,
    text,
    update,
)

from gateway.directory.database import Database, DirectoryUnavailable, metadata

_DIGEST_OCTETS: Final = 16
_BIG: Final = BigInteger().with_variant(Integer(), "sqlite")
_tokens: Final = Table(
    "dp_spent_tokens",
    metadata,
    Column("key", _BIG, primary_key=True, autoincrement=False),
    Column("digest", LargeBinary(_DIGEST_OCTETS), primary_key=True),
    sqlite_with_rowid=False,
)
_keys: Final = Table(
    "dp_token_keys",
    metadata,
    Column("key", _BIG, primary_key=True, autoincrement=False),
    Column("accepted_at", Float, nullable=False),
    Column("spent", _BIG, nullable=False),
)
_BATCH: Final = 512
_MAX_WAITING: Final = 4_096
_DELETED_AT_ONCE: Final = 5_000
# Each token changes a page or two: some 20 MB of journal.
_CHECKPOINT_AFTER: Final = 2_000
# An issuer's key that no process has taken for so long is taken to be gone for good.
KEPT: Final = 30 * 86_400.0

Spent = tuple[int, bytes]


class SpendsTokens(Protocol):
    """Whoever remembers which tokens were spent."""

    async def spend(self, key_id: bytes, nonce: bytes) -> bool:
        """Spend the nonce of a good token; False where it was spent before.

        Raises DirectoryUnavailable where that cannot be told.
        """
        ...


class _Writer(Protocol):
    """Writes what is not there yet, and returns what was not."""

    async def add(self, spent: Sequence[Spent]) -> set[Spent]: ...

    def close(self) -> None: ...


class SpentTokens:
    """The tokens that were spent, of these issuers' keys (identifiers of RFC 9578).

    max_spent: of all keys in the database together, some 40 octets each; beyond it tokens are
    refused as unavailable. `open` comes before `spend`.
    """

    def __init__(self, database: Database, key_ids: Iterable[bytes], *, max_spent: int) -> None:
        self._database = database
        self._key_numbers = tuple(sorted({_number(key_id) for key_id in key_ids}))
        self._max_spent = max_spent
        file = database.file
        self._writer: _Writer = _Postgresql(database) if file is None else _Sqlite(database, file)
        self._waiting: list[tuple[Spent, asyncio.Future[bool]]] = []
        self._task: asyncio.Task[None] | None = None
        self._kept = 0
        self._added: defaultdict[int, int] = defaultdict(int)

    @property
    def kept(self) -> int:
        """How many are remembered, of all keys."""
        return self._kept + sum(self._added.values())

    async def open(self, now: float) -> None:
        """Note which keys are taken. Raises DirectoryUnavailable."""
        await self._account(now)

    async def spend(self, key_id: bytes, nonce: bytes) -> bool:
        """Spend the nonce of a good token; False where it was spent before.

        Raises DirectoryUnavailable: the database is, or is full, or too many wait.
        """
        if self.kept >= self._max_spent:
            raise DirectoryUnavailable(
                f"{self._max_spent} spent tokens are kept: oblivious.max_spent_tokens"
            )
        if len(self._waiting) >= _MAX_WAITING:
            raise DirectoryUnavailable("too many tokens wait")
        digest = hashlib.blake2b(nonce, digest_size=_DIGEST_OCTETS).digest()
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(((_number(key_id), digest), future))
        if self._task is None:
            self._task = asyncio.create_task(self._write_all(), name="spent tokens")
        return await future

    async def sweep(self, now: float) -> None:
        """Note which keys are taken still, and forget the tokens of keys that nobody takes.

        Raises DirectoryUnavailable.
        """
        await self._account(now)
        for key in await self._retired(now):
            gone = _DELETED_AT_ONCE
            while gone == _DELETED_AT_ONCE:  # others write in between
                gone = await self._forget(key)

    async def close(self) -> None:
        """Write what waits, and what was counted."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        self._writer.close()

    async def _account(self, now: float) -> None:
        """Add what was counted here to what all processes count."""
        added, self._added = self._added, defaultdict(int)
        try:
            async with self._database.writing("token keys") as connection:
                for key in sorted({*self._key_numbers, *added}):
                    values = {"accepted_at": now, "spent": _keys.c.spent + added[key]}
                    done = await connection.execute(
                        update(_keys).where(_keys.c.key == key).values(values)
                    )
                    if not done.rowcount:
                        await connection.execute(
                            insert(_keys).values(key=key, accepted_at=now, spent=added[key])
                        )
                self._kept = int(await connection.scalar(select(func.sum(_keys.c.spent))) or 0)
        except DirectoryUnavailable:
            for key, count in added.items():
                self._added[key] += count
            raise

    async def _retired(self, now: float) -> Sequence[int]:
        async with self._database.reading() as connection:
            return (
                await connection.scalars(
                    select(_keys.c.key).where(_keys.c.accepted_at < now - KEPT)
                )
            ).all()

    async def _forget(self, key: int) -> int:
        async with self._database.writing("token keys") as connection:
            some = select(_tokens.c.digest).where(_tokens.c.key == key).limit(_DELETED_AT_ONCE)
            done = await connection.execute(
                delete(_tokens).where(_tokens.c.key == key, _tokens.c.digest.in_(some))
            )
            if done.rowcount < _DELETED_AT_ONCE:
                await connection.execute(delete(_keys).where(_keys.c.key == key))
            return done.rowcount

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
                await self._write(batch)
        finally:
            self._task = None

    async def _write(self, batch: Sequence[tuple[Spent, asyncio.Future[bool]]]) -> None:
        try:
            fresh = await self._writer.add([spent for spent, _ in batch])
        except DirectoryUnavailable as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(DirectoryUnavailable(str(error)))
            return
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        for key, _ in fresh:
            self._added[key] += 1
        for spent, future in batch:
            if not future.done():
                future.set_result(spent in fresh)
            fresh.discard(spent)  # the first of two that came together has it


class _Sqlite:
    """Writes on the loop, which takes 30 us and syncs nothing; in a thread while others write.

    What is written is moved from the journal into the file, which does sync, in the thread.
    """

    def __init__(self, database: Database, file: Path) -> None:
        self._database = database
        self._file = file
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spent tokens")
        self._here: sqlite3.Connection | None = None
        self._there: sqlite3.Connection | None = None
        self._since_checkpoint = 0

    async def add(self, spent: Sequence[Spent]) -> set[Spent]:
        loop = asyncio.get_running_loop()
        self._since_checkpoint += len(spent)
        if self._since_checkpoint >= _CHECKPOINT_AFTER:
            self._since_checkpoint = 0
            self._thread.submit(self._checkpoint)
        try:
            self._here = self._here or self._connect(patience=0.0)
            return self._add(self._here, spent)
        except sqlite3.Error:
            pass  # somebody writes at present, or something is wrong: the thread will tell
        try:
            return await loop.run_in_executor(self._thread, self._add_patiently, spent)
        except sqlite3.Error as error:
            raise self._database.failed(error) from None

    def close(self) -> None:
        self._thread.submit(self._close_there)
        self._thread.shutdown(wait=True)
        if self._here is not None:
            self._here.close()

    def _add_patiently(self, spent: Sequence[Spent]) -> set[Spent]:
        self._there = self._there or self._connect(patience=5.0)
        return self._add(self._there, spent)

    def _add(self, connection: sqlite3.Connection, spent: Sequence[Spent]) -> set[Spent]:
        connection.execute("BEGIN IMMEDIATE")
        try:
            with closing(connection.cursor()) as cursor:
                fresh = {
                    each
                    for each in spent
                    if cursor.execute(
                        "INSERT INTO dp_spent_tokens (key, digest) VALUES (?, ?) "
                        "ON CONFLICT DO NOTHING",
                        each,
                    ).rowcount
                }
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return fresh

    def _checkpoint(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # another time, or by another connection
            self._there = self._there or self._connect(patience=5.0)
            self._there.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _connect(self, *, patience: float) -> sqlite3.Connection:
        connection = sqlite3.connect(self._file, isolation_level=None, timeout=patience)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint=0")
        return connection

    def _close_there(self) -> None:
        if self._there is not None:
            self._there.close()


class _Postgresql:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, spent: Sequence[Spent]) -> set[Spent]:
        by_key: defaultdict[int, set[bytes]] = defaultdict(set)
        for key, digest in spent:
            by_key[key].add(digest)
        fresh: set[Spent] = set()
        async with self._database.counting() as connection:
            for key in sorted(by_key):
                # In order, so that of two processes with the same tokens none waits for the other.
                values = {"key": key, "digests": sorted(by_key[key])}
                found = await connection.scalars(_INSERT, values)
                fresh.update((key, bytes(digest)) for digest in found)
        return fresh

    def close(self) -> None:
        """Nothing is ours."""


_INSERT: Final = text(
    "INSERT INTO dp_spent_tokens (key, digest) "
    "SELECT :key, unnest(CAST(:digests AS bytea[])) ON CONFLICT DO NOTHING RETURNING digest"
)


def _number(key_id: bytes) -> int:
    return int.from_bytes(key_id[:8], signed=True)
