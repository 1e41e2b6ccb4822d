"""`spingate directory issuer`, `issuer-key` and `relay` as processes, from their files."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from discovery.privacy.token_key import parse_token_key
from tests.support.oblivious_services import ISSUER, RELAY, https, tls_root, write_tls

pytestmark = pytest.mark.real


async def spingate(*arguments: str) -> tuple[int, list[dict[str, Any]], str]:
    process = await start(*arguments)
    out, err = await process.communicate()
    assert b"Traceback" not in err
    return process.returncode or 0, [json.loads(line) for line in out.splitlines()], err.decode()


async def start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        "directory",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def ended(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGINT)
    _, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    assert b"Traceback" not in err


def issuer_file(folder: Path, port: int) -> Path:
    write_tls(folder, tls_root(folder), ISSUER)
    (folder / "alpha.token").write_text("token-of-client-alpha\n")
    path = folder / "issuer.toml"
    path.write_text(
        f"""
[issuer]
name = "{ISSUER}"
address = "127.0.0.1"
port = {port}
certificate = "{ISSUER}.pem"
key = "{ISSUER}.key"
state_directory = "state"

[[client]]
name = "alpha"
token_file = "alpha.token"
"""
    )
    return path


async def test_an_issuer_runs_from_its_file_and_its_key_is_for_a_directory(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    file = str(issuer_file(tmp_path, unused_tcp_port))
    out = tmp_path / "tokens.der"
    code, keys, _ = await spingate("issuer-key", "-c", file, "--out", str(out), "--json")
    assert (code, len(keys)) == (0, 1)
    first = parse_token_key(out.read_bytes())
    process = await start("issuer", "-c", file, "--json")
    assert process.stdout is not None
    serving = json.loads(await process.stdout.readline())
    assert serving == {"event": "serving", "address": "127.0.0.1", "port": unused_tcp_port}
    async with https(tmp_path) as ask:
        path = "/.well-known/private-token-issuer-directory"
        said = json.loads((await ask("GET", f"https://127.0.0.1:{unused_tcp_port}{path}")).body)
    assert [each["token-key"] for each in said["token-keys"]] == [keys[0]["token_key"]]
    await ended(process)

    more = ("--new", "--in-days", "3", "--out", str(out), "--json")
    code, keys, _ = await spingate("issuer-key", "-c", file, *more)
    assert (code, len(keys)) == (0, 2)
    assert keys[0]["not_before"] > keys[1]["not_before"]
    assert keys[1]["issue_until"] == keys[0]["not_before"] + 30 * 86_400
    assert parse_token_key(out.read_bytes()) != first


async def test_a_relay_runs_from_its_file(tmp_path: Path, unused_tcp_port: int) -> None:
    write_tls(tmp_path, tls_root(tmp_path), RELAY)
    file = tmp_path / "relay.toml"
    file.write_text(
        f"""
[relay]
address = "127.0.0.1"
port = {unused_tcp_port}
certificate = "{RELAY}.pem"
key = "{RELAY}.key"

[[target]]
name = "dp"
url = "https://127.0.0.1:1"
"""
    )
    process = await start("relay", "-c", str(file), "--json")
    assert process.stdout is not None
    assert json.loads(await process.stdout.readline())["event"] == "serving"
    async with https(tmp_path) as ask:
        answer = await ask("GET", f"https://127.0.0.1:{unused_tcp_port}/relay/other")
        assert answer.status == 404
    await ended(process)


@pytest.mark.parametrize(
    ("command", "text", "says"),
    [
        ("issuer", "[issuer]\n", "issuer.name"),
        ("relay", "[relay]\naddress = 'x'\n", "relay.address"),
        ("relay", "[[target]]\nname = 'DP'\nurl = 'http://x'\n", "relay"),
        ("issuer-key", "", "issuer"),
    ],
)
async def test_a_wrong_file_is_one_line(tmp_path: Path, command: str, text: str, says: str) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    code, _, error = await spingate(command, "-c", str(file))
    assert code == 2
    assert error.startswith(f"spingate: {says}")
