"""Challenges and authorizations of the certification authority, in the database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    CursorResult,
    Float,
    Index,
    Integer,
    Row,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from discovery.directory.challenge import MAX_TRIES
from discovery.directory.challenge_limits import DAY, HOUR, ChallengeCounts
from discovery.directory.identifier import MAX_IDENTIFIER
from gateway.directory.database import Database, metadata

_challenges: Final = Table(
    "ca_challenges",
    metadata,
    Column("challenge_id", String(43), primary_key=True),
    Column("csi", String(MAX_IDENTIFIER), nullable=False),
    Column("prefix", String(MAX_IDENTIFIER), nullable=False),
    Column("source", String(64), nullable=False),
    Column("thumbprint", String(43), nullable=False),
    Column("answer", String(43), nullable=False),
    Column("made_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("used", Boolean, nullable=False),
    Column("completed", Boolean, nullable=False),
)
_authorizations: Final = Table(
    "ca_authorizations",
    metadata,
    Column("csi", String(MAX_IDENTIFIER), primary_key=True),
    Column("thumbprint", String(43), primary_key=True),
    Column("certificate_id", String(43), nullable=False, unique=True),
    Column("proven_at", Float, nullable=False),
    Column("chain_pem", Text, nullable=False),
    Column("issued_at", Float, nullable=False),
    Column("not_after", Float, nullable=False),
)
Index("ca_challenges_csi", _challenges.c.csi, _challenges.c.made_at)
Index("ca_challenges_source", _challenges.c.source, _challenges.c.made_at)
Index("ca_challenges_prefix", _challenges.c.prefix, _challenges.c.made_at)
Index("ca_challenges_made", _challenges.c.made_at)


@dataclass(frozen=True, slots=True)
class KeptChallenge:
    """A challenge while it waits for its answer; times in epoch seconds."""

    challenge_id: str
    csi: str
    prefix: str
    source: str
    thumbprint: str
    answer: str = field(repr=False)
    made_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class Authorization:
    """A key that proved control over an identifier at `proven_at`, and its latest certificate.

    `chain_pem` is empty and `not_after` 0 while none was issued; times in epoch seconds.
    """

    csi: str
    thumbprint: str
    certificate_id: str
    proven_at: float
    chain_pem: str = field(default="", repr=False)
    issued_at: float = 0.0
    not_after: float = 0.0


Try = Literal["open", "burnt", "gone"]


class AuthorityStore:
    """What the authority keeps. Every method raises DirectoryUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def challenging(self) -> AsyncIterator[ChallengeTransaction]:
        """Counting and adding challenges, one at a time."""
        async with self._database.writing("challenges") as connection:
            yield ChallengeTransaction(connection)

    async def take_try(self, challenge_id: str, now: float) -> tuple[Try, KeptChallenge | None]:
        """Use up one try of a challenge, atomically: of any number of tries at once 5 pass."""
        async with self._database.writing(challenge_id) as connection:
            row = await _challenge(connection, challenge_id)
            if row is None or row.used or row.expires_at <= now:
                return "gone", None
            if row.tries >= MAX_TRIES:
                return "burnt", None
            await connection.execute(
                update(_challenges)
                .where(_challenges.c.challenge_id == challenge_id)
                .values(tries=row.tries + 1)
            )
            return "open", _kept(row)

    async def complete(self, challenge_id: str) -> bool:
        """Note that a challenge was answered; False where somebody was faster."""
        async with self._database.writing(challenge_id) as connection:
            done: CursorResult[tuple[object, ...]] = await connection.execute(
                update(_challenges)
                .where(_challenges.c.challenge_id == challenge_id, _challenges.c.used.is_(False))
                .values(used=True, completed=True)
            )
        return done.rowcount == 1

    async def withdraw(self, challenge_id: str) -> None:
        """Forget a challenge that was never sent."""
        async with self._database.writing(challenge_id) as connection:
            await connection.execute(
                delete(_challenges).where(_challenges.c.challenge_id == challenge_id)
            )

    async def put(self, authorization: Authorization) -> None:
        """Keep an authorization in the place of the key's former one."""
        async with self._database.writing(authorization.csi) as connection:
            await connection.execute(
                delete(_authorizations).where(
                    _authorizations.c.csi == authorization.csi,
                    _authorizations.c.thumbprint == authorization.thumbprint,
                )
            )
            await connection.execute(
                insert(_authorizations).values(
                    csi=authorization.csi,
                    thumbprint=authorization.thumbprint,
                    certificate_id=authorization.certificate_id,
                    proven_at=authorization.proven_at,
                    chain_pem=authorization.chain_pem,
                    issued_at=authorization.issued_at,
                    not_after=authorization.not_after,
                )
            )

    async def authorizations(self, csi: str) -> list[Authorization]:
        """Return the keys that are authorized for an identifier."""
        async with self._database.reading() as connection:
            rows = await connection.execute(
                select(_authorizations).where(_authorizations.c.csi == csi)
            )
            return [_authorization(row) for row in rows]

    async def certificate(self, certificate_id: str) -> Authorization | None:
        """Return the authorization whose certificate has this identifier."""
        async with self._database.reading() as connection:
            rows = await connection.execute(
                select(_authorizations).where(_authorizations.c.certificate_id == certificate_id)
            )
            row = rows.first()
        return None if row is None else _authorization(row)

    async def end(self, csi: str, *, keep: Collection[str] = ()) -> None:
        """End the authorizations for an identifier, but for those of the keys `keep`."""
        async with self._database.writing(csi) as connection:
            await connection.execute(
                delete(_authorizations).where(
                    _authorizations.c.csi == csi, _authorizations.c.thumbprint.not_in(sorted(keep))
                )
            )

    async def sweep(self, now: float, *, proof_lifetime: float) -> None:
        """Delete challenges older than a day, and authorizations that can be renewed no more."""
        async with self._database.writing("sweep") as connection:
            await connection.execute(delete(_challenges).where(_challenges.c.made_at <= now - DAY))
            await connection.execute(
                delete(_authorizations).where(
                    _authorizations.c.proven_at <= now - proof_lifetime,
                    _authorizations.c.not_after <= now,
                )
            )


class ChallengeTransaction:
    """Counts of challenges and room for one more, within one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def counts(self, csi: str, prefix: str, source: str, now: float) -> ChallengeCounts:
        """Return what was sent before."""
        table = _challenges.c
        hour, day = table.made_at > now - HOUR, table.made_at > now - DAY
        of_prefix = (table.prefix == prefix) & day
        settled = (table.expires_at <= now) | table.completed.is_(True)
        return ChallengeCounts(
            identifier=await self._count((table.csi == csi) & hour),
            source=await self._count((table.source == source) & hour),
            prefix=await self._count((table.prefix == prefix) & hour),
            total=await self._count(day),
            settled=await self._count(of_prefix & settled),
            completed=await self._count(of_prefix & table.completed.is_(True)),
        )

    async def add(self, challenge: KeptChallenge) -> None:
        """Keep a challenge."""
        await self._connection.execute(
            insert(_challenges).values(
                challenge_id=challenge.challenge_id,
                csi=challenge.csi,
                prefix=challenge.prefix,
                source=challenge.source,
                thumbprint=challenge.thumbprint,
                answer=challenge.answer,
                made_at=challenge.made_at,
                expires_at=challenge.expires_at,
                tries=0,
                used=False,
                completed=False,
            )
        )

    async def _count(self, condition: ColumnElement[bool]) -> int:
        counted = select(func.count()).select_from(_challenges).where(condition)
        return int(await self._connection.scalar(counted) or 0)


async def _challenge(
    connection: AsyncConnection, challenge_id: str
) -> Row[tuple[object, ...]] | None:
    chosen = select(_challenges).where(_challenges.c.challenge_id == challenge_id)
    return (await connection.execute(chosen)).first()


def _kept(row: Row[tuple[object, ...]]) -> KeptChallenge:
    return KeptChallenge(
        challenge_id=row.challenge_id,
        csi=row.csi,
        prefix=row.prefix,
        source=row.source,
        thumbprint=row.thumbprint,
        answer=row.answer,
        made_at=row.made_at,
        expires_at=row.expires_at,
    )


def _authorization(row: Row[tuple[object, ...]]) -> Authorization:
    return Authorization(
        csi=row.csi,
        thumbprint=row.thumbprint,
        certificate_id=row.certificate_id,
        proven_at=row.proven_at,
        chain_pem=row.chain_pem,
        issued_at=row.issued_at,
        not_after=row.not_after,
    )
