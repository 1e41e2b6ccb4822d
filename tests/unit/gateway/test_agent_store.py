"""Handlers, defaults and audit kept in SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from discovery.model import Service
from discovery.spin.agent_store import AgentStore
from discovery.spin.handlers import AuditEntry, Handler, StoreUnavailable
from gateway.agent_store import SqlAgentStore
from tests.support.spin_passports import BOB

HANDLER = Handler(
    "h1",
    "app",
    "1212555",
    (Service.VOICE, Service.VIDEO),
    "sip:{number}@beta.example",
    "beta.example",
    1.5,
)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlAgentStore]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'agent.sqlite'}")
    held = SqlAgentStore(engine, max_audit=3)
    await held.create_tables()
    yield held
    await engine.dispose()


async def test_a_handler_comes_back_as_it_went_in(store: SqlAgentStore) -> None:
    protocol: AgentStore = store
    await protocol.add_handler(HANDLER)
    assert await store.handler("h1") == HANDLER
    assert await store.handlers(limit=10) == [HANDLER]
    assert await store.count_handlers() == 1
    assert await store.handler("h2") is None


async def test_tables_are_made_once_and_survive(store: SqlAgentStore) -> None:
    await store.add_handler(HANDLER)
    await store.create_tables()
    assert await store.handlers(limit=10) == [HANDLER]


async def test_handlers_are_found_by_prefix_and_service(store: SqlAgentStore) -> None:
    exact = replace(HANDLER, handler_id="h2", prefix=BOB, services=(Service.IM, Service.VOICE))
    other = replace(HANDLER, handler_id="h3", prefix="1310")
    for handler in (HANDLER, exact, other):
        await store.add_handler(handler)
    found = await store.handlers_for(BOB, Service.VOICE)
    assert {handler.handler_id for handler in found} == {"h1", "h2"}
    assert await store.handlers_for(BOB, Service.IM) == [exact]
    assert await store.handlers_for("44", Service.VOICE) == []


async def test_an_application_finds_its_own_handlers_among_thousands(
    store: SqlAgentStore,
) -> None:
    for place in range(5):
        await store.add_handler(replace(HANDLER, handler_id=f"x{place}", app_id="other"))
    own = replace(HANDLER, handler_id="own", prefix=BOB, registered_at=9.0)
    await store.add_handler(own)
    assert await store.handlers(limit=2, app_id="app", within="1212") == [own]
    assert await store.handlers(limit=2, app_id="app", within="1310") == []


async def test_a_default_is_set_replaced_and_removed(store: SqlAgentStore) -> None:
    await store.set_default(BOB, Service.VOICE, "h1")
    await store.set_default(BOB, Service.VOICE, "h2")
    assert await store.default(BOB, Service.VOICE) == "h2"
    assert await store.default(BOB, Service.IM) is None
    assert await store.remove_default(BOB, Service.VOICE)
    assert not await store.remove_default(BOB, Service.VOICE)


async def test_a_handler_takes_its_defaults_along(store: SqlAgentStore) -> None:
    await store.add_handler(HANDLER)
    await store.set_default(BOB, Service.VOICE, "h1")
    assert await store.remove_handler("h1")
    assert not await store.remove_handler("h1")
    assert await store.default(BOB, Service.VOICE) is None
    assert await store.handlers_for(BOB, Service.VOICE) == []


async def test_the_audit_trail_is_bounded_and_newest_first(store: SqlAgentStore) -> None:
    for number in range(5):
        await store.record(AuditEntry(float(number), "invitation", "ok", "+1", "+2", "voice", None))
    assert [entry.at for entry in await store.audit(limit=10)] == [4.0, 3.0, 2.0]
    assert len(await store.audit(limit=1)) == 1


async def test_many_entries_of_one_number_push_out_no_others(tmp_path: Path) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'agent.sqlite'}")
    store = SqlAgentStore(engine, max_audit=100, max_audit_each=3)
    await store.create_tables()
    entry = AuditEntry(0.0, "default set", "done", "api", "+1", "voice", None, owner=BOB)
    await store.record(entry)
    for at in range(1, 8):
        await store.record(replace(entry, at=float(at), owner="12125550124"))
    assert [each.at for each in await store.audit(limit=10)] == [7.0, 6.0, 5.0, 0.0]
    assert [each.at for each in await store.audit(limit=10, number=BOB)] == [0.0]
    await engine.dispose()


async def test_hostile_text_is_only_text(store: SqlAgentStore) -> None:
    assert await store.handler("x'; DROP TABLE spin_handlers; --") is None
    assert await store.handlers(limit=10) == []


async def test_a_database_that_fails_is_named_without_what_was_asked(tmp_path: Path) -> None:
    (tmp_path / "broken.sqlite").write_bytes(b"no database at all " * 100)
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'broken.sqlite'}")
    with pytest.raises(StoreUnavailable, match="sqlite") as caught:
        await SqlAgentStore(engine).default(BOB, Service.VOICE)
    assert BOB not in str(caught.value)
    await engine.dispose()
