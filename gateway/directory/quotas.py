"""Lookups of each peer and day (UTC), counted in the database by all processes together.

A process takes a block of a peer's quota at a time, at most a hundredth of it, so that most lookups
ask no database. What it has left is given back when it stops; one that is killed has used it up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Integer,
    String,
    Table,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from discovery.directory.challenge_limits import DAY
from gateway.directory.database import Database, metadata

_MAX_PEER: Final = 64
_BIG: Final = BigInteger().with_variant(Integer(), "sqlite")
_quotas: Final = Table(
    "dp_lookup_quotas",
    metadata,
    Column("peer", String(_MAX_PEER), primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("used", _BIG, nullable=False),
)
_LARGEST_BLOCK: Final = 1_000
_PARTS: Final = 100
# Another process may give back what it did not need: worth a look now and then.
_ASKED_AGAIN: Final = 60.0


class Quotas(Protocol):
    """Counts lookups of peers."""

    async def take(self, peer: str, per_day: int) -> bool:
        """Count one lookup; False where the day's quota is used up.

        Raises DirectoryUnavailable.
        """
        ...


@dataclass(slots=True)
class _Block:
    """What is left of a block of a day's lookups; empty, when to ask for another."""

    day: int
    left: int
    again_at: float = 0.0


class LookupQuotas:
    """The quotas of configured peers; wall_clock gives epoch seconds."""

    def __init__(self, database: Database, wall_clock: Callable[[], float]) -> None:
        self._database = database
        self._wall_clock = wall_clock
        self._blocks: dict[str, _Block] = {}
        self._taking: dict[str, asyncio.Lock] = {}

    async def take(self, peer: str, per_day: int) -> bool:
        """Count one lookup; False where the day's quota is used up.

        Raises DirectoryUnavailable.
        """
        if self._take(peer):
            return True
        async with self._taking.setdefault(peer, asyncio.Lock()):
            if self._take(peer):  # somebody else got a block meanwhile
                return True
            now = self._wall_clock()
            today, block = int(now // DAY), self._blocks.get(peer)
            if block is not None and block.day == today and now < block.again_at:
                return False
            got = await self._another(peer, today, per_day)
            if not got:
                self._blocks[peer] = _Block(today, 0, now + _ASKED_AGAIN)
                return False
            self._blocks[peer] = _Block(today, got - 1)
            return True

    async def sweep(self, now: float) -> None:
        """Forget days before yesterday; raises DirectoryUnavailable."""
        async with self._database.writing("quotas") as connection:
            await connection.execute(delete(_quotas).where(_quotas.c.day < int(now // DAY) - 1))

    async def close(self) -> None:
        """Give back what was not used. Raises DirectoryUnavailable."""
        blocks, self._blocks = self._blocks, {}
        for peer, block in blocks.items():
            if block.left:
                async with self._database.writing(_lock(peer)) as connection:
                    used = _quotas.c.used - block.left
                    await connection.execute(
                        update(_quotas).where(_of(peer, block.day)).values(used=used)
                    )

    def _take(self, peer: str) -> bool:
        block = self._blocks.get(peer)
        if block is None or block.left <= 0 or block.day != int(self._wall_clock() // DAY):
            return False
        block.left -= 1
        return True

    async def _another(self, peer: str, day: int, per_day: int) -> int:
        size = max(1, min(_LARGEST_BLOCK, per_day // _PARTS))
        async with self._database.writing(_lock(peer)) as connection:
            used = await _used(connection, peer, day)
            got = max(0, min(size, per_day - (used or 0)))
            if used is None:
                await connection.execute(insert(_quotas).values(peer=peer, day=day, used=got))
            elif got:
                await connection.execute(
                    update(_quotas).where(_of(peer, day)).values(used=used + got)
                )
        return got


async def _used(connection: AsyncConnection, peer: str, day: int) -> int | None:
    found = await connection.scalar(select(_quotas.c.used).where(_of(peer, day)))
    return None if found is None else int(found)


def _of(peer: str, day: int) -> ColumnElement[bool]:
    return (_quotas.c.peer == peer) & (_quotas.c.day == day)


def _lock(peer: str) -> str:
    return f"quota {peer}"
