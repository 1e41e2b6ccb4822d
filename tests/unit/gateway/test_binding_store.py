"""Bindings in SQLite: replaced only by who saw what was there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from gateway.binding_store import BindingsUnavailable, SqlBindingStore
from sip.bindings import Binding

AOR = "+14155550100"
ONE = Binding(AOR, "sip:\u00e4@198.51.100.7", "c1", 1, 1_795_000_000.125, 0.7, "udp|x", "ua")
TWO = Binding(AOR, "sip:b@198.51.100.8", "c2", 1, 1_795_000_001.0)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    made = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'bindings.db'}")
    yield made
    await made.dispose()


@pytest.fixture
async def store(engine: AsyncEngine) -> SqlBindingStore:
    held = SqlBindingStore(engine)
    await held.create_tables()
    await held.create_tables()
    return held


async def test_bindings_come_back_as_they_were_stored(store: SqlBindingStore) -> None:
    assert await store.get(AOR) == ()
    assert await store.replace(AOR, (ONE, TWO), expected=())
    assert await store.get(AOR) == (ONE, TWO)
    assert await store.get("+14155550101") == ()


async def test_who_saw_something_else_replaces_nothing(store: SqlBindingStore) -> None:
    assert await store.replace(AOR, (ONE,), expected=())
    assert not await store.replace(AOR, (TWO,), expected=())
    assert not await store.replace(AOR, (TWO,), expected=(TWO,))
    assert not await store.replace(AOR, (), expected=(TWO,))
    assert await store.get(AOR) == (ONE,)


async def test_bindings_are_replaced_and_removed(store: SqlBindingStore) -> None:
    await store.replace(AOR, (ONE,), expected=())
    assert await store.replace(AOR, (TWO,), expected=(ONE,))
    assert await store.replace(AOR, (), expected=(TWO,))
    assert await store.get(AOR) == ()
    assert await store.replace(AOR, (), expected=())


async def test_a_broken_database_is_told_without_the_statement(engine: AsyncEngine) -> None:
    store = SqlBindingStore(engine)
    for attempt in (store.get(AOR), store.replace(AOR, (ONE,), expected=())):
        with pytest.raises(BindingsUnavailable) as broken:
            await attempt
        assert "no such table" in str(broken.value)
        assert "198.51.100.7" not in str(broken.value)


async def test_a_database_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    # One that cannot be opened leaves a thread of aiosqlite behind that outlives the event loop.
    path = tmp_path / "read-only.db"
    path.touch()
    engine = create_async_engine(f"sqlite+aiosqlite:///file:{path}?mode=ro&uri=true")
    with pytest.raises(BindingsUnavailable, match="readonly"):
        await SqlBindingStore(engine).create_tables()
    await engine.dispose()
