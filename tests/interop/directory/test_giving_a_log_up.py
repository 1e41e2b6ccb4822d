"""A directory that gives its log up, and begins another one, by what its documentation says."""

from __future__ import annotations

import re
import sqlite3
import time
from pathlib import Path

import pytest

import gateway
from gateway.config.load import ConfigError
from tests.support.directory_world import DirectoryWorld, running

pytestmark = pytest.mark.real
GUIDE = Path(gateway.__file__).parent.parent / "docs" / "running-discovery.md"


def documented() -> str:
    statements: str
    (statements,) = re.findall(r"```sql\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    return statements


def world(folder: Path, log: str | None) -> DirectoryWorld:
    """The same directory, with its log in a folder of that name or with none."""
    kept = {} if log is None else {"folder": folder / log, "interval_seconds": 0.02}
    made = DirectoryWorld(folder, transparency_log=kept) if kept else DirectoryWorld(folder)
    made.clock.now = time.time()
    return made


async def test_a_log_is_given_up_and_another_has_the_records_that_are_kept(tmp_path: Path) -> None:
    first = world(tmp_path, "log-1")
    owner = first.owner()
    async with running(first) as client:
        assert (await client.register(owner)).status == 200
        assert (await client.lookup()).document["records"][0].get("proof")
    without = world(tmp_path, None)
    with pytest.raises(ConfigError, match="only the one process that keeps that log"):
        async with running(without):
            pass

    with sqlite3.connect(tmp_path / "state" / "directory.db") as database:
        database.executescript(documented())
    database.close()
    async with running(without) as client:
        assert not (await client.lookup()).document["records"][0].get("proof")
        assert client.service.lookups.unproven == {}  # it does not pretend to have one
    (tmp_path / "state" / "log.key").rename(tmp_path / "old-log.key")
    async with running(world(tmp_path, "log-2")) as client:
        await client.service.sweep()
        proof = (await client.lookup()).document["records"][0]["proof"]
        assert proof["inclusion"]
