"""Records of a SQLite file are read at once, and in the other way where that cannot be."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from discovery.directory.answer import Status, parse_answer
from discovery.directory.identifier import parse_identifier
from gateway.directory.point_reads import PointReads
from gateway.directory.record_store import StoredRecord
from tests.support.directory_world import DirectoryWorld, opened


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a file?.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE t (a TEXT PRIMARY KEY, b TEXT)")
        connection.execute("INSERT INTO t VALUES ('one', '1')")
    connection.close()
    return path


SELECT = "SELECT b FROM t WHERE a = ?"


def test_rows_are_found_by_their_key_and_seen_once_committed(file: Path) -> None:
    reads = PointReads(file)
    assert reads.rows(SELECT, ("one",)) == [("1",)]
    writer = sqlite3.connect(file, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("INSERT INTO t VALUES ('two', '2')")
    assert reads.rows(SELECT, ("two",)) == []  # a writer under way holds nobody up
    writer.execute("COMMIT")
    assert reads.rows(SELECT, ("two",)) == [("2",)]
    writer.close()
    reads.close()


def test_what_cannot_be_read_now_is_none_and_the_next_read_tries_again(file: Path) -> None:
    reads = PointReads(file.with_name("missing.db"))
    assert reads.rows(SELECT, ("one",)) is None
    file.rename(file.with_name("missing.db"))
    assert reads.rows(SELECT, ("one",)) == [("1",)]
    assert reads.rows("SELECT b FROM u WHERE a = ?", ("one",)) is None
    assert reads.rows(SELECT, ("one",)) == [("1",)]
    reads.close()


def test_nothing_can_be_written_through_it(file: Path) -> None:
    reads = PointReads(file)
    assert reads.rows("INSERT INTO t VALUES (?, '3')", ("three",)) is None
    assert reads.rows(SELECT, ("three",)) == []
    reads.close()


async def test_both_ways_find_the_same_records(tmp_path: Path) -> None:
    world = DirectoryWorld(tmp_path)  # SQLite, whatever else is tested
    async with opened(world) as service:
        owner = world.owner()
        await service.registry.register(owner.token(), owner.chain, None)
        csi = str(owner.csi)
        found = service.records.find_now(csi)
        assert found is not None
        assert isinstance(found[0], StoredRecord)
        assert found == (await service.records.find([csi]))[csi]
        assert service.records.find_now("tel:+14155550199") == []


async def test_lookups_go_on_where_the_file_cannot_be_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = DirectoryWorld(tmp_path)
    async with opened(world) as service:
        owner = world.owner()
        await service.registry.register(owner.token(), owner.chain, None)
        monkeypatch.setattr(PointReads, "rows", lambda *_: None)
        body = await service.lookups.answer(parse_identifier(str(owner.csi)))
        _, answer = parse_answer(body.decode().split('"')[3])
        assert answer.status is Status.MAPS
