"""What SPIN must not forget when the process ends: kept by kind and name until it expires.

The engines hold everything in memory and decide there; what is kept here is written before anybody
outside can see its consequence (an answer posted, a message sent, a nonce used), and read once at
the start. So a process killed at any moment takes no invitation twice and loses no answer it owes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from sqlalchemy import Delete, Insert, delete, insert, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from discovery.spin.handlers import StoreUnavailable
from gateway.agent_tables import create_missing
from gateway.agent_tables import kept as _kept

MAX_READ: Final = 100_000


class Kind(StrEnum):
    """What is kept."""

    INVITATION = "invitation"  # taken, so that it counts once
    WEBHOOK = "webhook"  # signed requests, the same
    NONCE = "nonce"
    REFERENCE = "reference"
    POSTPONED = "postponed"
    WAITING = "waiting"
    CARRIAGE = "carriage"


@dataclass(frozen=True, slots=True)
class Kept:
    """One entry; `until` in epoch seconds, `value` is what its kind makes of it."""

    name: str = field(repr=False)
    until: float
    value: str = field(default="", repr=False)


class Keeper(Protocol):
    """Whoever keeps; every method raises StoreUnavailable."""

    async def add(self, kind: Kind, entry: Kept) -> bool:
        """Keep a new entry; False where there is one of its name already."""
        ...

    async def put(self, kind: Kind, entry: Kept) -> None:
        """Keep an entry in the place of the one of its name."""
        ...

    async def remove(self, kind: Kind, name: str) -> bool:
        """Forget an entry; False where there was none."""
        ...

    async def all(self, kind: Kind, now: float) -> list[Kept]:
        """Return what has not expired, the latest to expire first; 100,000 entries at most."""
        ...

    async def sweep(self, now: float) -> int:
        """Forget what has expired; return how many."""
        ...


class KeptInMemory:
    """A Keeper that forgets with the process: where there is no database."""

    def __init__(self) -> None:
        self.held: dict[tuple[Kind, str], Kept] = {}

    async def add(self, kind: Kind, entry: Kept) -> bool:
        return self.held.setdefault((kind, entry.name), entry) is entry

    async def put(self, kind: Kind, entry: Kept) -> None:
        self.held[kind, entry.name] = entry

    async def remove(self, kind: Kind, name: str) -> bool:
        return self.held.pop((kind, name), None) is not None

    async def all(self, kind: Kind, now: float) -> list[Kept]:
        held = [entry for (of, _), entry in self.held.items() if of is kind and entry.until > now]
        return sorted(held, key=lambda entry: -entry.until)[:MAX_READ]

    async def sweep(self, now: float) -> int:
        expired = [key for key, entry in self.held.items() if entry.until <= now]
        for key in expired:
            del self.held[key]
        return len(expired)


class SqlKeeper:
    """A Keeper over any database SQLAlchemy reaches; `engine` belongs to whoever made it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def create_tables(self) -> None:
        """Make what tables are missing."""
        async with self._transaction() as connection:
            await connection.run_sync(create_missing)

    async def add(self, kind: Kind, entry: Kept) -> bool:
        try:
            async with self._transaction() as connection:
                await connection.execute(_insert(kind, entry))
        except _NameTaken:
            return False
        return True

    async def put(self, kind: Kind, entry: Kept) -> None:
        try:
            async with self._transaction() as connection:
                await connection.execute(_delete(kind, entry.name))
                await connection.execute(_insert(kind, entry))
        except _NameTaken:
            # Another process of ours put it in the same instant; either of the two may stay.
            return

    async def remove(self, kind: Kind, name: str) -> bool:
        async with self._transaction() as connection:
            removed = await connection.execute(_delete(kind, name))
        return removed.rowcount > 0

    async def all(self, kind: Kind, now: float) -> list[Kept]:
        wanted = (
            select(_kept.c.name, _kept.c.until, _kept.c.value)
            .where(_kept.c.kind == str(kind), _kept.c.until > now)
            .order_by(_kept.c.until.desc(), _kept.c.name)
            .limit(MAX_READ)
        )
        async with self._transaction() as connection:
            rows = (await connection.execute(wanted)).all()
        return [Kept(str(name), float(until), str(value)) for name, until, value in rows]

    async def sweep(self, now: float) -> int:
        async with self._transaction() as connection:
            removed = await connection.execute(delete(_kept).where(_kept.c.until <= now))
        return int(removed.rowcount)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.begin() as connection:
                yield connection
        except IntegrityError:
            raise _NameTaken from None
        except SQLAlchemyError as error:
            place = self._engine.url.render_as_string(hide_password=True)
            raise StoreUnavailable(f"database {place}: {type(error).__name__}") from None


class _NameTaken(Exception):
    """There is an entry of this kind and name."""


def _insert(kind: Kind, entry: Kept) -> Insert:
    return insert(_kept).values(
        kind=str(kind), name=entry.name, until=entry.until, value=entry.value
    )


def _delete(kind: Kind, name: str) -> Delete:
    return delete(_kept).where(_kept.c.kind == str(kind), _kept.c.name == name)
