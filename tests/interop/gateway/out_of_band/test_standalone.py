"""`spingate cps run`: the service as a process of its own."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from stir.certificates.issuing import issue_tls_certificate, make_root
from tests.support.command_line import spingate

pytestmark = pytest.mark.real


def configure(folder: Path, port: int = 0) -> Path:
    root = make_root("TLS root", time.time())
    issued = issue_tls_certificate(root, time.time(), dns_names=["cps.example"])
    assert issued.key_pem is not None
    (folder / "root.pem").write_bytes(root.certificate_pem)
    (folder / "cps.pem").write_bytes(issued.chain_pem)
    (folder / "cps.key").write_bytes(issued.key_pem)
    path = folder / "cps.toml"
    path.write_text(
        "[call_placement]\n"
        f'address = "127.0.0.1"\nport = {port}\nnames = ["cps.example"]\n'
        'certificate = "cps.pem"\nkey = "cps.key"\ntrust_anchors = ["root.pem"]\n'
    )
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_it_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    path = configure(tmp_path, free_port())
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        "cps",
        "run",
        "--json",
        "-c",
        str(path),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            serving = json.loads(await process.stdout.readline())
            context = ssl.create_default_context(cafile=tmp_path / "root.pem")
            url = f"https://127.0.0.1:{serving['port']}/health"
            async with (
                aiohttp.ClientSession() as session,
                session.get(url, ssl=context, server_hostname="cps.example") as answer,
            ):
                assert (answer.status, await answer.json()) == (
                    200,
                    {"status": 200, "message": "OK"},
                )
    finally:
        process.terminate()
        _, err = await process.communicate()
    assert process.returncode == 0
    assert b"Traceback" not in err


async def test_a_wrong_file_is_one_line_and_exit_2(tmp_path: Path) -> None:
    path = configure(tmp_path, free_port())
    (tmp_path / "cps.key").write_text("nothing")
    said = await spingate("cps", "run", "-c", path)
    assert said.code == 2
    assert "call_placement.key" in said.err
    assert "Traceback" not in said.err
