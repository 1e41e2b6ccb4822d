"""`spingate directory` as its users run it: processes, a code from a message, JSON lines."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.directory_world import TOKEN, DirectoryWorld, RealClock, running

pytestmark = pytest.mark.real
NUMBER = "+14155550123"
URI = "voice,video=sip:+14155550123@b.example;user=phone"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def world(tmp_path: Path) -> DirectoryWorld:
    url = f"https://127.0.0.1:{_free_port()}"
    world = DirectoryWorld(tmp_path, directory={"url": url})
    world.clock = RealClock(time.time())
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    return world


async def ran(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        "directory",
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert "Traceback" not in err.decode()
    return process.returncode or 0, out.decode(), err.decode()


async def spingate(*arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    code, out, err = await ran(*arguments)
    return code, [json.loads(line) for line in out.splitlines()], err


async def test_an_owner_registers_with_a_code_opts_out_and_leaves(world: DirectoryWorld) -> None:
    url = world.config.directory.url
    common = (
        "--directory",
        url,
        "--trust-anchors",
        str(world.folder / "tls-root.pem"),
        "--json",
    )
    owner = (*common, "--key", str(world.folder / "owner.key"))
    sender = (
        *common,
        "--token-file",
        str(world.folder / "token"),
        "--owner-trust-anchors",
        str(world.folder / "numbers.pem"),
    )
    async with running(world):
        code, _, error = await spingate("register", NUMBER, "--uri", URI, *owner)
        assert code == 1
        assert "--code" in error
        wrong = await spingate("register", NUMBER, "--uri", URI, "--code", "0000-0000", *owner)
        assert wrong[0] == 1
        assert "403" in wrong[2]
        given = ("--code", world.couriers.code)
        code, said, _ = await spingate("register", NUMBER, "--uri", URI, *given, *owner)
        assert (code, said[0]["state"]) == (0, "live")
        assert (world.folder / "owner.key").stat().st_mode & 0o077 == 0

        code, found, _ = await spingate("lookup", NUMBER, *sender)
        assert code == 0
        assert found[0]["status"] == "maps"
        record = found[0]["records"][0]
        assert record["claims"]["maps"][0]["uri"] == URI.partition("=")[2]
        assert len(record["chain"]) == 2

        code, said, _ = await spingate("opt-out", NUMBER, *owner)
        assert (code, said[0]["state"]) == (0, "live")
        read = await ran("opt-out", NUMBER, *(each for each in owner if each != "--json"))
        assert read[:2] == (0, f"tel:{NUMBER}: opted out\n")
        assert (await spingate("lookup", NUMBER, *sender))[1][0]["status"] == "optout"
        assert (await spingate("remove", NUMBER, *owner))[0] == 0
        code, found, _ = await spingate("lookup", NUMBER, *sender)
        assert (code, found[0]["status"]) == (1, "none")


@pytest.mark.parametrize(
    "arguments",
    [
        ("register", "123-not-a-number", "--uri", URI),
        ("register", NUMBER, "--uri", "sip:nobody"),
        ("register", NUMBER, "--uri", "voice=sip:a@192.0.2.1"),
    ],
)
async def test_wrong_use_is_one_line_and_exit_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    key = ("--directory", "https://dp.example", "--key", str(tmp_path / "key"))
    code, lines, error = await spingate(*arguments, *key)
    assert (code, lines) == (2, [])
    assert error.startswith("spingate:")


async def test_the_service_runs_from_its_file_and_stops(world: DirectoryWorld) -> None:
    port = _free_port()
    file = world.folder / "directory.toml"
    file.write_text(
        f"""
[directory]
url = "https://127.0.0.1:{port}"
address = "127.0.0.1"
port = {port}
certificate = "https.pem"
key = "https.key"
state_directory = "run"
owner_trust_anchors = ["numbers.pem"]

[[directory.peer]]
name = "alpha"
token_file = "token"
"""
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        "directory",
        "run",
        "-c",
        str(file),
        "--json",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    serving = json.loads(await process.stdout.readline())
    assert serving == {"event": "serving", "address": "127.0.0.1", "port": port}
    assert (world.folder / "run" / "directory.db").stat().st_mode & 0o077 == 0
    process.send_signal(signal.SIGTERM)
    _, err = await process.communicate()
    assert process.returncode == 0
    assert "Traceback" not in err.decode()


async def test_a_wrong_file_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "directory.toml"
    file.write_text("[directory]\nurl = 'http://dp.example'\n")
    code, _, error = await spingate("run", "-c", str(file))
    assert code == 2
    assert error.startswith("spingate: directory.url:")


async def test_an_authority_is_made_once_and_serves(tmp_path: Path) -> None:
    code, said, _ = await spingate("authority", str(tmp_path / "ca"), "--json")
    assert code == 0
    assert "number-ca.key" in said[0]["files"]
    assert (tmp_path / "ca" / "number-ca.key").stat().st_mode & 0o077 == 0
    assert (await spingate("authority", str(tmp_path / "ca")))[0] == 2
