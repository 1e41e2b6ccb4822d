"""The gateways and Kamailio + secsipid under the same load, in turn, in one run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from typing import Any, Final

from rich.table import Table

from bench.calls import steady_figures
from bench.chain import Run, chain
from bench.kamailio import proxies
from bench.process import calibrate, machine
from bench.ramp import Carrier, Ramp, highest
from bench.sipp import Load
from gateway.cli.output import console

_WARM_UP: Final = Load(calls=50, rate=50.0)
_WORK: Final = {"alpha": "signs", "beta": "verifies"}


async def compare(
    folder: Path,
    progress: Callable[[str], None],
    load: Load,
    rounds: int,
    ramp: Ramp | None,
) -> dict[str, Any]:
    """Measure both in alternate rounds, then, where asked for, the highest rate of each."""
    async with AsyncExitStack() as stack:
        gateways = await stack.enter_async_context(
            chain(folder / "spingate", progress, records=False)
        )
        await gateways.find_number()
        progress("two Kamailios: one signs, one verifies")
        carriers: dict[str, Carrier] = {
            "spingate": gateways,
            "kamailio": await stack.enter_async_context(proxies(folder / "kamailio")),
        }
        runs: dict[str, list[Run]] = {name: [] for name in carriers}
        for carrier in carriers.values():
            await carrier.run(_WARM_UP)
        for number in range(rounds):
            for name, carrier in carriers.items():
                runs[name].append(await carrier.run(load))
                progress(f"round {number + 1}: {_in_words(name, runs[name][-1])}")
        best = await _ramps(carriers, ramp, progress) if ramp is not None else {}
    found = _figures(runs, best)
    found["machine"], found["calibration_us"] = machine(), round(calibrate(), 3)
    return found


async def _ramps(
    carriers: dict[str, Carrier], ramp: Ramp, progress: Callable[[str], None]
) -> dict[str, Run | None]:
    best: dict[str, Run | None] = {}
    for name, carrier in carriers.items():

        def tell(run: Run, name: str = name) -> None:
            progress(f"{run.load.rate:g} calls/s: {_in_words(name, run)}")

        best[name] = await highest(carrier, ramp, tell)
    return best


def _in_words(name: str, run: Run) -> str:
    cpu = ", ".join(f"{_WORK[each]} for {run.cpu_per_call(each):.0f} µs" for each in run.cpu)
    outcome = run.outcome
    return f"{name} {cpu}; {outcome.failed} failed, {outcome.retransmissions} retransmissions"


def _figures(runs: dict[str, list[Run]], best: dict[str, Run | None]) -> dict[str, Any]:
    cpu = {
        name: {each: median(run.cpu_per_call(each) for run in done) for each in _WORK}
        for name, done in runs.items()
    }
    return {
        "bench": "kamailio",
        "ok": all(run.clean for done in runs.values() for run in done),
        "rounds": {name: [steady_figures(run) for run in done] for name, done in runs.items()},
        "cpu_us_a_call": {
            name: {_WORK[each]: round(value) for each, value in values.items()}
            for name, values in cpu.items()
        },
        "spingate_to_kamailio": {
            _WORK[each]: round(cpu["spingate"][each] / cpu["kamailio"][each], 2) for each in _WORK
        },
        "sustained_calls_a_second": {
            name: None if run is None else run.load.rate for name, run in best.items()
        },
    }


def show(found: dict[str, Any]) -> None:
    """Print a comparison for people."""
    table = Table("median CPU a call", *_WORK.values())
    for name, values in found["cpu_us_a_call"].items():
        table.add_row(name, *(f"{value} µs" for value in values.values()))
    ratios = found["spingate_to_kamailio"].values()
    table.add_row("spingate / kamailio", *(f"{value:.2f}" for value in ratios))
    console.print(table)
    for name, rate in found["sustained_calls_a_second"].items():
        console.print(f"{name}: {rate or 'no'} calls/s sustained, none failed")
