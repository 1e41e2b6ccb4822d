"""Lookups at a directory as its records grow: rate, delays, processor, memory and disk.

The directory is `spingate directory run` over HTTPS on loopback and SQLite, on one core; who asks
is another process on another core. Half of the numbers asked for are there. Plain lookups go as
fast as 32 connections let them; oblivious ones (RFC 9458), each with a Privacy Pass token of its
own, come by the clock, and their delay counts from when they were due. A relay is left out.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from bench.directory_scene import make_directory, running
from bench.lookup_load import Job, ask
from bench.process import calibrate, machine
from gateway.cli.output import console

SIZES: Final = (1_000, 100_000, 1_000_000)
OBLIVIOUS_RATE: Final = 500.0
OBLIVIOUS_P99_MS: Final = 20.0
PLAIN_RATE: Final = 3_000.0
_MOST: Final = 10_000.0
_PEAK: Final = 3_000
Say = Callable[[str], None]


async def measure(folder: Path, seconds: float, largest: int, say: Say) -> dict[str, Any]:
    """Measure each size up to `largest` records, each kind of lookup for `seconds` seconds.

    The largest is measured a second time with every record in a transparency log.
    """
    sizes = [size for size in SIZES if size <= largest]
    rows = [await _measure(folder, size, seconds, say, logged=False) for size in sizes]
    rows.append(await _measure(folder, sizes[-1], seconds, say, logged=True))
    return {
        "bench": "directory",
        "ok": all(row["all_alike"] for row in rows),
        "machine": machine(),
        "calibration_us": round(calibrate(), 3),
        "targets": _targets(rows),
        "sizes": rows,
    }


def show(found: dict[str, Any]) -> None:
    """Print the tables."""
    console.print(found["machine"])
    console.print(_table(found, "plain", "Plain lookups, 32 connections"))
    title = f"Oblivious lookups with tokens, {OBLIVIOUS_RATE:.0f} a second by the clock"
    console.print(_table(found, "oblivious", title))
    console.print(_table(found, "oblivious_peak", "Oblivious lookups, 32 connections"))
    for name, met in found["targets"].items():
        console.print(f" {'[green]met[/]' if met else '[red]missed[/]'} {name}")


def _table(found: dict[str, Any], kind: str, title: str) -> Table:
    table = Table(title=title)
    names = ("records", "lookups/s", "p50 ms", "p99 ms", "CPU us", "core busy", "RSS MiB", "disk")
    for name in names:
        table.add_column(name, justify="right")
    for row in found["sizes"]:
        one = row[kind]
        table.add_row(
            f"{row['records']:,}{' logged' if row['logged'] else ''}",
            f"{one['rate']:,.0f}",
            f"{one['p50_ms']:.1f}",
            f"{one['p99_ms']:.1f}",
            f"{one['cpu_us']:.0f}",
            f"{one['busy']:.0%}",
            f"{one['rss_mib']:.0f}",
            f"{row['disk_mib']:,.0f} MiB",
        )
    return table


async def _measure(
    folder: Path, size: int, seconds: float, say: Say, *, logged: bool
) -> dict[str, Any]:
    home = folder / f"{size}{'-logged' if logged else ''}"
    say(f"{size:,} records{' and a log of them' if logged else ''}: made")
    files = await make_directory(home, size, logged=logged)
    here, there = cores()
    found: dict[str, Any] = {"records": size, "logged": logged}
    async with running(files, here) as pid:
        jobs = {
            "plain": (False, round(_MOST * seconds), None),
            "oblivious": (True, round(OBLIVIOUS_RATE * seconds), OBLIVIOUS_RATE),
            "oblivious_peak": (True, _PEAK, None),
        }
        for name, (oblivious, lookups, rate) in jobs.items():
            say(f"{size:,} records: {name.replace('_', ', ')}")
            job = Job(
                str(home),
                files.port,
                size,
                pid,
                oblivious,
                lookups,
                rate,
                core=there,
                seconds=seconds,
            )
            found[name] = await ask(job)
        found["disk_mib"] = files.disk_octets / 2**20
        found["all_alike"] = all(_alike(found[name]) for name in jobs)
    shutil.rmtree(home)
    return found


def _alike(one: dict[str, Any]) -> bool:
    """Tell whether every answer had status 200, inside as well, and one size."""
    outside, inside = one["answers"], one["inside"]
    return (
        len(outside) == 1
        and outside[0][0] == 200
        and len(inside) <= 1
        and all(status == 200 for status, _ in inside)
    )


def cores() -> tuple[int | None, int | None]:
    """Return a core for the directory and another one for who asks; None where there is one."""
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[-1]) if len(usable) > 1 else (None, None)


def _targets(rows: list[dict[str, Any]]) -> dict[str, bool]:
    return {
        f"{PLAIN_RATE:,.0f} plain lookups a second": all(
            row["plain"]["rate"] >= PLAIN_RATE for row in rows
        ),
        f"{PLAIN_RATE:,.0f} plain lookups a second of the core's time": all(
            row["plain"]["cpu_us"] <= 1e6 / PLAIN_RATE for row in rows
        ),
        f"{OBLIVIOUS_RATE:.0f} oblivious lookups a second, 99 of 100 within "
        f"{OBLIVIOUS_P99_MS:.0f} ms": all(
            row["oblivious"]["rate"] >= OBLIVIOUS_RATE * 0.99
            and row["oblivious"]["p99_ms"] < OBLIVIOUS_P99_MS
            for row in rows
        ),
    }
