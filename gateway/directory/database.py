"""The directory's database: SQLite by default, PostgreSQL by its URL, one code path for both.

Writers come one after the other for each identifier: on SQLite since every write transaction takes
the lock when it begins, on PostgreSQL by an advisory lock. Several processes may share a database.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, MetaData, NullPool, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from gateway.directory.database_errors import cause_of, driver_errors
from gateway.directory.point_reads import PointReads

metadata: Final = MetaData()
_SQLITE_SCHEMES: Final = "sqlite+aiosqlite"
_POSTGRESQL: Final = "postgresql+asyncpg"
# What may stand behind the question mark of a PostgreSQL URL: other names the driver refuses only
# when it connects, and not in words that help.
_POSTGRESQL_OPTIONS: Final = frozenset({"ssl", "host", "port", "prepared_statement_cache_size"})
_CONNECTING: Final = 5.0
_STATEMENT: Final = 15.0
_POOL_WAIT: Final = 10.0
_UPGRADING_LOCK: Final = "schema"


class DirectoryUnavailable(Exception):
    """The database could not be read or written; the message names the culprit."""


class Database:
    """Connections for reading and for writing.

    `failing` says what the last one failed of, empty where it did not; `faults` counts that.
    `point_reads` reads by a key without a thread between, None where the database is no file.
    url: `sqlite+aiosqlite:///FILE` or `postgresql+asyncpg://USER:PASSWORD@HOST/NAME`; readers and,
    on PostgreSQL, writers: connections of each kind. Raises ValueError for another URL or a driver
    that is not installed, without quoting the password.
    """

    def __init__(self, url: str, *, readers: int = 4) -> None:
        parsed = _parsed(url)
        self.is_sqlite = parsed.drivername == _SQLITE_SCHEMES
        self.file = Path(parsed.database or "") if self.is_sqlite else None
        self._url = parsed
        self.failing = ""
        self.faults: Counter[tuple[str, ...]] = Counter()
        try:
            self._errors = driver_errors(postgresql=not self.is_sqlite)
            self._reader = self._engine(isolation_level="AUTOCOMMIT", pool_size=readers)
            # SQLite has one writer whatever we do; several connections would only wait for it.
            self._writer = self._engine(
                isolation_level=None if self.is_sqlite else "READ COMMITTED",
                pool_size=1 if self.is_sqlite else readers,
            )
        except (NoSuchModuleError, ImportError):
            raise ValueError(f"the driver of {parsed.drivername} is not installed") from None
        self.point_reads: PointReads | None = None
        if self.is_sqlite:
            self.point_reads = PointReads(Path(parsed.database or ""))
            _prepare_sqlite(self._reader, immediate=False)
            _prepare_sqlite(self._writer, immediate=True)

    async def upgrade(self) -> None:
        """Make the tables, or bring them up to this program's version, in one transaction.

        Of several processes that start at once one does it. Raises DirectoryUnavailable, also for a
        database that a newer program has upgraded.
        """
        from gateway.directory.schema import NewerSchema, upgrade  # slow to import, needed once

        # Without the limits on time of other statements: a large table may take a while.
        limits = {} if self.is_sqlite else {"timeout": _CONNECTING}
        engine = create_async_engine(self._url, poolclass=NullPool, connect_args=limits)
        if self.is_sqlite:
            _prepare_sqlite(engine, immediate=True, patience=60)
        try:
            async with engine.begin() as connection:
                await self._lock(connection, _UPGRADING_LOCK)
                await connection.run_sync(upgrade)
        except NewerSchema as error:
            raise DirectoryUnavailable(str(error)) from None
        except self._errors as error:
            raise self.failed(error) from None
        finally:
            await engine.dispose()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection that only reads, outside any transaction; raises DirectoryUnavailable."""
        try:
            async with self._reader.connect() as connection:
                yield connection
            self.failing = ""
        except self._errors as error:
            raise self.failed(error) from None

    @asynccontextmanager
    async def writing(self, key: str) -> AsyncIterator[AsyncConnection]:
        """A transaction that no other one with the same key runs beside, in whatever process.

        It is rolled back where the body raises. Raises DirectoryUnavailable.
        """
        try:
            async with self._writer.begin() as connection:
                await self._lock(connection, key)
                yield connection
            self.failing = ""
        except self._errors as error:
            raise self.failed(error) from None

    @asynccontextmanager
    async def counting(self) -> AsyncIterator[AsyncConnection]:
        """A transaction of which a crash of the server may lose the last second, not for SQLite.

        Raises DirectoryUnavailable.
        """
        try:
            async with self._writer.begin() as connection:
                await connection.execute(text("SET LOCAL synchronous_commit TO off"))
                yield connection
            self.failing = ""
        except self._errors as error:
            raise self.failed(error) from None

    def failed(self, error: BaseException) -> DirectoryUnavailable:
        """Count what a driver raised, and return what to raise for it."""
        self.failing = cause_of(error)
        self.faults[(self.failing,)] += 1
        return DirectoryUnavailable(self.failing)

    def octets(self) -> int:
        """Return the size of the file, 0 where it is none or cannot be looked at."""
        try:
            return self.file.stat().st_size if self.file is not None else 0
        except OSError:
            return 0

    async def close(self) -> None:
        """Close every connection."""
        if self.point_reads is not None:
            self.point_reads.close()
        await self._reader.dispose()
        await self._writer.dispose()

    async def _lock(self, connection: AsyncConnection, key: str) -> None:
        if self.is_sqlite:
            return
        number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], signed=True)
        await connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})

    def _engine(self, *, isolation_level: Any, pool_size: int) -> AsyncEngine:
        limits: dict[str, object] = {}
        if not self.is_sqlite:
            limits = {
                "timeout": _CONNECTING,
                "command_timeout": _STATEMENT,
                "server_settings": {"application_name": "spingate directory"},
            }
        chosen = {} if isolation_level is None else {"isolation_level": isolation_level}
        return create_async_engine(
            self._url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=_POOL_WAIT,
            connect_args=limits,
            **chosen,
        )


def sqlite_url(file: Path) -> str:
    """Return the URL of a SQLite file."""
    return f"{_SQLITE_SCHEMES}:///{file}"


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Not as the library says it: it quotes what may be a piece of the password.
        raise ValueError("not a database URL") from None
    if parsed.drivername not in (_SQLITE_SCHEMES, _POSTGRESQL):
        raise ValueError(f"begins with neither {_SQLITE_SCHEMES} nor {_POSTGRESQL}")
    unknown = sorted(set(parsed.query) - _POSTGRESQL_OPTIONS)
    if parsed.drivername == _POSTGRESQL and unknown:
        known = ", ".join(sorted(_POSTGRESQL_OPTIONS))
        raise ValueError(f"has the option '{unknown[0]}'; the driver takes {known}")
    return parsed


def _prepare_sqlite(engine: AsyncEngine, *, immediate: bool, patience: int = 5) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        # The transaction begins where we say so, not at the first change (SQLAlchemy's own
        # recipe for SQLite): what was read before must hold when something is written.
        if immediate:
            connection.isolation_level = None
        cursor = connection.cursor()
        # First of all: even to switch to WAL takes a lock that another process may hold.
        cursor.execute(f"PRAGMA busy_timeout={patience * 1000}")
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA cache_size=-65536")
        cursor.close()

    if immediate:

        @event.listens_for(engine.sync_engine, "begin")
        def begun(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
