"""The search for the highest rate that is sustained."""

from __future__ import annotations

from bench.chain import Run
from bench.ramp import Ramp, highest, sustained
from bench.sipp import Load, Outcome


def run(load: Load, *, failed: int = 0, retransmissions: int = 0, slowed: float = 1.0) -> Run:
    good = load.calls - failed
    seconds = load.calls / load.rate * slowed + load.hold
    outcome = Outcome(good, failed, retransmissions, seconds, ())
    return Run(load, outcome, {"alpha": 0.1}, {}, verified=load.calls, cached=load.calls)


class Limited:
    """Carries calls up to a rate, and fails some above it."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.tried: list[float] = []

    async def run(self, load: Load) -> Run:
        self.tried.append(load.rate)
        return run(load, failed=0 if load.rate <= self.limit else 5)


def test_a_load_is_sustained_without_failures_repetitions_and_delay() -> None:
    load = Load(calls=1000, rate=100)
    assert sustained(run(load))
    assert not sustained(run(load, failed=1))
    assert not sustained(run(load, retransmissions=50))
    assert not sustained(run(load, slowed=1.2))


async def test_the_highest_rate_is_found_to_the_step() -> None:
    carrier = Limited(330)
    told: list[Run] = []
    best = await highest(carrier, Ramp(low=50, high=5_000, step=25, pause=0), told.append)
    assert best is not None
    assert 305 <= best.load.rate <= 330
    assert carrier.tried[:4] == [50, 100, 200, 400]
    assert len(told) == len(carrier.tried) <= 8


async def test_nothing_is_found_where_the_lowest_rate_fails() -> None:
    assert await highest(Limited(10), Ramp(pause=0), lambda _run: None) is None


async def test_the_search_ends_at_the_highest_rate_asked_for() -> None:
    carrier = Limited(10_000)
    best = await highest(carrier, Ramp(low=50, high=400, pause=0), lambda _run: None)
    assert best is not None
    assert best.load.rate == 400
