"""Waiting for the beat on which an answer may go."""

from __future__ import annotations

import asyncio

from discovery.privacy.alike import Beat


async def wait_for_beat(beat: Beat, asked: float) -> None:
    """Wait until an answer to a question of `asked` (the loop's time) may go.

    The loop's clock may have a resolution of a millisecond: as long as both times are its own, the
    answer goes on the same tick however long it took to make.
    """
    now = asyncio.get_running_loop().time()
    pause = beat.release(asked, now) - now
    if pause > 0:
        await asyncio.sleep(pause)
