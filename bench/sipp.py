"""SIPp as the telephones on both ends, and what it counted."""

from __future__ import annotations

import asyncio
import csv
import shutil
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SCENARIOS: Final = Path(__file__).parent / "sipp"
_SOCKET_BUFFER: Final = "4000000"
_STARTING_SECONDS: Final = 10.0
_STOPPING_SECONDS: Final = 5.0
_LAST_CALLS_SECONDS: Final = 60.0
_TO_ANSWER: Final = "2"  # the timer of uac.xml from INVITE to 200
_COMMON: Final = ("-nostdin", "-t", "u1", "-buff_size", _SOCKET_BUFFER, "-trace_err")


class SippError(Exception):
    """SIPp is not installed or did not run; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Load:
    """Calls to place: so many, so many a second, each held for `hold` seconds."""

    calls: int
    rate: float
    hold: float = 0.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the calling SIPp saw.

    `seconds` is from the first INVITE to the end of the last call, `set_up` the time from INVITE
    to 200 of each call in milliseconds, sorted.
    """

    successful: int
    failed: int
    retransmissions: int
    seconds: float
    set_up: tuple[float, ...]

    def percentile(self, part: float) -> float | None:
        """Return the set-up time in milliseconds that a part (0 to 1) of the calls kept within."""
        if not self.set_up:
            return None
        return self.set_up[min(len(self.set_up) - 1, int(part * len(self.set_up)))]


def program() -> str:
    """Return SIPp's path; raises SippError where it is not installed."""
    found = shutil.which("sipp")
    if found is None:
        raise SippError("sipp is not installed: apt-get install sip-tester")
    return found


@asynccontextmanager
async def callee(folder: Path, host: str, port: int) -> AsyncIterator[None]:
    """Answer calls at an address while the block runs."""
    arguments = (*_scenario("uas.xml"), "-i", host, "-p", str(port), *_COMMON)
    process = await _start(folder / "callee.log", arguments)
    try:
        await _bound(process, host, port, folder / "callee.log")
        yield
    finally:
        await _stop(process)


async def call(
    folder: Path, load: Load, *, source: str, to: str, called: str, keys: dict[str, str]
) -> Outcome:
    """Place a load of calls from an address to a gateway (host:port) and wait for their end."""
    _forget_earlier(folder)
    limit = load.calls if load.hold > 10 else int(load.rate * (load.hold + 4)) + 50
    arguments = [to, *_scenario("uac.xml"), "-i", source, "-s", called, *_COMMON]
    arguments += ["-r", f"{load.rate:g}", "-m", str(load.calls), "-l", str(limit)]
    arguments += ["-d", str(round(load.hold * 1000)), "-fd", "1", "-trace_stat"]
    arguments += ["-stf", "caller.csv", "-trace_rtt", "-rtt_freq", "100"]
    for name, value in keys.items():
        arguments += ["-key", name, value]
    allowed = load.calls / load.rate + load.hold + _LAST_CALLS_SECONDS
    begun = time.monotonic()
    process = await _start(folder / "caller.log", arguments)
    try:
        await asyncio.wait_for(process.wait(), allowed)
    except TimeoutError:
        pass  # the calls that hang count as failed
    finally:
        await _stop(process)
    return _outcome(folder, load, time.monotonic() - begun)


def _scenario(name: str) -> tuple[str, str]:
    return "-sf", str(SCENARIOS / name)


async def _start(log: Path, arguments: Sequence[str]) -> asyncio.subprocess.Process:
    with log.open("wb") as output:
        return await asyncio.create_subprocess_exec(
            program(),
            *arguments,
            cwd=log.parent,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
        )


async def _bound(process: asyncio.subprocess.Process, host: str, port: int, log: Path) -> None:
    """Wait until something is bound to the UDP port."""
    async with asyncio.timeout(_STARTING_SECONDS):
        while not is_bound(host, port):
            if process.returncode is not None:
                raise SippError(f"sipp ended: see {log}")
            await asyncio.sleep(0.05)


def is_bound(host: str, port: int) -> bool:
    """Whether something is bound to a UDP address."""
    # The kernel writes the address as a number of this machine's byte order.
    number = int.from_bytes(socket.inet_aton(host), sys.byteorder)
    wanted = f"{number:08X}:{port:04X}"
    lines = Path("/proc/net/udp").read_text().splitlines()[1:]
    return any(line.split()[1] == wanted for line in lines)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.kill()
    await asyncio.wait_for(process.wait(), _STOPPING_SECONDS)


def _forget_earlier(folder: Path) -> None:
    for old in folder.glob("*.csv"):
        old.unlink()


def _outcome(folder: Path, load: Load, seconds: float) -> Outcome:
    last: dict[str, str] = {}
    statistics = folder / "caller.csv"
    if statistics.exists():
        with statistics.open(newline="") as lines:
            last = list(csv.DictReader(lines, delimiter=";"))[-1]
    successful = int(last.get("SuccessfulCall(C)") or 0)
    return Outcome(
        successful=successful,
        failed=load.calls - successful,
        retransmissions=int(last.get("Retransmissions(C)") or 0),
        seconds=seconds,
        set_up=tuple(sorted(_response_times(folder))),
    )


def _response_times(folder: Path) -> list[float]:
    times: list[float] = []
    for path in folder.glob("uac_*_rtt.csv"):
        with path.open(newline="") as lines:
            times += [
                float(row["response_time_ms"]) for row in csv.DictReader(lines, delimiter=";")
            ]
    return times
