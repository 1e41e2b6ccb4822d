"""What somebody learns who asks a directory for many numbers and looks at the clock.

Known and unknown numbers are asked for in turn by chance, each once. Compared are status, size and
the median time of the answers, with the beat of the configuration and, for less numbers, without.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from bench.directory import cores
from bench.directory_scene import make_directory, running
from bench.lookup_load import Job, ask
from bench.process import machine
from gateway.cli.output import console

TOLERANCE: Final = 0.05
_CONNECTIONS: Final = {False: 4, True: 2}
_WITHOUT_BEAT: Final = 10


async def measure(folder: Path, numbers: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Ask for so many numbers, half of them known, plainly and obliviously; all are in a log."""
    rows = []
    for beat in (True, False):
        for oblivious in (False, True):
            asked = numbers if beat else numbers // _WITHOUT_BEAT
            way = f"{'oblivious' if oblivious else 'plain'}{'' if beat else ', without a beat'}"
            say(f"{asked:,} numbers: {way}")
            rows.append({"way": way, "beat": beat, **await _ask(folder, asked, oblivious, beat)})
    return {
        "bench": "enumeration",
        "ok": all(row["alike"] for row in rows if row["beat"]),
        "machine": machine(),
        "tolerance": TOLERANCE,
        "rows": rows,
    }


def show(found: dict[str, Any]) -> None:
    """Print the table."""
    table = Table(title="Answers about known and unknown numbers")
    for name in ("lookups", "numbers", "status and size", "known p50", "unknown p50", "differ by"):
        table.add_column(name, justify="right")
    for row in found["rows"]:
        table.add_row(
            row["way"],
            f"{row['lookups']:,}",
            ", ".join(f"{status}: {size:,}" for status, size, _ in row["answers"]),
            f"{row['known_p50_ms']:.3f} ms",
            f"{row['unknown_p50_ms']:.3f} ms",
            f"{row['difference']:.1%}",
        )
    console.print(found["machine"])
    console.print(table)


async def _ask(folder: Path, numbers: int, oblivious: bool, beat: bool) -> dict[str, Any]:
    home = folder / "enumeration"
    size = numbers // 2
    more = "" if beat else "beat_seconds = 0.0\n"
    files = await make_directory(home, size, logged=True, more=more)
    here, there = cores()
    at_once = _CONNECTIONS[oblivious] if beat else 1
    async with running(files, here) as pid:
        found = await ask(
            Job(
                str(home),
                files.port,
                size,
                pid,
                oblivious,
                numbers,
                connections=at_once,
                core=there,
                seconds=3_600.0,
            )
        )
    shutil.rmtree(home)
    known, unknown = found["known_p50_ms"], found["unknown_p50_ms"]
    difference = abs(known - unknown) / min(known, unknown)
    same = len(found["answers"]) == 1 and len(found["inside"]) <= 1
    return {**found, "difference": difference, "alike": same and difference <= TOLERANCE}
