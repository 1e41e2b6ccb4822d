"""What processes cost: CPU time, memory and descriptors of process trees, read from /proc.

CPU figures of a machine that is shared vary by a third from minute to minute, so that every
figure is put beside the time of a fixed piece of work measured in the same run (`calibrate`).
"""

import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
CALIBRATION_ROUNDS = 200_000


@dataclass(frozen=True, slots=True)
class Usage:
    """A process tree at one moment: CPU seconds since its start, resident bytes, counts."""

    cpu_seconds: float
    resident_bytes: int
    descriptors: int
    threads: int
    processes: int

    def since(self, before: "Usage") -> float:
        """CPU seconds spent since an earlier reading."""
        return self.cpu_seconds - before.cpu_seconds


def tree(pid: int) -> tuple[int, ...]:
    """A process and all its living descendants; empty where it is gone."""
    children: dict[int, list[int]] = {}
    for process, parent in _parents():
        children.setdefault(parent, []).append(process)
    found, waiting = [], [pid] if (PROC / str(pid)).exists() else []
    while waiting:
        process = waiting.pop()
        found.append(process)
        waiting += children.get(process, [])
    return tuple(found)


def usage(pid: int) -> Usage:
    """Add up a process tree; CPU of children that ended and were waited for is included.

    Raises ProcessLookupError where the process is gone.
    """
    processes = tree(pid)
    if not processes:
        raise ProcessLookupError(f"process {pid} ended while it was measured")
    readings = [reading for reading in map(_read, processes) if reading is not None]
    return Usage(
        cpu_seconds=sum(reading.cpu_seconds for reading in readings),
        resident_bytes=sum(reading.resident_bytes for reading in readings),
        descriptors=sum(reading.descriptors for reading in readings),
        threads=sum(reading.threads for reading in readings),
        processes=len(readings),
    )


def calibrate(seconds: float = 0.5) -> float:
    """The CPU microseconds one round of a fixed loop takes now, on this machine."""
    rounds, began = 0, time.process_time()
    data = b"spingate"
    while time.process_time() - began < seconds and rounds < CALIBRATION_ROUNDS * 100:
        for _ in range(1000):
            data = hashlib.sha256(data).digest()
        rounds += 1000
    return (time.process_time() - began) / rounds * 1e6


def _parents() -> Iterator[tuple[int, int]]:
    for entry in _process_folders():
        fields = _stat(int(entry.name))
        if fields is not None:
            yield int(entry.name), int(fields[1])


def _process_folders() -> Iterable[Path]:
    return (entry for entry in PROC.iterdir() if entry.name.isdigit())


def _stat(pid: int) -> list[str] | None:
    """The fields after the command, which may itself hold spaces and parentheses."""
    try:
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    return text.rsplit(")", 1)[1].split()


def _read(pid: int) -> Usage | None:
    fields = _stat(pid)
    if fields is None:
        return None
    # proc(5): after the command come state, ppid, ...; 11 to 14 are utime, stime, cutime,
    # cstime, 17 is num_threads, 21 is rss in pages.
    ticks = sum(int(field) for field in fields[11:15])
    try:
        descriptors = sum(1 for _ in (PROC / str(pid) / "fd").iterdir())
    except OSError:
        descriptors = 0
    return Usage(
        cpu_seconds=ticks / os.sysconf("SC_CLK_TCK"),
        resident_bytes=int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
        descriptors=descriptors,
        threads=int(fields[17]),
        processes=1,
    )


def machine() -> str:
    """Name the machine in one line: processor, cores, kernel."""
    lines = (PROC / "cpuinfo").read_text().splitlines()
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    system = os.uname()
    model = next(models, "unknown processor")
    return f"{model}, {os.cpu_count()} cores, {system.sysname} {system.release}"
