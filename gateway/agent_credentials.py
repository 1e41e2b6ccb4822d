"""Who may speak to the agent: the provider, applications and user sessions, by bearer token.

Tokens are kept as SHA-256 digests; whoever reads the database cannot use them.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sqlalchemy import delete, func, insert, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from discovery.spin.handlers import StoreUnavailable
from gateway.agent_tables import credentials as _credentials

MAX_PER_NUMBER: Final = 64


class Kind(StrEnum):
    """What a credential is for.

    OPERATOR: the provider, who opens sessions for its users; APP: one application, for the numbers
    it was granted; USER: a session of the person who has the number.
    """

    OPERATOR = "operator"
    APP = "app"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a token stands for.

    number: digits of a user's number, or of a prefix for an application of the provider's own;
    vouched: granted by the provider, who answers for the application.
    """

    kind: Kind
    digest: str = field(repr=False)
    number: str = field(default="", repr=False)
    app_id: str = ""
    vouched: bool = False

    def covers(self, number: str) -> bool:
        """Tell whether this credential may act for a number (digits) or prefix."""
        if self.kind is Kind.USER or not self.vouched:
            return self.kind is Kind.OPERATOR or number == self.number
        return number.startswith(self.number)


def token_digest(token: str) -> str:
    """Return the SHA-256 of a token, hexadecimal."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


class SqlCredentialStore:
    """Credentials in a database; every method raises StoreUnavailable.

    max_credentials: held in all, expired ones leaving as soon as there is need.
    """

    def __init__(self, engine: AsyncEngine, *, max_credentials: int = 1_000_000) -> None:
        self._engine = engine
        self._max_credentials = max_credentials

    async def find(self, digest: str, now: float) -> Principal | None:
        """Return whom a token's digest stands for, None if for nobody or no more."""
        async with self._transaction() as connection:
            rows = await connection.execute(
                select(_credentials).where(
                    _credentials.c.digest == digest, _credentials.c.expires_at > now
                )
            )
            row = rows.first()
        if row is None:
            return None
        return Principal(
            Kind(str(row.kind)), digest, str(row.number), str(row.app_id), bool(row.vouched)
        )

    async def add(self, principal: Principal, now: float, expires_at: float) -> bool:
        """Keep a new credential; False where there is no room for one more.

        Of one number only the latest 64 are kept.
        """
        table = _credentials
        async with self._transaction() as connection:
            await connection.execute(delete(table).where(table.c.expires_at <= now))
            count = await connection.scalar(select(func.count()).select_from(table))
            if int(count or 0) >= self._max_credentials:
                return False
            await connection.execute(
                insert(table).values(
                    digest=principal.digest,
                    kind=str(principal.kind),
                    app_id=principal.app_id,
                    number=principal.number,
                    vouched=principal.vouched,
                    granted_at=now,
                    expires_at=expires_at,
                )
            )
            surplus = (
                select(table.c.digest)
                .where(table.c.number == principal.number)
                .order_by(table.c.granted_at.desc(), table.c.digest)
                .offset(MAX_PER_NUMBER)
                .limit(MAX_PER_NUMBER)
            )
            await connection.execute(delete(table).where(table.c.digest.in_(surplus)))
        return True

    async def revoke(self, kind: Kind, number: str, app_id: str = "") -> int:
        """Forget the credentials of one kind, number and application; return how many."""
        table = _credentials
        async with self._transaction() as connection:
            removed = await connection.execute(
                delete(table).where(
                    table.c.kind == str(kind), table.c.number == number, table.c.app_id == app_id
                )
            )
        return int(removed.rowcount)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            place = self._engine.url.render_as_string(hide_password=True)
            raise StoreUnavailable(f"database {place}: {type(error).__name__}") from None
