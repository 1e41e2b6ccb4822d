"""`spingate directory witness` as an operator runs it, and a log that asks it."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from discovery.log.cosignature import parse_witness
from discovery.log.entry import EntryType, log_entry
from gateway.directory_log.log import DirectoryLog
from gateway.directory_log.store import LogStore
from gateway.directory_log.witness_client import WitnessClient
from tests.support.command_line import spingate
from tests.support.log_scene import FAST, running, service_client
from tests.support.log_world import NONCE, label, log_signer

pytestmark = pytest.mark.real


async def test_a_witness_is_run_keeps_its_key_and_cosigns(tmp_path: Path) -> None:
    keys = []
    for round_ in range(2):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "gateway", "directory", "witness", "--json", "--port=0"),
            *("--name=witness.example/w1", f"--log-key={log_signer().verifier}"),
            f"--state={tmp_path / 'witness'}",
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            serving = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
            keys.append(serving["key"])
            async with service_client() as http:
                url = f"http://127.0.0.1:{serving['port']}"
                witness = WitnessClient(http, url, parse_witness(serving["key"]))
                store = LogStore(tmp_path / "log", log_signer().verifier)
                async with running(DirectoryLog(store, log_signer(), [witness], FAST)) as log:
                    entry = log_entry(EntryType.RECORD, label(1), b"x", NONCE)
                    assert await log.append(entry) == round_
                    assert log.proof(round_) is not None
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 10) == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert keys[0] == keys[1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--log-key=x"], "--log-key"),
        (["--address=192.0.2.1"], "loopback"),
        (["--name=a b"], "no name of a key"),
        (["--key=k.pem"], "go together"),
        (["--address=name.example"], "name.example"),
    ],
)
async def test_wrong_usage_is_said_in_one_line(
    tmp_path: Path, arguments: list[str], says: str
) -> None:
    given = {"--name": "witness.example/w1", "--log-key": str(log_signer().verifier)}
    given |= dict(each.split("=", 1) for each in arguments)
    options = [f"{name}={value}" for name, value in given.items()]
    said = await spingate("directory", "witness", f"--state={tmp_path / 'w'}", *options)
    assert said.code == 2
    assert says in said.err
    assert "Traceback" not in said.err
