"""The directory's database: SQLite by default, PostgreSQL by its URL, one code path for both.

Writers come one after the other for each identifier: on SQLite since every write transaction takes
the lock when it begins, on PostgreSQL by an advisory lock.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, MetaData, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from gateway.directory.point_reads import PointReads

metadata: Final = MetaData()
_SQLITE_SCHEMES: Final = "sqlite+aiosqlite"
_POSTGRESQL: Final = "postgresql+asyncpg"


class DirectoryUnavailable(Exception):
    """The database could not be read or written; the message names the culprit."""


class Database:
    """Connections for reading and for writing.

    `point_reads` reads by a key without a thread between, None where the database is no file.
    url: `sqlite+aiosqlite:///FILE` or `postgresql+asyncpg://USER:PASSWORD@HOST/NAME`. Raises
    ValueError for another URL or a driver that is not installed, without quoting the password.
    """

    def __init__(self, url: str, *, readers: int = 4) -> None:
        try:
            parsed = make_url(url)
        except ArgumentError:
            raise ValueError("not a database URL") from None
        self.is_sqlite = parsed.drivername == _SQLITE_SCHEMES
        if not self.is_sqlite and parsed.drivername != _POSTGRESQL:
            raise ValueError(f"begins with neither {_SQLITE_SCHEMES} nor {_POSTGRESQL}")
        try:
            self._reader = create_async_engine(parsed, pool_size=readers, max_overflow=0)
            # SQLite has one writer whatever we do; several connections would only wait for it.
            writers = 1 if self.is_sqlite else readers
            self._writer = create_async_engine(parsed, pool_size=writers, max_overflow=0)
        except (NoSuchModuleError, ImportError):
            raise ValueError(f"the driver of {parsed.drivername} is not installed") from None
        self.point_reads: PointReads | None = None
        if self.is_sqlite:
            self.point_reads = PointReads(Path(parsed.database or ""))
            _prepare_sqlite(self._reader, immediate=False)
            _prepare_sqlite(self._writer, immediate=True)

    async def create_tables(self) -> None:
        """Make what tables are missing; raises DirectoryUnavailable."""

        def create(connection: Connection) -> None:
            metadata.create_all(connection)

        async with self.writing("") as connection:
            await connection.run_sync(create)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection that only reads, outside any transaction; raises DirectoryUnavailable."""
        try:
            async with self._reader.connect() as connection:
                yield await connection.execution_options(isolation_level="AUTOCOMMIT")
        except (SQLAlchemyError, OSError) as error:
            raise DirectoryUnavailable(type(error).__name__) from None

    @asynccontextmanager
    async def writing(self, key: str) -> AsyncIterator[AsyncConnection]:
        """A transaction that no other one with the same key runs beside.

        It is rolled back where the body raises. Raises DirectoryUnavailable.
        """
        try:
            async with self._writer.begin() as connection:
                if not self.is_sqlite:
                    number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], signed=True)
                    lock = text("SELECT pg_advisory_xact_lock(:number)")
                    await connection.execute(lock, {"number": number})
                yield connection
        except (SQLAlchemyError, OSError) as error:
            raise DirectoryUnavailable(type(error).__name__) from None

    async def close(self) -> None:
        """Close every connection."""
        if self.point_reads is not None:
            self.point_reads.close()
        await self._reader.dispose()
        await self._writer.dispose()


def sqlite_url(file: Path) -> str:
    """Return the URL of a SQLite file."""
    return f"{_SQLITE_SCHEMES}:///{file}"


def _prepare_sqlite(engine: AsyncEngine, *, immediate: bool) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        # The transaction begins where we say so, not at the first change (SQLAlchemy's own
        # recipe for SQLite): what was read before must hold when something is written.
        if immediate:
            connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA busy_timeout=5000")
        cursor.execute("PRAGMA cache_size=-65536")
        cursor.close()

    if immediate:

        @event.listens_for(engine.sync_engine, "begin")
        def begun(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
