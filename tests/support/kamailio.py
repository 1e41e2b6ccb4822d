"""Kamailio with its secsipid module as a test's neighbour: a verifier and a signer not ours."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from bench.sipp import is_bound

_MODULES: Final = "usr/lib/*/kamailio/modules/secsipid.so"
_STARTING_SECONDS: Final = 20.0
_STOPPING_SECONDS: Final = 10.0


def is_installed() -> bool:
    """Whether Kamailio and its secsipid module are there."""
    return shutil.which("kamailio") is not None and any(Path("/").glob(_MODULES))


@asynccontextmanager
async def kamailio(
    folder: Path, configuration: Path, address: str, *defines: str, **values: str
) -> AsyncIterator[Path]:
    """Run one Kamailio at `address`:5060 over UDP; gives its log.

    `defines` are names for its `#!ifdef`, `values` replace words in capitals.
    """
    log = folder / "kamailio.log"
    words = {"OWN_ADDRESS": f"{address}:5060", **values}
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            "kamailio",
            *_arguments(folder, configuration, defines, words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + _STARTING_SECONDS
        while not is_bound(address, 5060):
            assert process.returncode is None, log.read_text(errors="replace")[-2000:]
            assert time.monotonic() < deadline, f"kamailio does not start: see {log}"
            await asyncio.sleep(0.1)
        yield log
    finally:
        await _stop(process)


def _arguments(
    folder: Path, configuration: Path, defines: tuple[str, ...], words: Mapping[str, str]
) -> list[str]:
    arguments = ["-f", str(configuration), "-DD", "-E", "-m", "64", "-M", "16"]
    arguments += ["-Y", str(folder), "-w", str(folder), "-P", str(folder / "pid")]
    for name in defines:
        arguments += ["-A", name]
    return arguments + [f"--substdef=!{word}!{value}!g" for word, value in words.items()]


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOPPING_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
