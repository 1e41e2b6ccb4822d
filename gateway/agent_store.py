"""Handlers, defaults and the audit trail of the SPIN agent in a database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sqlalchemy import (
    Column,
    Connection,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    delete,
    func,
    insert,
    select,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from discovery.model import Service
from discovery.spin.handlers import AuditEntry, Handler, StoreUnavailable

metadata: Final = MetaData()

_handlers: Final = Table(
    "spin_handlers",
    metadata,
    Column("handler_id", String(64), primary_key=True),
    Column("app_id", String(64), nullable=False),
    Column("prefix", String(15), nullable=False),
    Column("template", String(255), nullable=False),
    Column("msp", String(253), nullable=False),
    Column("registered_at", Float, nullable=False),
)
_services: Final = Table(
    "spin_handler_services",
    metadata,
    Column(
        "handler_id",
        ForeignKey("spin_handlers.handler_id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("service", String(16), primary_key=True),
    Column("position", Integer, nullable=False),
)
_defaults: Final = Table(
    "spin_defaults",
    metadata,
    Column("number", String(15), primary_key=True),
    Column("service", String(16), primary_key=True),
    Column("handler_id", String(64), nullable=False),
)
_audit: Final = Table(
    "spin_audit",
    metadata,
    Column("entry", Integer, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("event", String(32), nullable=False),
    Column("outcome", String(64), nullable=False),
    Column("caller", String(32), nullable=False),
    Column("number", String(32), nullable=False),
    Column("services", String(64), nullable=False),
    Column("handler_id", String(255), nullable=True),
)
Index("spin_handlers_by_prefix", _handlers.c.prefix)


class SqlAgentStore:
    """An AgentStore over any database SQLAlchemy reaches.

    engine: made and disposed of by whoever owns it. max_audit: entries kept, the oldest leaving.
    Every method raises StoreUnavailable when the database fails.
    """

    def __init__(self, engine: AsyncEngine, *, max_audit: int = 10_000) -> None:
        self._engine = engine
        self._max_audit = max_audit

    async def create_tables(self) -> None:
        """Make what tables are missing."""

        def create(connection: Connection) -> None:
            metadata.create_all(connection)

        async with self._transaction() as connection:
            await connection.run_sync(create)

    async def add_handler(self, handler: Handler) -> None:
        async with self._transaction() as connection:
            await connection.execute(
                insert(_handlers).values(
                    handler_id=handler.handler_id,
                    app_id=handler.app_id,
                    prefix=handler.prefix,
                    template=handler.template,
                    msp=handler.msp,
                    registered_at=handler.registered_at,
                )
            )
            await connection.execute(
                insert(_services),
                [
                    {"handler_id": handler.handler_id, "service": str(service), "position": place}
                    for place, service in enumerate(handler.services)
                ],
            )

    async def handler(self, handler_id: str) -> Handler | None:
        async with self._transaction() as connection:
            chosen = select(_handlers.c.handler_id).where(_handlers.c.handler_id == handler_id)
            found = await _read_handlers(connection, set((await connection.scalars(chosen)).all()))
        return found[0] if found else None

    async def handlers(self, *, limit: int) -> list[Handler]:
        """Return handlers in the order of their registration."""
        async with self._transaction() as connection:
            chosen = (
                select(_handlers.c.handler_id)
                .order_by(_handlers.c.registered_at, _handlers.c.handler_id)
                .limit(limit)
            )
            return await _read_handlers(connection, set((await connection.scalars(chosen)).all()))

    async def handlers_for(self, number: str, service: Service) -> list[Handler]:
        """Return the handlers whose prefix begins the number and that serve the service."""
        prefixes = [number[:length] for length in range(1, len(number) + 1)]
        async with self._transaction() as connection:
            chosen = (
                select(_handlers.c.handler_id)
                .join(_services, _services.c.handler_id == _handlers.c.handler_id)
                .where(_handlers.c.prefix.in_(prefixes), _services.c.service == str(service))
            )
            return await _read_handlers(connection, set((await connection.scalars(chosen)).all()))

    async def count_handlers(self) -> int:
        async with self._transaction() as connection:
            count = await connection.scalar(select(func.count()).select_from(_handlers))
        return int(count or 0)

    async def remove_handler(self, handler_id: str) -> bool:
        """Remove a handler with the defaults that name it; False if there was none."""
        async with self._transaction() as connection:
            for table in (_services, _defaults):
                await connection.execute(delete(table).where(table.c.handler_id == handler_id))
            removed = await connection.execute(
                delete(_handlers).where(_handlers.c.handler_id == handler_id)
            )
        return removed.rowcount > 0

    async def set_default(self, number: str, service: Service, handler_id: str) -> None:
        async with self._transaction() as connection:
            await _delete_default(connection, number, service)
            await connection.execute(
                insert(_defaults).values(number=number, service=str(service), handler_id=handler_id)
            )

    async def default(self, number: str, service: Service) -> str | None:
        async with self._transaction() as connection:
            found = await connection.scalar(
                select(_defaults.c.handler_id).where(
                    _defaults.c.number == number, _defaults.c.service == str(service)
                )
            )
        return str(found) if found is not None else None

    async def remove_default(self, number: str, service: Service) -> bool:
        async with self._transaction() as connection:
            return await _delete_default(connection, number, service)

    async def record(self, entry: AuditEntry) -> None:
        async with self._transaction() as connection:
            added = await connection.execute(
                insert(_audit).values(
                    at=entry.at,
                    event=entry.event,
                    outcome=entry.outcome,
                    caller=entry.caller,
                    number=entry.number,
                    services=entry.services,
                    handler_id=entry.handler_id,
                )
            )
            key = added.inserted_primary_key
            if key is not None:
                oldest_kept = int(key[0]) - self._max_audit
                await connection.execute(delete(_audit).where(_audit.c.entry <= oldest_kept))

    async def audit(self, *, limit: int) -> list[AuditEntry]:
        """Return the latest entries, newest first."""
        async with self._transaction() as connection:
            rows = await connection.execute(
                select(_audit).order_by(_audit.c.entry.desc()).limit(limit)
            )
            return [_entry(row) for row in rows]

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            # The statement may hold numbers: only the kind of error goes on.
            place = self._engine.url.render_as_string(hide_password=True)
            raise StoreUnavailable(f"database {place}: {type(error).__name__}") from None


async def _read_handlers(connection: AsyncConnection, wanted: set[str]) -> list[Handler]:
    if not wanted:
        return []
    rows = await connection.execute(
        select(_handlers, _services.c.service)
        .join(_services, _services.c.handler_id == _handlers.c.handler_id)
        .where(_handlers.c.handler_id.in_(wanted))
        .order_by(_handlers.c.registered_at, _handlers.c.handler_id, _services.c.position)
    )
    found: dict[str, list[Row[tuple[object, ...]]]] = {}
    for row in rows:
        found.setdefault(str(row.handler_id), []).append(row)
    return [
        Handler(
            handler_id,
            str(group[0].app_id),
            str(group[0].prefix),
            tuple(Service(row.service) for row in group),
            str(group[0].template),
            str(group[0].msp),
            float(group[0].registered_at),
        )
        for handler_id, group in found.items()
    ]


async def _delete_default(connection: AsyncConnection, number: str, service: Service) -> bool:
    removed = await connection.execute(
        delete(_defaults).where(_defaults.c.number == number, _defaults.c.service == str(service))
    )
    return removed.rowcount > 0


def _entry(row: Row[tuple[object, ...]]) -> AuditEntry:
    return AuditEntry(
        at=float(row.at),
        event=str(row.event),
        outcome=str(row.outcome),
        caller=str(row.caller),
        number=str(row.number),
        services=str(row.services),
        handler_id=str(row.handler_id) if row.handler_id is not None else None,
    )
