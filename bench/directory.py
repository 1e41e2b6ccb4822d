"""Plain lookups at a directory as its records grow: rate, delays, processor and memory.

The directory is a process of its own over HTTPS on loopback and SQLite, the asker another one. Half
of the identifiers asked for are there. Records are copies of one real record under other names: the
directory does the same with them, and making a million keys would take longer than the bench.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import sqlite3
import ssl
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import aiohttp
from rich.table import Table

from bench.process import machine
from discovery.directory.identifier import parse_identifier
from discovery.directory.record import Map, Record, sign_record
from discovery.model import Service
from gateway.cli.output import console
from gateway.directory.database import Database, sqlite_url
from gateway.directory.keys import EcSigner, chain_texts
from gateway.directory.record_store import RecordStore
from stir.certificates.issuing import (
    Authority,
    issue_sti_certificate,
    issue_tls_certificate,
    make_intermediate,
    make_root,
    new_key,
)
from stir.certificates.tn_auth_list import One, TnAuthList

SIZES: Final = (1_000, 100_000, 1_000_000)
_TOKEN: Final = "token-of-the-bench-peer"
_FIRST: Final = 10_000_000_000
_CONNECTIONS: Final = 32
_CONFIGURATION: Final = """
[directory]
url = "https://127.0.0.1:{port}"
address = "127.0.0.1"
port = {port}
certificate = "https.pem"
key = "https.key"
state_directory = "state"
owner_trust_anchors = ["numbers.pem"]
[[directory.peer]]
name = "bench"
token = "{token}"
lookups_per_day = 1_000_000_000
lookups_per_second = 1_000_000.0
lookups_burst = 1_000_000
[log]
level = "error"
"""


async def measure(folder: Path, seconds: float, largest: int) -> dict[str, Any]:
    """Measure each size up to `largest` records for `seconds` seconds."""
    rows = []
    for size in SIZES:
        if size <= largest:
            home = folder / str(size)
            home.mkdir()
            rows.append(await _measure(home, size, seconds))
    return {"ok": bool(rows), "machine": machine(), "sizes": rows}


def show(found: dict[str, Any]) -> None:
    """Print a table."""
    table = Table(title="Plain lookups at a directory (HTTPS, SQLite)")
    for name in (
        "records",
        "lookups/s",
        "p50 ms",
        "p99 ms",
        "CPU us a lookup",
        "RSS MiB",
        "disk MiB",
    ):
        table.add_column(name, justify="right")
    for row in found["sizes"]:
        table.add_row(
            f"{row['records']:,}",
            f"{row['rate']:.0f}",
            f"{row['p50_ms']:.1f}",
            f"{row['p99_ms']:.1f}",
            f"{row['cpu_us']:.0f}",
            f"{row['rss_mib']:.0f}",
            f"{row['disk_mib']:.0f}",
        )
    console.print(found["machine"])
    console.print(table)


async def _measure(home: Path, size: int, seconds: float) -> dict[str, Any]:
    port = _free_port()
    await _prepare(home, size, port)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        "directory",
        "run",
        "-c",
        str(home / "directory.toml"),
        "--json",
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        json.loads(await process.stdout.readline())
        await _ask(home, port, size, 1.0)
        before = _cpu(process.pid)
        delays = await _ask(home, port, size, seconds)
        used = _cpu(process.pid) - before
        return {
            "records": size,
            "lookups": len(delays),
            "rate": len(delays) / seconds,
            "p50_ms": statistics.median(delays) * 1e3,
            "p99_ms": statistics.quantiles(delays, n=100)[98] * 1e3,
            "cpu_us": used / len(delays) * 1e6,
            "rss_mib": _rss(process.pid),
            "disk_mib": sum(f.stat().st_size for f in (home / "state").iterdir()) / 2**20,
        }
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _ask(home: Path, port: int, size: int, seconds: float) -> list[float]:
    """Ask over kept connections for so long; return how long each lookup took."""
    context = ssl.create_default_context(cafile=str(home / "tls.pem"))
    delays: list[float] = []
    chance = random.Random(size)
    headers = {"Authorization": f"Bearer {_TOKEN}"}
    end = time.monotonic() + seconds

    async def one(session: aiohttp.ClientSession) -> None:
        while time.monotonic() < end:
            number = _FIRST + chance.randrange(2 * size)
            began = time.monotonic()
            async with session.post(
                f"https://127.0.0.1:{port}/dp/v1/lookup", json={"csi": f"tel:+{number}"}
            ) as response:
                await response.read()
                if response.status != 200:
                    raise RuntimeError(f"lookup: HTTP status {response.status}")
            delays.append(time.monotonic() - began)

    connector = aiohttp.TCPConnector(ssl=context, limit=_CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        await asyncio.gather(*(one(session) for _ in range(_CONNECTIONS)))
    return delays


async def _prepare(home: Path, size: int, port: int) -> None:
    now = time.time()
    tls, numbers = make_root("Bench TLS", now), make_root("Bench numbers", now)
    issued = issue_tls_certificate(tls, now, addresses=("127.0.0.1",))
    assert issued.key_pem is not None
    (home / "state").mkdir()
    (home / "https.pem").write_bytes(issued.chain_pem)
    (home / "https.key").write_bytes(issued.key_pem)
    (home / "tls.pem").write_bytes(tls.certificate_pem)
    (home / "numbers.pem").write_bytes(numbers.certificate_pem)
    (home / "directory.toml").write_text(_CONFIGURATION.format(port=port, token=_TOKEN))
    file = home / "state" / "directory.db"
    database = Database(sqlite_url(file))
    await database.create_tables()
    assert await RecordStore(database).count() == 0
    await database.close()
    await asyncio.to_thread(_fill, file, size, make_intermediate(numbers, "Bench CA", now), now)


def _fill(file: Path, size: int, authority: Authority, now: float) -> None:
    signer = EcSigner(new_key())
    number = str(_FIRST)
    issued = issue_sti_certificate(
        authority, TnAuthList((One(number),)), now, public_key=signer.public.public_key
    )
    uri = f"sip:+{number}@b.example;user=phone"
    maps = (Map("b.example", (Service.VOICE, Service.VIDEO), uri, 10, ("personal",)),)
    csi = parse_identifier(f"tel:+{number}")
    record = Record(csi, 1, int(now), int(now) + 86_400, maps, "https://dp.example/ca/v1/c/1")
    token = sign_record(record, signer)
    chain = json.dumps(chain_texts(issued.chain_pem))
    end = now + 86_400

    def rows() -> Iterator[tuple[object, ...]]:
        for n in range(size):
            yield (
                f"tel:+{_FIRST + 2 * n}",
                signer.public.thumbprint,
                token,
                "d" * 43,
                chain,
                False,
                False,
                now,
                end,
                None,
            )

    with sqlite3.connect(file) as connection:
        connection.executemany("INSERT INTO dp_records VALUES (?,?,?,?,?,?,?,?,?,?)", rows())
    connection.close()


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rss(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
