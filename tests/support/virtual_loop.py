"""An event loop whose clock stands still until a test moves it: nothing ever sleeps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
# How many rounds of callbacks a test's longest chain of awaits takes, with room to spare.
_ROUNDS = 60


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs what is due, then stops; `advance` is the only way time passes."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__()

    def time(self) -> float:
        return self._now

    def settle(self) -> None:
        """Run until nothing is left to do now."""
        self.run_until_complete(_rounds())

    def do(self, call: Callable[[], object], *, settle: bool = True) -> None:
        """Call from within the loop, as a driver would, then see what comes of it."""

        async def run() -> None:
            call()

        self.run_until_complete(run())
        if settle:
            self.settle()

    def advance(self, seconds: float) -> None:
        """Let time pass; timers in between ring at its end."""
        self.settle()
        self._now += seconds
        self.settle()

    def result(self, work: Coroutine[Any, Any, T]) -> T:
        """Give what a coroutine comes to without any time passing."""
        task = self.create_task(work)
        self.settle()
        assert task.done(), "it waits for something that does not come"
        return task.result()

    def finish(self) -> None:
        """Give up what still waits, and close."""
        for task in asyncio.all_tasks(self):
            task.cancel()
        self.settle()
        self.close()


async def _rounds() -> None:
    for _ in range(_ROUNDS):
        await asyncio.sleep(0)
