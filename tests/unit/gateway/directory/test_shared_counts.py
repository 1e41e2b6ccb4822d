"""Quotas and spent tokens: counted once over processes and restarts, cheaply."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from discovery.directory.challenge_limits import DAY
from gateway.directory.database import Database, DirectoryUnavailable, sqlite_url
from gateway.directory.quotas import LookupQuotas
from gateway.directory.spent_tokens import KEPT, SpentTokens
from tests.support.directory_world import NOW, Clock

KEY, OTHER_KEY = b"k" * 32, b"o" * 32


@pytest.fixture
def url(tmp_path: Path, database_url: str | None) -> str:
    return database_url or sqlite_url(tmp_path / "directory.db")


@pytest.fixture
async def databases(url: str) -> AsyncIterator[tuple[Database, Database]]:
    """Two of them on one URL, as two processes have."""
    both = Database(url), Database(url)
    await both[0].upgrade()
    yield both
    for each in both:
        await each.close()


@asynccontextmanager
async def spending(
    database: Database, *keys: bytes, now: float = NOW, max_spent: int = 1_000
) -> AsyncIterator[SpentTokens]:
    spent = SpentTokens(database, keys or (KEY,), max_spent=max_spent)
    await spent.open(now)
    try:
        yield spent
    finally:
        await spent.close()


async def rows(database: Database, query: str) -> list[tuple[object, ...]]:
    async with database.reading() as connection:
        return [tuple(row) for row in await connection.execute(text(query))]


async def test_a_token_is_spent_once_over_processes_and_restarts(
    databases: tuple[Database, Database],
) -> None:
    async with spending(databases[0]) as one, spending(databases[1]) as other:
        assert await one.spend(KEY, b"first")
        assert not await one.spend(KEY, b"first")
        assert not await other.spend(KEY, b"first")
        assert await other.spend(OTHER_KEY, b"first")  # another key's is another token
    async with spending(databases[0]) as again:
        assert not await again.spend(KEY, b"first")


async def test_of_all_who_spend_a_token_at_once_one_succeeds(
    databases: tuple[Database, Database],
) -> None:
    async with spending(databases[0]) as one, spending(databases[1]) as other:
        nonces = [secrets.token_bytes(32) for _ in range(60)]
        attempts = [(each, nonce) for nonce in nonces for each in (one, other, one)]
        found = await asyncio.gather(*(each.spend(KEY, nonce) for each, nonce in attempts))
        spent = [nonce for (_, nonce), fresh in zip(attempts, found, strict=True) if fresh]
        assert sorted(spent) == sorted(nonces)


async def test_tokens_that_come_together_are_written_together(url: str) -> None:
    database = Database(url)
    await database.upgrade()
    async with spending(database) as spent:
        written: list[int] = []
        add = spent._writer.add

        async def counted(batch: list[tuple[int, bytes]]) -> set[tuple[int, bytes]]:
            written.append(len(batch))
            return await add(batch)

        spent._writer.add = counted  # type: ignore[method-assign,assignment]
        await asyncio.gather(*(spent.spend(KEY, secrets.token_bytes(32)) for _ in range(200)))
    assert sum(written) == 200
    assert len(written) <= 3
    await database.close()


async def test_a_token_is_spent_beside_a_registration_that_is_written(tmp_path: Path) -> None:
    """On SQLite it is written at once, and after the other writer where there is one."""
    database = Database(sqlite_url(tmp_path / "directory.db"))
    await database.upgrade()
    async with spending(database, max_spent=10_000) as spent:
        async with database.writing("somebody"):
            waiting = asyncio.create_task(spent.spend(KEY, b"meanwhile"))
            await asyncio.sleep(0.05)
            assert not waiting.done()
        assert await waiting
        assert not await spent.spend(KEY, b"meanwhile")
        found = await asyncio.gather(*(spent.spend(KEY, b"%d" % n) for n in range(2_500)))
        assert all(found)  # past a checkpoint
    await database.close()


async def test_full_means_refused_and_not_forgotten(databases: tuple[Database, Database]) -> None:
    async with (
        spending(databases[0], max_spent=3) as one,
        spending(databases[1], max_spent=3) as other,
    ):
        for number in range(2):
            assert await one.spend(KEY, bytes([number]))
        assert await other.spend(KEY, b"x")
        for each in (one, other, one):  # what others count is seen a sweep later
            await each.sweep(NOW)
        for each in (one, other):
            with pytest.raises(DirectoryUnavailable, match="max_spent_tokens"):
                await each.spend(KEY, b"one more")


async def test_tokens_of_a_key_are_kept_until_nobody_has_taken_it_for_a_month(
    databases: tuple[Database, Database],
) -> None:
    async with spending(databases[0], KEY, OTHER_KEY) as both, spending(databases[1], KEY) as one:
        await both.spend(KEY, b"1")
        await both.spend(OTHER_KEY, b"2")
        await one.sweep(NOW + KEPT - 1)
        await both.sweep(NOW + KEPT - 1)
        assert len(await rows(databases[0], "SELECT digest FROM dp_spent_tokens")) == 2
        await one.sweep(NOW + 2 * KEPT)
        assert len(await rows(databases[0], "SELECT digest FROM dp_spent_tokens")) == 1
        assert not await one.spend(KEY, b"1")


async def test_a_database_that_cannot_be_written_spends_nothing(
    databases: tuple[Database, Database],
) -> None:
    async with spending(databases[0]) as spent:
        async with databases[1].writing("") as connection:
            await connection.execute(text("ALTER TABLE dp_spent_tokens RENAME TO elsewhere"))
        with pytest.raises(DirectoryUnavailable):
            await spent.spend(KEY, b"1")
        async with databases[1].writing("") as connection:
            await connection.execute(text("ALTER TABLE elsewhere RENAME TO dp_spent_tokens"))
        assert await spent.spend(KEY, b"1")


async def taken(quotas: LookupQuotas, per_day: int, tries: int) -> int:
    return sum([await quotas.take("alpha", per_day) for _ in range(tries)])


async def test_processes_share_a_quota_and_a_restart_forgets_nothing(
    databases: tuple[Database, Database],
) -> None:
    clock = Clock()
    one, other = (LookupQuotas(each, clock) for each in databases)
    assert await taken(one, 50, 30) == 30
    assert await taken(other, 50, 30) == 20
    assert not await one.take("alpha", 50)
    assert await one.take("beta", 50)
    await one.close()
    await other.close()
    assert await taken(LookupQuotas(databases[0], clock), 50, 3) == 0
    clock.now += DAY
    assert await taken(LookupQuotas(databases[0], clock), 50, 60) == 50


async def test_a_block_of_the_quota_is_taken_at_a_time_and_its_rest_given_back(
    databases: tuple[Database, Database],
) -> None:
    quotas = LookupQuotas(databases[0], Clock())
    assert await taken(quotas, 1_000, 15) == 15  # blocks of ten
    assert await rows(databases[0], "SELECT used FROM dp_lookup_quotas") == [(20,)]
    await quotas.close()
    assert await rows(databases[0], "SELECT used FROM dp_lookup_quotas") == [(15,)]


async def test_many_lookups_at_once_take_no_more_than_there_is(
    databases: tuple[Database, Database],
) -> None:
    clock = Clock()
    both = [LookupQuotas(each, clock) for each in databases]
    found = await asyncio.gather(*(each.take("alpha", 100) for each in both for _ in range(90)))
    assert sum(found) == 100


async def test_days_that_are_over_are_swept(databases: tuple[Database, Database]) -> None:
    clock = Clock()
    quotas = LookupQuotas(databases[0], clock)
    await quotas.take("alpha", 10)
    await quotas.sweep(clock.now + DAY)
    assert len(await rows(databases[0], "SELECT day FROM dp_lookup_quotas")) == 1
    await quotas.sweep(clock.now + 2 * DAY)
    assert await rows(databases[0], "SELECT day FROM dp_lookup_quotas") == []
