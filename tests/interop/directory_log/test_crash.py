"""kill -9 between keeping a record and logging it: the next start puts it right, once."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from discovery.log.entry import EntryType, parse_entry
from discovery.log.note import parse_verifier
from gateway.directory_log.store import LogStore
from tests.support.directory_process import Process, directory_process, write_configuration
from tests.support.directory_world import NUMBER, DirectoryWorld

pytestmark = pytest.mark.real
LOG = "[transparency_log]\ninterval_seconds = 0.02\n"
# The directory as it is, but for the one step at which it dies.
DYING = """
import os, signal
from gateway.cli.main import main
from gateway.directory.record_store import RecordStore
from gateway.directory_log.sink import DirectoryLogSink
async def die(*_arguments):
    os.kill(os.getpid(), signal.SIGKILL)
{step} = die
main()
"""
STEPS = {
    "before it is logged": "DirectoryLogSink.append",
    "before its place is noted": "RecordStore.set_log_index",
}


async def proven(process: Process) -> bool:
    found = await process.lookup(NUMBER)
    assert found.status == 200
    (record,) = found.document["records"]
    return record.get("proof") is not None


@pytest.mark.parametrize("step", STEPS)
async def test_a_record_is_logged_once_whenever_the_directory_died(
    tmp_path: Path, database_url: str | None, step: str
) -> None:
    world = DirectoryWorld(tmp_path)
    world.clock.now = time.time()
    file = write_configuration(world, "directory", database_url=database_url, more=LOG)
    dying = (sys.executable, "-c", DYING.format(step=STEPS[step]))
    owner = world.owner()
    async with directory_process(world, file, dying) as process:
        with pytest.raises(aiohttp.ClientError):
            await process.register(owner.token(), owner.chain)
        assert await process.process.wait() == -signal.SIGKILL
    async with directory_process(world, file) as process:
        for _ in range(200):
            if await proven(process):
                break
            await asyncio.sleep(0.1)
        assert await proven(process)
        described = await process.send("GET", "/.well-known/spin-dp", None)
        # Sent again, it is not logged again.
        assert (await process.register(owner.token(), owner.chain)).status == 200
    log = LogStore(tmp_path / "run" / "log", parse_verifier(described.document["log"]))
    kinds = [parse_entry(entry).type for entry in log.entries(0, log.size)]
    log.close()
    assert kinds == [EntryType.RECORD]
