"""Which log a database belongs to: what is in one must not be kept by a directory without it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, SmallInteger, String, Table, insert, select

from gateway.directory.database import Database, metadata

_MAX_KEY: Final = 512
_log: Final = Table(
    "dp_log",
    metadata,
    Column("only", SmallInteger, primary_key=True, autoincrement=False),
    Column("verifier_key", String(_MAX_KEY), nullable=False),
)


async def log_of(database: Database, own: str | None) -> str | None:
    """Return the key of the log that the database's records are in, ours from now on if none is.

    own: the verifier key of our log, None without one. Raises DirectoryUnavailable.
    """
    async with database.writing("log") as connection:
        found: str | None = await connection.scalar(select(_log.c.verifier_key))
        if found is None and own is not None:
            await connection.execute(insert(_log).values(only=1, verifier_key=own[:_MAX_KEY]))
            return own
    return found
