"""Records, claims and what removals left behind, in the database."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    String,
    Table,
    Text,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from discovery.directory.holding import Claim
from discovery.directory.identifier import MAX_IDENTIFIER
from discovery.directory.registering import Floor
from gateway.directory.database import Database, metadata
from gateway.directory.point_reads import sqlite_text

_THUMBPRINT: Final = String(43)
# Integers of SQLite have 64 bits, whatever the column is called.
_BIG: Final = BigInteger().with_variant(Integer(), "sqlite")
_records: Final = Table(
    "dp_records",
    metadata,
    Column("csi", String(MAX_IDENTIFIER), primary_key=True),
    Column("thumbprint", _THUMBPRINT, primary_key=True),
    Column("token", Text, nullable=False),
    Column("digest", String(43), nullable=False),
    Column("chain", Text, nullable=False),
    Column("drops_others", Boolean, nullable=False),
    Column("opted_out", Boolean, nullable=False),
    Column("live_at", Float, nullable=False),
    Column("until", Float, nullable=False),
    Column("log_index", _BIG, nullable=True),
)
_floors: Final = Table(
    "dp_floors",
    metadata,
    Column("csi", String(MAX_IDENTIFIER), primary_key=True),
    Column("thumbprint", _THUMBPRINT, primary_key=True),
    Column("seq", _BIG, nullable=False),
    Column("kept_until", Float, nullable=False),
)
_removals: Final = Table(
    "dp_removals",
    metadata,
    Column("csi", String(MAX_IDENTIFIER), primary_key=True),
    Column("removed_at", Float, nullable=False),
)
_claims: Final = Table(
    "dp_claims",
    metadata,
    Column("csi", String(MAX_IDENTIFIER), primary_key=True),
    Column("thumbprint", _THUMBPRINT, primary_key=True),
    Column("claimed_at", Float, nullable=False),
    Column("effective_at", Float, nullable=False),
)
_UNLOGGED: Final = text("log_index IS NULL")
Index("dp_records_until", _records.c.until)
Index("dp_records_unlogged", _records.c.csi, sqlite_where=_UNLOGGED, postgresql_where=_UNLOGGED)
Index("dp_floors_until", _floors.c.kept_until)
Index("dp_claims_effective", _claims.c.effective_at)
_OF_ONE: Final = sqlite_text(select(_records).where(_records.c.csi == bindparam("csi")))


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as it is kept; times in epoch seconds.

    `live_at`: when it counts from, later than its arrival where it was held; `until`: the sooner of
    its own and its certificate's end; `drops_others`: those of other keys, once it lives;
    `log_index`: its place in the log, None while it has none.
    """

    csi: str
    thumbprint: str
    token: str = field(repr=False)
    digest: str
    chain: tuple[str, ...] = field(repr=False)
    drops_others: bool
    opted_out: bool
    live_at: float
    until: float
    log_index: int | None = None


def live(records: Iterable[StoredRecord], now: float) -> tuple[StoredRecord, ...]:
    """Return the records of one identifier that count at `now`, in a neutral order."""
    begun = [record for record in records if record.live_at <= now]
    # One that has ended drops them still: a former owner does not come back with its end.
    dropped_before = max((r.live_at for r in begun if r.drops_others), default=0.0)
    counting = (r for r in begun if now < r.until and r.live_at >= dropped_before)
    return tuple(sorted(counting, key=lambda record: record.digest))


class RecordStore:
    """What the directory role keeps. Every method raises DirectoryUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.statements = 0

    async def find(self, csis: Sequence[str]) -> Mapping[str, list[StoredRecord]]:
        """Return all records, live or not, of several identifiers in one statement."""
        self.statements += 1
        async with self._database.reading() as connection:
            rows = await connection.execute(select(_records).where(_records.c.csi.in_(csis)))
            found: dict[str, list[StoredRecord]] = {csi: [] for csi in csis}
            for row in rows:
                found[row.csi].append(_stored(row))
            return found

    async def after(self, csi: str, limit: int) -> list[StoredRecord]:
        """Return up to `limit` records behind an identifier, in the database's order of them."""
        async with self._database.reading() as connection:
            rows = await connection.execute(
                select(_records).where(_records.c.csi > csi).order_by(_records.c.csi).limit(limit)
            )
            return [_stored(row) for row in rows]

    def find_now(self, csi: str) -> list[StoredRecord] | None:
        """Return all records of one identifier, read at once; None where that means to wait."""
        reads = self._database.point_reads
        rows = None if reads is None else reads.rows(_OF_ONE, (csi,))
        if rows is None:
            return None
        self.statements += 1
        return [_stored(row) for row in rows]

    @asynccontextmanager
    async def identifier(self, csi: str) -> AsyncIterator[IdentifierTransaction]:
        """Everything about one identifier, for as long as the context lasts ours alone."""
        async with self._database.writing(csi) as connection:
            yield IdentifierTransaction(connection, csi)

    async def set_log_index(self, csi: str, thumbprint: str, digest: str, index: int) -> None:
        """Note where a record stands in the log, unless another one has replaced it."""
        async with self._database.writing(csi) as connection:
            await connection.execute(
                update(_records)
                .where(
                    _records.c.csi == csi,
                    _records.c.thumbprint == thumbprint,
                    _records.c.digest == digest,
                )
                .values(log_index=index)
            )

    async def unlogged(self, now: float, *, after: str, limit: int) -> list[StoredRecord]:
        """Return records that count still and have no place in the log, in the order of `csi`.

        Those behind the identifier `after`, up to `limit` and the last identifier's all.
        """
        waiting = (_records.c.log_index.is_(None), _records.c.until > now, _records.c.csi > after)
        async with self._database.reading() as connection:
            chosen = select(_records.c.csi).where(*waiting).order_by(_records.c.csi).limit(limit)
            csis = (await connection.scalars(chosen)).all()
            if not csis:
                return []
            rows = await connection.execute(
                select(_records)
                .where(*waiting, _records.c.csi <= csis[-1])
                .order_by(_records.c.csi, _records.c.thumbprint)
            )
            return [_stored(row) for row in rows]

    async def sweep(self, now: float, *, limit: int) -> int:
        """Delete up to `limit` records whose time is over, and what no record needs any more.

        Returns how many records went. Claims stay a week after they took effect.
        """
        async with self._database.writing("sweep") as connection:
            old = (
                await connection.execute(
                    select(
                        _records.c.csi,
                        _records.c.thumbprint,
                        _records.c.drops_others,
                        _records.c.live_at,
                    )
                    .where(_records.c.until <= now)
                    .limit(limit)
                )
            ).all()
            for csi, thumbprint, drops_others, live_at in old:
                if drops_others:  # what it dropped ends with it at the latest
                    await connection.execute(
                        delete(_records).where(_records.c.csi == csi, _records.c.live_at < live_at)
                    )
                await connection.execute(
                    delete(_records).where(
                        _records.c.csi == csi,
                        _records.c.thumbprint == thumbprint,
                        _records.c.until <= now,
                    )
                )
        # A transaction a table: whoever changes one identifier locks rows in another order.
        async with self._database.writing("sweep") as connection:
            await connection.execute(delete(_floors).where(_floors.c.kept_until <= now))
        async with self._database.writing("sweep") as connection:
            await connection.execute(
                delete(_claims).where(_claims.c.effective_at <= now - 7 * 86_400)
            )
        return len(old)

    async def count(self) -> int:
        """Return how many records are kept."""
        async with self._database.reading() as connection:
            return int(await connection.scalar(select(func.count()).select_from(_records)) or 0)


class IdentifierTransaction:
    """Reads and changes of one identifier within one transaction."""

    def __init__(self, connection: AsyncConnection, csi: str) -> None:
        self._connection = connection
        self._csi = csi

    async def records(self) -> list[StoredRecord]:
        """Return all records of the identifier, live or not."""
        rows = await self._connection.execute(select(_records).where(_records.c.csi == self._csi))
        return [_stored(row) for row in rows]

    async def floor(self, thumbprint: str) -> Floor:
        """Return what earlier records of a key, and removals, left behind."""
        seq = await self._connection.scalar(
            select(_floors.c.seq).where(
                _floors.c.csi == self._csi, _floors.c.thumbprint == thumbprint
            )
        )
        digest = await self._connection.scalar(
            select(_records.c.digest).where(
                _records.c.csi == self._csi, _records.c.thumbprint == thumbprint
            )
        )
        removed_at = await self._connection.scalar(
            select(_removals.c.removed_at).where(_removals.c.csi == self._csi)
        )
        return Floor(seq, digest, float(removed_at or 0.0))

    async def put(self, record: StoredRecord, seq: int, kept_until: float) -> None:
        """Keep a record in the place of the key's former one; `seq` becomes its floor."""
        await self._delete_records(record.thumbprint)
        await self._connection.execute(
            insert(_records).values(
                csi=self._csi,
                thumbprint=record.thumbprint,
                token=record.token,
                digest=record.digest,
                chain=json.dumps(record.chain, separators=(",", ":")),
                drops_others=record.drops_others,
                opted_out=record.opted_out,
                live_at=record.live_at,
                until=record.until,
                log_index=record.log_index,
            )
        )
        await self.set_floor(record.thumbprint, seq, kept_until)

    async def set_floor(self, thumbprint: str, seq: int, kept_until: float) -> None:
        """Refuse records of a key up to `seq` until then (epoch seconds)."""
        await self._connection.execute(
            delete(_floors).where(_floors.c.csi == self._csi, _floors.c.thumbprint == thumbprint)
        )
        await self._connection.execute(
            insert(_floors).values(
                csi=self._csi, thumbprint=thumbprint, seq=seq, kept_until=kept_until
            )
        )

    async def remove(self, thumbprints: Iterable[str]) -> None:
        """Delete the records and claims of these keys."""
        for thumbprint in thumbprints:
            await self._delete_records(thumbprint)
            await self.drop_claim(thumbprint)

    async def undo(self, thumbprint: str, floor: Floor, kept_until: float) -> None:
        """Delete the record and the claim that a key has just made; its floor is the former one."""
        await self.remove((thumbprint,))
        await self._connection.execute(
            delete(_floors).where(_floors.c.csi == self._csi, _floors.c.thumbprint == thumbprint)
        )
        if floor.seq is not None:
            await self.set_floor(thumbprint, floor.seq, kept_until)

    async def removed_by_provider(self, now: float) -> None:
        """Note that certificates from before `now` count no more for the identifier."""
        await self._connection.execute(delete(_removals).where(_removals.c.csi == self._csi))
        await self._connection.execute(insert(_removals).values(csi=self._csi, removed_at=now))

    async def claims(self) -> list[Claim]:
        """Return who claims the identifier, or did lately."""
        rows = await self._connection.execute(select(_claims).where(_claims.c.csi == self._csi))
        return [Claim(row.thumbprint, row.claimed_at, row.effective_at) for row in rows]

    async def add_claim(self, claim: Claim) -> None:
        """Note a claim."""
        await self._connection.execute(
            insert(_claims).values(
                csi=self._csi,
                thumbprint=claim.thumbprint,
                claimed_at=claim.claimed_at,
                effective_at=claim.effective_at,
            )
        )

    async def drop_claim(self, thumbprint: str) -> None:
        """Forget a claim."""
        await self._connection.execute(
            delete(_claims).where(_claims.c.csi == self._csi, _claims.c.thumbprint == thumbprint)
        )

    async def _delete_records(self, thumbprint: str) -> None:
        await self._connection.execute(
            delete(_records).where(_records.c.csi == self._csi, _records.c.thumbprint == thumbprint)
        )


def _stored(row: Sequence[Any]) -> StoredRecord:
    csi, thumbprint, token, digest, chain, drops_others, opted_out, live_at, until, index = row
    return StoredRecord(
        csi=csi,
        thumbprint=thumbprint,
        token=token,
        digest=digest,
        chain=tuple(json.loads(chain)),
        drops_others=bool(drops_others),
        opted_out=bool(opted_out),
        live_at=live_at,
        until=until,
        log_index=index,
    )
