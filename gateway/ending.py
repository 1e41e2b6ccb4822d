"""The end of a task of our own."""

from __future__ import annotations

import asyncio


async def end_task(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end; what it raises is its own affair.

    Waited for and not awaited: its CancelledError and that of whoever calls us look the same.
    """
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()  # taken note of, so that nobody complains that it was not
