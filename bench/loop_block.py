"""How long bodies of strangers hold up a directory's event loop, and so everybody else.

The directory runs in a process of its own whose loop ticks each millisecond and looks how much
processor time its thread took since the last tick: what a busy machine adds does not count. Each
attack is sent some times; the longest gap counts.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import uvloop
from rich.table import Table

from bench.directory_scene import TOKEN, DirectoryFiles, make_directory
from bench.process import machine
from gateway.cli.output import console
from gateway.config.directory import DirectoryConfig
from gateway.config.load import load_file
from gateway.directory.files import load_directory_keys
from gateway.directory.service import DirectoryService
from gateway.http.ohttp_gateway import GATEWAY_PATH
from gateway.log import configure_logs
from gateway.started import settle_memory

TARGET_MS: Final = 20.0
_TIMES: Final = 5
_TICK: Final = 0.001
_ANSWER_TIME: Final = 10.0
_MEGABYTE: Final = 1_000_000


async def measure(folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Send every attack; milliseconds, and the statuses of the answers."""
    files = await make_directory(folder / "loop", 1_000)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.loop_block",
        str(files.configuration),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    rows: list[dict[str, Any]] = []
    try:
        await _longest(process)
        for name, request in attacks(f"127.0.0.1:{files.port}").items():
            say(name)
            await _longest(process)
            statuses = [await _send(files, request) for _ in range(_TIMES)]
            longest = await _longest(process)
            rows.append({"attack": name, "block_ms": longest, "statuses": sorted(set(statuses))})
    finally:
        process.terminate()
        await process.wait()
    return {
        "bench": "hostile",
        "ok": all(row["block_ms"] < TARGET_MS for row in rows),
        "machine": machine(),
        "target_ms": TARGET_MS,
        "rows": rows,
    }


def show(found: dict[str, Any]) -> None:
    """Print the table."""
    table = Table("sent", "answered", "loop held up")
    for row in found["rows"]:
        statuses = ", ".join(map(str, row["statuses"]))
        table.add_row(row["attack"], statuses, f"{row['block_ms']:.1f} ms")
    console.print(found["machine"])
    console.print(table)


def attacks(authority: str) -> dict[str, bytes]:
    """Return requests that are costly to read, by name."""
    deep = b'{"csi":' + b"[" * 10_000
    closed = deep + b"]" * 5_000
    bomb = gzip.compress(bytes(10 * _MEGABYTE))
    chunks = b"1\r\n \r\n" * 100_000 + b"0\r\n\r\n"
    return {
        "an honest lookup": _request(authority, b'{"csi":"tel:+10000000000"}'),
        "JSON of depth 10,000": _request(authority, deep),
        "JSON of depth 10,000, half closed": _request(authority, closed),
        "1 MB": _request(authority, b" " * _MEGABYTE),
        "1 MB, length untold": _request(authority, _chunked(b" " * _MEGABYTE, 16_384), length=None),
        "gzip bomb": _request(authority, bomb, more="Content-Encoding: gzip\r\n"),
        "100,000 chunks": _request(authority, chunks, length=None),
        "100,000 chunks, oblivious": _request(
            authority, chunks, length=None, path=GATEWAY_PATH, media_type="message/ohttp-req"
        ),
        "16 kB that are not encapsulated": _request(
            authority, b"\x01" * 16_384, path=GATEWAY_PATH, media_type="message/ohttp-req"
        ),
        "100,000 fields": _request(authority, b"{}", more="a:b\r\n" * 100_000),
        "100,000 requests at once": f"GET / HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode()
        * 100_000,
    }


def _request(
    authority: str,
    body: bytes,
    *,
    length: int | None = -1,
    path: str = "/dp/v1/lookup",
    media_type: str = "application/json",
    more: str = "",
) -> bytes:
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {len(body)}"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Type: {media_type}\r\n{more}{framing}\r\n\r\n"
    )
    return head.encode() + body


def _chunked(body: bytes, size: int) -> bytes:
    pieces = (body[start : start + size] for start in range(0, len(body), size))
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


async def _send(files: DirectoryFiles, request: bytes) -> int:
    """Send it all at once, and return the status of the first answer; 0 for none."""
    context = ssl.create_default_context(cafile=str(files.home / "tls.pem"))
    reader, writer = await asyncio.open_connection("127.0.0.1", files.port, ssl=context)
    try:
        async with asyncio.timeout(_ANSWER_TIME):
            writer.write(request)
            with suppress(ConnectionError):
                await writer.drain()
            line = await reader.readline()
            return int(line.split(b" ")[1]) if line else 0
    except (TimeoutError, ConnectionError):
        return 0
    finally:
        writer.transport.abort()


async def _longest(process: asyncio.subprocess.Process) -> float:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"\n")
    line = await process.stdout.readline()
    if not line:
        raise OSError("the directory did not start")
    return float(json.loads(line)) * 1e3


async def _watched(configuration: Path) -> None:
    """Run a directory; for each line on standard input write the longest gap since the last."""
    settings = load_file(configuration, DirectoryConfig)
    configure_logs(settings.log)
    service = DirectoryService(settings, load_directory_keys(settings))
    await service.start()
    settle_memory()  # as `spingate directory run` does
    longest = 0.0

    def told() -> None:
        nonlocal longest
        if not sys.stdin.readline():
            ticking.cancel()
        print(json.dumps(longest), flush=True)
        longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            before = time.thread_time()
            await asyncio.sleep(_TICK)
            longest = max(longest, time.thread_time() - before)

    ticking = asyncio.create_task(tick())
    asyncio.get_running_loop().add_reader(sys.stdin, told)
    with suppress(asyncio.CancelledError):
        await ticking
    await service.stop()


if __name__ == "__main__":
    uvloop.run(_watched(Path(sys.argv[1])))
