"""Calls through both gateways: a steady rate, then many held at once and released."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final

from rich.progress import Progress, TimeElapsedColumn
from rich.table import Table

from bench.chain import Chain, Run, chain
from bench.process import machine
from bench.sipp import Load, Outcome
from gateway.cli.output import console

_HELD_RATE: Final = 50.0
_TALK_SECONDS: Final = 5.0
_WARM_UP: Final = Load(calls=100, rate=50.0)
# Timers D, I, J and K (RFC 3261 section 17) and the Accepted state hold transactions up to 32 s.
_TIMERS_SECONDS: Final = 34.0
_SPARE_DESCRIPTORS: Final = 2


async def carry_calls(
    folder: Path,
    progress: Callable[[str], None],
    rate: float,
    seconds: float,
    held: int,
    *,
    quiet: bool,
) -> dict[str, Any]:
    """Measure both parts and return what was found; `ok` says whether every call went through."""
    async with chain(folder, progress) as gateways:
        first = await gateways.find_number()
        progress("first call: the number found by SPIN, by SMS and back over HTTPS")
        if first.failed:
            return {"bench": "calls", "ok": False, "error": "the first call failed"}
        await gateways.run(_WARM_UP)
        load = Load(calls=round(rate * seconds), rate=rate)
        with _bar(f"{rate:g} calls/s for {seconds:g} s", load, quiet):
            steady = await gateways.run(load)
        found: dict[str, Any] = {
            "bench": "calls",
            "ok": steady.clean,
            "machine": machine(),
            "steady": steady_figures(steady),
        }
        if not quiet:
            _print_steady(steady)
        if held:
            holding = await hold(gateways, held, quiet)
            found["held"] = holding
            found["ok"] = steady.clean and holding["ok"]
            if not quiet:
                _print_held(holding)
        return found


async def hold(gateways: Chain, count: int, quiet: bool) -> dict[str, Any]:
    """Hold many calls at once, release them, and see that nothing is left over."""
    before = {name: gateways.use(name) for name in gateways.gateways}
    setting_up = count / _HELD_RATE
    load = Load(calls=count, rate=_HELD_RATE, hold=setting_up + _TALK_SECONDS)
    with _bar(f"{count} calls held at once", load, quiet):
        running = asyncio.ensure_future(gateways.run(load))
        await asyncio.sleep(setting_up + _TALK_SECONDS / 2)
        up = {name: (await gateways.left_over(name))["calls"] for name in gateways.gateways}
        during = {name: gateways.use(name) for name in gateways.gateways}
        run = await running
    with _bar("the last timers run out", Load(calls=1, rate=1, hold=_TIMERS_SECONDS), quiet):
        await asyncio.sleep(_TIMERS_SECONDS)
    left = {name: await gateways.left_over(name) for name in gateways.gateways}
    after = {name: gateways.use(name) for name in gateways.gateways}
    clean = all(not any(state.values()) for state in left.values()) and all(
        after[name].descriptors <= before[name].descriptors + _SPARE_DESCRIPTORS for name in after
    )
    return {
        "ok": run.clean and clean and all(number == count for number in up.values()),
        "calls": count,
        "failed": run.outcome.failed,
        "gateways": {
            name: {
                "up": up[name],
                "bytes_a_call": (during[name].resident_bytes - before[name].resident_bytes)
                // count,
                "memory_before": before[name].resident_bytes,
                "memory_during": during[name].resident_bytes,
                "memory_after": after[name].resident_bytes,
                "descriptors_before": before[name].descriptors,
                "descriptors_after": after[name].descriptors,
                "left_over": left[name],
            }
            for name in before
        },
    }


def steady_figures(run: Run) -> dict[str, Any]:
    """Return a load's figures as `--json` shows them."""
    return {
        "ok": run.clean,
        "calls": run.load.calls,
        "failed": run.outcome.failed,
        "verified": run.verified,
        "found_in_cache": run.cached,
        "calls_a_second": round(run.rate, 1),
        "retransmissions": run.outcome.retransmissions,
        "set_up_ms": set_up(run.outcome),
        "gateways": {
            name: {
                "cpu_us_a_call": round(run.cpu_per_call(name)),
                "memory": run.use[name].resident_bytes,
                "descriptors": run.use[name].descriptors,
            }
            for name in run.cpu
        },
    }


def set_up(outcome: Outcome) -> dict[str, float | None]:
    """Return percentiles of the time from INVITE to 200; SIPp reads its clock now and then."""
    return {
        "p50": outcome.percentile(0.50),
        "p90": outcome.percentile(0.90),
        "p99": outcome.percentile(0.99),
        "max": outcome.percentile(1.0),
    }


def _bar(text: str, load: Load, quiet: bool) -> AbstractContextManager[object]:
    """Show how far a load must be by now."""
    if quiet:
        return nullcontext()
    return _Bar(text, load.calls / load.rate + load.hold)


class _Bar:
    """A progress bar that goes by the clock while something else is awaited."""

    def __init__(self, text: str, seconds: float) -> None:
        self._progress = Progress(
            *Progress.get_default_columns()[:3], TimeElapsedColumn(), console=console
        )
        self._task = self._progress.add_task(text, total=seconds)
        self._ticking: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        self._progress.start()
        self._ticking = asyncio.get_running_loop().create_task(self._tick())

    def __exit__(self, *_: object) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
        self._progress.update(self._task, completed=self._progress.tasks[0].total)
        self._progress.stop()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self._progress.advance(self._task, 1.0)


def _print_steady(run: Run) -> None:
    outcome, times = run.outcome, set_up(run.outcome)
    mark = "[green]✔[/]" if run.clean else "[bold red]✘[/]"
    console.print(
        f"{mark} {outcome.successful} calls at {run.rate:.1f}/s, [bold]{outcome.failed} failed[/], "
        f"{run.verified} verified, {run.cached} found in the cache, "
        f"{outcome.retransmissions} retransmissions"
    )
    console.print(
        "  INVITE to 200: "
        + ", ".join(f"{name} {value:g} ms" for name, value in times.items() if value is not None)
    )
    table = Table("gateway", "CPU a call", "memory", "descriptors")
    for name, use in run.use.items():
        cpu = f"{run.cpu_per_call(name):.0f} µs"
        table.add_row(name, cpu, f"{use.resident_bytes / 2**20:.0f} MiB", str(use.descriptors))
    console.print(table)


def _print_held(holding: dict[str, Any]) -> None:
    mark = "[green]✔[/]" if holding["ok"] else "[bold red]✘[/]"
    console.print(f"{mark} {holding['calls']} calls held at once, {holding['failed']} failed")
    table = Table("gateway", "up", "memory a call", "memory before, during, after", "left over")
    for name, state in holding["gateways"].items():
        memory = " ".join(
            f"{state[f'memory_{when}'] / 2**20:.0f}" for when in ("before", "during", "after")
        )
        left = {key: value for key, value in state["left_over"].items() if value}
        per_call = f"{state['bytes_a_call'] / 1024:.1f} KiB"
        table.add_row(name, str(state["up"]), per_call, f"{memory} MiB", str(left or "nothing"))
    console.print(table)
