"""Handlers, what users have chosen, and the audit trail of the SPIN agent in a database."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from discovery.model import Service
from discovery.spin.agent_store import Preferences
from discovery.spin.handlers import AuditEntry, Handler, StoreUnavailable
from discovery.spin.rules import Contact, MalformedRules, Rule, parse_rules
from gateway.agent_tables import audit as _audit
from gateway.agent_tables import contacts as _contacts
from gateway.agent_tables import create_missing
from gateway.agent_tables import defaults as _defaults
from gateway.agent_tables import handler_services as _services
from gateway.agent_tables import handlers as _handlers
from gateway.agent_tables import rules as _rules


class SqlAgentStore:
    """An AgentStore over any database SQLAlchemy reaches.

    engine: made and disposed of by whoever owns it. max_audit: entries kept, the oldest leaving;
    max_audit_each: the same of one number, so that whoever makes many entries for it, be it by
    invitations or by their own hand, pushes nobody else's out of sight. Every method raises
    StoreUnavailable when the database fails.
    """

    def __init__(
        self, engine: AsyncEngine, *, max_audit: int = 100_000, max_audit_each: int = 1000
    ) -> None:
        self._engine = engine
        self._max_audit = max_audit
        self._max_audit_each = max_audit_each

    async def create_tables(self) -> None:
        """Make what tables and columns are missing."""
        async with self._transaction() as connection:
            await connection.run_sync(create_missing)

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
                    active=handler.active,
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

    async def handlers(
        self, *, limit: int, app_id: str | None = None, within: str = ""
    ) -> list[Handler]:
        """Return handlers in the order of their registration.

        app_id: those of one application; within: of a number, or of those that begin so.
        """
        wanted = _handlers.c.prefix.startswith(within, autoescape=True)
        if app_id is not None:
            wanted &= _handlers.c.app_id == app_id
        async with self._transaction() as connection:
            chosen = (
                select(_handlers.c.handler_id)
                .where(wanted)
                .order_by(_handlers.c.registered_at, _handlers.c.handler_id)
                .limit(limit)
            )
            return await _read_handlers(connection, set((await connection.scalars(chosen)).all()))

    async def handlers_for(self, number: str, service: Service | None) -> list[Handler]:
        """Return the handlers whose prefix begins the number and that serve the service, if any."""
        async with self._transaction() as connection:
            return await _handlers_for(connection, number, service)

    async def preferences(self, number: str, service: Service, caller: str) -> Preferences:
        """Return what bears on one caller who asks one number for one service."""
        async with self._transaction() as connection:
            handlers = await _handlers_for(connection, number, service)
            return Preferences(
                tuple(handlers),
                await _default(connection, number, service),
                await _read_rules(connection, number),
                await _contact(connection, number, caller),
            )

    async def activate_handler(self, handler_id: str) -> bool:
        """Note that the user has agreed to a handler; False if there is none."""
        async with self._transaction() as connection:
            changed = await connection.execute(
                update(_handlers).where(_handlers.c.handler_id == handler_id).values(active=True)
            )
        return changed.rowcount > 0

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
            return await _default(connection, number, service)

    async def remove_default(self, number: str, service: Service) -> bool:
        async with self._transaction() as connection:
            return await _delete_default(connection, number, service)

    async def rules(self, number: str) -> tuple[Rule, ...]:
        async with self._transaction() as connection:
            return await _read_rules(connection, number)

    async def set_rules(self, number: str, rules: Sequence[Rule]) -> None:
        """Replace all rules of a number."""
        text = json.dumps([rule.document() for rule in rules], separators=(",", ":"))
        async with self._transaction() as connection:
            await connection.execute(delete(_rules).where(_rules.c.number == number))
            if rules:
                await connection.execute(insert(_rules).values(number=number, rules=text))

    async def contacts(self, number: str, *, limit: int) -> list[Contact]:
        """Return a number's contacts in the order of their own numbers."""
        async with self._transaction() as connection:
            rows = await connection.execute(
                select(_contacts)
                .where(_contacts.c.number == number)
                .order_by(_contacts.c.contact)
                .limit(limit)
            )
            return [_read_contact(row) for row in rows]

    async def set_contacts(self, number: str, contacts: Sequence[Contact]) -> None:
        """Replace all contacts of a number."""
        rows = [
            {
                "number": number,
                "contact": contact.number,
                "groups": json.dumps(contact.groups),
                "tags": json.dumps(contact.tags),
            }
            for contact in contacts
        ]
        async with self._transaction() as connection:
            await connection.execute(delete(_contacts).where(_contacts.c.number == number))
            if rows:
                await connection.execute(insert(_contacts), rows)

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
                    owner=entry.owner,
                )
            )
            key = added.inserted_primary_key
            if key is not None:
                oldest_kept = int(key[0]) - self._max_audit
                await connection.execute(delete(_audit).where(_audit.c.entry <= oldest_kept))
            surplus = (
                select(_audit.c.entry)
                .where(_audit.c.owner == entry.owner)
                .order_by(_audit.c.entry.desc())
                .offset(self._max_audit_each)
                .limit(self._max_audit_each)
            )
            beyond = (await connection.scalars(surplus)).all()
            if beyond:
                await connection.execute(delete(_audit).where(_audit.c.entry.in_(beyond)))

    async def audit(self, *, limit: int, number: str | None = None) -> list[AuditEntry]:
        """Return the latest entries, newest first; with a number, those of that number only."""
        wanted = select(_audit).order_by(_audit.c.entry.desc()).limit(limit)
        if number is not None:
            wanted = wanted.where(_audit.c.owner == number)
        async with self._transaction() as connection:
            return [_entry(row) for row in await connection.execute(wanted)]

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, MalformedRules, json.JSONDecodeError) as error:
            # The statement may hold numbers: only the kind of error goes on.
            place = self._engine.url.render_as_string(hide_password=True)
            raise StoreUnavailable(f"database {place}: {type(error).__name__}") from None


async def _handlers_for(
    connection: AsyncConnection, number: str, service: Service | None
) -> list[Handler]:
    prefixes = [number[:length] for length in range(1, len(number) + 1)]
    chosen = select(_handlers.c.handler_id).where(_handlers.c.prefix.in_(prefixes))
    if service is not None:
        chosen = chosen.join(_services, _services.c.handler_id == _handlers.c.handler_id).where(
            _services.c.service == str(service)
        )
    return await _read_handlers(connection, set((await connection.scalars(chosen)).all()))


async def _default(connection: AsyncConnection, number: str, service: Service) -> str | None:
    found = await connection.scalar(
        select(_defaults.c.handler_id).where(
            _defaults.c.number == number, _defaults.c.service == str(service)
        )
    )
    return str(found) if found is not None else None


async def _read_rules(connection: AsyncConnection, number: str) -> tuple[Rule, ...]:
    text = await connection.scalar(select(_rules.c.rules).where(_rules.c.number == number))
    return parse_rules(json.loads(text)) if text is not None else ()


async def _contact(connection: AsyncConnection, number: str, contact: str) -> Contact | None:
    rows = await connection.execute(
        select(_contacts).where(_contacts.c.number == number, _contacts.c.contact == contact)
    )
    return next((_read_contact(row) for row in rows), None)


def _read_contact(row: Row[tuple[object, ...]]) -> Contact:
    return Contact(
        str(row.contact), tuple(json.loads(str(row.groups))), tuple(json.loads(str(row.tags)))
    )


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
            bool(group[0].active),
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
        owner=str(row.owner),
    )
