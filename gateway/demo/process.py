"""A part of the scene in a process of its own, run as an operator runs it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

_STARTING_SECONDS: Final = 60.0
_STOPPING_SECONDS: Final = 15.0
_POLL_SECONDS: Final = 0.05
_ENDING_SECONDS: Final = 0.2
_LOG_TAIL: Final = 5


class SceneError(Exception):
    """A part of the scene did not start or died; the text names it and where to look."""


class ServerProcess:
    """`spingate` with some arguments; `called` names it in errors, its errors go to `log_file`."""

    def __init__(self, called: str, arguments: tuple[str, ...], log_file: Path) -> None:
        self.log_file = log_file
        self.called = called
        self._arguments = arguments
        self._process: asyncio.subprocess.Process | None = None

    @property
    def process_id(self) -> int | None:
        """The process, for its CPU and memory to be measured."""
        return self._process.pid if self._process is not None else None

    @property
    def exit_code(self) -> int | None:
        """What it ended with; None while it runs or before it was started."""
        return self._process.returncode if self._process is not None else None

    async def start(self) -> None:
        """Start it and wait until it serves; raises SceneError."""
        raise NotImplementedError

    async def has_ended(self) -> bool:
        """Whether it ended; what it did to others may be known a little sooner than that."""
        if self._process is None:
            return False
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), _ENDING_SECONDS)
        return self._process.returncode is not None

    def last_words(self) -> str:
        """Say that it ended, what it said last, and which file has more."""
        lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        said = " | ".join(lines[-_LOG_TAIL:]) or "without a word"
        return f"{self.called} ended with {self.exit_code}: {said}; see {self.log_file}"

    async def launch(self, healthy: Callable[[], Awaitable[bool]]) -> None:
        """Start it and wait until it is healthy; raises SceneError."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SPINGATE_")}
        with self.log_file.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "gateway",
                *self._arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(_STARTING_SECONDS):
                while not await healthy():
                    if self._process.returncode is not None:
                        raise SceneError(self.last_words())
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            raise SceneError(f"{self.called} does not answer; see {self.log_file}") from None

    async def ended(self) -> None:
        """Wait until it has ended by itself, or by somebody else's signal."""
        if self._process is not None:
            await self._process.wait()

    async def stop(self) -> None:
        """Tell it to stop and wait for it."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        try:
            await asyncio.wait_for(process.wait(), _STOPPING_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


class ListeningProcess(ServerProcess):
    """A process that serves as soon as its port is open."""

    def __init__(
        self, called: str, arguments: tuple[str, ...], log_file: Path, address: str, port: int
    ) -> None:
        super().__init__(called, arguments, log_file)
        self._place = (address, port)

    async def start(self) -> None:
        await self.launch(self._listens)

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(*self._place)
        except OSError:
            return False
        writer.close()
        return True
