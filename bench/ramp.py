"""The highest rate of calls that a chain sustains without a failed call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from bench.chain import Run
from bench.sipp import Load

# A retransmission means that something waited half a second; a shared machine has its hiccups.
_RETRANSMITTED: Final = 0.005
_KEPT_RATE: Final = 0.95


class Carrier(Protocol):
    """Whatever carries calls: the gateways, or what they are compared with."""

    async def run(self, load: Load) -> Run:
        """Carry a load of calls and measure."""


@dataclass(frozen=True, slots=True)
class Ramp:
    """Where to look: doubling from `low`, then halving the gap down to `step`, calls a second.

    `pause` seconds pass after each load, and four times that after one that was too high.
    """

    low: float = 50
    high: float = 5_000
    step: float = 25
    seconds: float = 6
    pause: float = 3


def sustained(run: Run) -> bool:
    """Whether no call failed, nearly none had to be repeated, and the rate was kept."""
    calls, retransmissions = run.load.calls, run.outcome.retransmissions
    return (
        run.clean
        and retransmissions <= calls * _RETRANSMITTED
        and run.rate >= run.load.rate * _KEPT_RATE
    )


async def highest(carrier: Carrier, ramp: Ramp, tell: Callable[[Run], None]) -> Run | None:
    """Return the run of the highest rate that was sustained, or None where the lowest was not."""
    best: Run | None = None
    rate, failed_at = ramp.low, ramp.high * 2
    while rate <= ramp.high and failed_at - (best.load.rate if best else 0) > ramp.step:
        run = await carrier.run(Load(calls=round(rate * ramp.seconds), rate=rate))
        tell(run)
        if sustained(run):
            best = run
        else:
            failed_at = rate
        if failed_at > ramp.high:
            rate *= 2
        elif best is None:
            break
        else:
            rate = round((best.load.rate + failed_at) / 2)
        # What a too high rate has left behind has to be over first.
        await asyncio.sleep(ramp.pause if run is best else 4 * ramp.pause)
    return best
