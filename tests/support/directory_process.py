"""`spingate directory run` as a process of its own, and an HTTPS client of it."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.directory_world import TOKEN, DirectoryWorld, Reply

_COMMAND = (sys.executable, "-m", "gateway")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_configuration(
    world: DirectoryWorld, name: str, *, database_url: str | None = None, more: str = "",
    peer: str = "", state: str = "run",
) -> Path:  # fmt: skip
    """Write the configuration of a process; many may share a world, its keys and a database."""
    port = free_port()
    file = world.folder / f"{name}.toml"
    url = "" if database_url is None else f'database_url = "{database_url}"'
    file.write_text(
        f"""
[directory]
url = "https://dp.example"
address = "127.0.0.1"
port = {port}
certificate = "https.pem"
key = "https.key"
state_directory = "{state}"
owner_trust_anchors = ["numbers.pem"]
provider_trust_anchors = ["providers.pem"]
changes_burst = 10000
{url}

[[directory.peer]]
name = "alpha"
token = "{TOKEN}"
{peer}
{more}
"""
    )
    return file


@dataclass
class Process:
    """A running directory."""

    process: asyncio.subprocess.Process
    session: aiohttp.ClientSession
    url: str

    async def send(self, method: str, path: str, document: object, **headers: str) -> Reply:
        async with self.session.request(
            method, self.url + path, json=document, headers=headers
        ) as response:
            body = await response.read()
            return Reply(
                response.status,
                json.loads(body) if body and "json" in response.content_type else None,
                body,
                dict(response.headers),
            )

    async def lookup(self, csi: str) -> Reply:
        authorization = f"Bearer {TOKEN}"
        return await self.send("POST", "/dp/v1/lookup", {"csi": csi}, Authorization=authorization)

    async def register(self, token: str, chain: list[str]) -> Reply:
        return await self.send("PUT", "/dp/v1/records", {"record": token, "chain": chain})

    async def stop(self, number: int = signal.SIGTERM) -> str:
        """End it; returns what it wrote to standard error, in which there is no traceback."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        _, err = await self.process.communicate()
        assert "Traceback" not in err.decode(), err.decode()
        return err.decode()


@asynccontextmanager
async def directory_process(
    world: DirectoryWorld, file: Path, command: tuple[str, ...] = _COMMAND
) -> AsyncIterator[Process]:
    """Run a directory with a configuration until left."""
    process = await asyncio.create_subprocess_exec(
        *command, "directory", "run", "-c", str(file), "--json",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    said: dict[str, Any] = json.loads(await process.stdout.readline() or b"{}")
    context = ssl.create_default_context(cafile=str(world.folder / "tls-root.pem"))
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(connector=connector) as session:
        running = Process(process, session, f"https://127.0.0.1:{said.get('port')}")
        try:
            if not said:
                raise AssertionError((await process.communicate())[1].decode())
            yield running
        finally:
            await running.stop()


async def refused(file: Path) -> tuple[int, str]:
    """Start a directory that will not; returns its exit status and what it says."""
    process = await asyncio.create_subprocess_exec(
        *_COMMAND, "directory", "run", "-c", str(file), "--json",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert out == b""
    return process.returncode or 0, err.decode()
