"""The version of the tables: made, adopted, brought up to date by one process, never taken back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

import gateway.directory.service  # noqa: F401 - all tables there are
from gateway.config.load import ConfigError
from gateway.directory.database import Database, DirectoryUnavailable, metadata, sqlite_url
from gateway.directory.record_store import RecordStore, StoredRecord
from gateway.directory.schema import VERSION_TABLE
from tests.support.directory_world import NOW, NUMBER, DirectoryWorld

BEFORE_VERSIONS = Path(__file__).with_name("before_versions.sql").read_text()
HEAD = "0002"


@pytest.fixture
def url(tmp_path: Path, database_url: str | None) -> str:
    return database_url or sqlite_url(tmp_path / "directory.db")


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    yield database
    await database.close()


async def run(database: Database, statements: str) -> None:
    async with database.writing("") as connection:
        for statement in statements.split(";"):
            if statement.strip():
                await connection.execute(text(statement))


async def versions(database: Database) -> list[str]:
    async with database.reading() as connection:
        found = await connection.scalars(text(f"SELECT version_num FROM {VERSION_TABLE}"))
        return list(found.all())


async def tables(database: Database) -> set[str]:
    async with database.reading() as connection:
        return set(await connection.run_sync(lambda held: inspect(held).get_table_names()))


async def test_the_steps_make_what_the_program_uses(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        return list(
            compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
        )

    await database.upgrade()
    assert await versions(database) == [HEAD]
    async with database.reading() as connection:
        assert await connection.run_sync(differences) == []


async def test_a_database_from_before_there_were_versions_is_adopted(database: Database) -> None:
    await run(database, BEFORE_VERSIONS)
    await run(
        database,
        "INSERT INTO dp_records VALUES "
        f"('{NUMBER}', 'key', 'token', 'digest', '[\"AAAA\"]', false, true, 1.5, 2.5, 7);"
        f"INSERT INTO dp_floors VALUES ('{NUMBER}', 'key', 3, 4.5)",
    )
    await database.upgrade()
    assert await versions(database) == [HEAD]
    store = RecordStore(database)
    kept = StoredRecord(NUMBER, "key", "token", "digest", ("AAAA",), False, True, 1.5, 2.5, 7)
    assert await store.find([NUMBER]) == {NUMBER: [kept]}
    async with store.identifier(NUMBER) as identifier:
        assert (await identifier.floor("key")).seq == 3


async def test_numbers_are_as_large_as_records_may_say(database: Database) -> None:
    await run(database, BEFORE_VERSIONS)
    await database.upgrade()
    store = RecordStore(database)
    async with store.identifier(NUMBER) as identifier:
        await identifier.set_floor("key", 2**53 - 1, NOW)
        assert (await identifier.floor("key")).seq == 2**53 - 1


async def test_of_many_that_start_at_once_one_upgrades(url: str, database: Database) -> None:
    await run(database, BEFORE_VERSIONS)
    others = [Database(url) for _ in range(4)]
    try:
        await asyncio.gather(*(each.upgrade() for each in others))
    finally:
        await asyncio.gather(*(each.close() for each in others))
    assert await versions(database) == [HEAD]


async def test_a_database_of_a_newer_program_is_refused_and_left_alone(
    world: DirectoryWorld, database: Database
) -> None:
    service = world.service()
    await service.open()
    await service.stop()
    settings = world.config.directory.database_url
    theirs = Database(
        settings.get_secret_value()
        if settings is not None
        else sqlite_url(world.config.directory.state_directory / "directory.db")
    )
    await run(theirs, f"UPDATE {VERSION_TABLE} SET version_num = '0999'")
    service = world.service()
    with pytest.raises(ConfigError, match=r"directory\.database_url: .*newer program .*0999"):
        await service.open()
    await service.stop()
    assert await versions(theirs) == ["0999"]
    await theirs.close()


async def test_a_step_that_fails_leaves_everything_as_it_was(database: Database) -> None:
    await run(database, BEFORE_VERSIONS)
    await run(database, "CREATE TABLE dp_log (something_else INTEGER)")
    before = await tables(database)
    with pytest.raises(DirectoryUnavailable):
        await database.upgrade()
    assert await tables(database) == before
    await run(database, "DROP TABLE dp_log")
    await database.upgrade()
    assert await versions(database) == [HEAD]
