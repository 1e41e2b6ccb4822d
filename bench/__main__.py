"""`python -m bench`: every comparison, or one by its name."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from bench import directory as directory_bench
from bench import enumeration as enumeration_bench
from bench import log as log_bench
from bench import loop_block
from bench import privacy as privacy_bench
from bench import published_numbers as published_bench
from bench import resolution as resolution_bench
from bench import stir as stir_bench
from bench import stir_flood as flood
from bench.calls import carry_calls
from bench.kamailio import KamailioError, is_installed
from bench.process import machine
from bench.ramp import Ramp
from bench.side_by_side import compare, show
from bench.sipp import Load, SippError
from gateway.cli.output import console, emit_json, error_console
from gateway.demo.provider import SceneError

app = typer.Typer(
    help="What a call costs, measured over real processes on loopback.",
    add_completion=False,
    no_args_is_help=False,
)
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output.")]
Rate = Annotated[float, typer.Option(help="Calls a second.", min=1, max=10_000)]
Seconds = Annotated[float, typer.Option(help="How long calls are placed.", min=1, max=3_600)]

Measure = Callable[[Path, Callable[[str], None]], Coroutine[Any, Any, dict[str, Any]]]


@app.callback(invoke_without_command=True)
def everything(context: typer.Context) -> None:
    """Run every comparison that the installed programs allow."""
    # An exception, so that `subprocess.run` and every `finally` end what they have started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if context.invoked_subcommand is None:
        console.print(f"[bold]{machine()}[/]")
        stir()
        stir_flood()
        privacy()
        resolution()
        calls()
        media_relay()
        if is_installed():
            kamailio()
        else:
            console.print("Kamailio with secsipid is not installed: no comparison.")


@app.command()
def stir(
    rounds: Annotated[int, typer.Option(help="Rounds of each, in turn.", min=1)] = 15,
    operations: Annotated[int, typer.Option(help="Operations a round.", min=10)] = 400,
    as_json: Json = False,
) -> None:
    """CPU of signing and verifying alone, beside the raw operations and libsecsipid."""
    found = stir_bench.measure(rounds, operations)
    if as_json:
        emit_json(found)
    else:
        stir_bench.show(found)


@app.command()
def published_numbers(
    rounds: Annotated[int, typer.Option(help="Rounds of each.", min=1)] = 5,
    queries: Annotated[int, typer.Option(help="Queries a round.", min=10)] = 400,
    as_json: Json = False,
) -> None:
    """CPU of answering and signing DNS queries about published numbers."""
    found = published_bench.measure(rounds, queries)
    if as_json:
        emit_json(found)
    else:
        published_bench.show(found)


@app.command()
def stir_flood(rate: Rate = 1_000, seconds: Seconds = 5, as_json: Json = False) -> None:
    """Delay of cached calls while others name dead certificate URLs, each another one."""

    async def run(_folder: Path, _say: Callable[[str], None]) -> dict[str, Any]:
        return await flood.measure(seconds, rate)

    found = _run(run, as_json)
    if not as_json:
        flood.show(found)
    _end(found)


@app.command()
def log(
    leaves: Annotated[int, typer.Option(help="Largest log.", min=1_000)] = 10_000_000,
    as_json: Json = False,
) -> None:
    """The directory's log from 1,000 to 10,000,000 leaves: appending, proofs, memory, disk."""

    async def run(folder: Path, _say: Callable[[str], None]) -> dict[str, Any]:
        return await asyncio.to_thread(log_bench.measure, folder, leaves)

    found = _run(run, as_json)
    if not as_json:
        log_bench.show(found)
    _end(found)


@app.command()
def privacy(
    rounds: Annotated[int, typer.Option(help="Rounds of each, in turn.", min=1)] = 9,
    operations: Annotated[int, typer.Option(help="Operations a round.", min=10)] = 200,
    as_json: Json = False,
) -> None:
    """CPU of a private lookup: Oblivious HTTP, tokens and split storage, each side by itself."""
    found = privacy_bench.measure(rounds, operations)
    if as_json:
        emit_json(found)
    else:
        privacy_bench.show(found)


@app.command()
def directory(
    seconds: Seconds = 10,
    largest: Annotated[int, typer.Option(help="Most records.", min=1_000)] = 1_000_000,
    as_json: Json = False,
) -> None:
    """Lookups, plain and oblivious, at a directory of 1,000 to 1,000,000 records."""

    async def run(folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
        return await directory_bench.measure(folder, seconds, largest, say)

    found = _run(run, as_json)
    if not as_json:
        directory_bench.show(found)
    _end(found)


@app.command()
def enumeration(
    numbers: Annotated[int, typer.Option(help="Numbers asked for.", min=1_000)] = 100_000,
    as_json: Json = False,
) -> None:
    """Whether the time of answers tells known numbers from unknown ones."""

    async def run(folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
        return await enumeration_bench.measure(folder, numbers, say)

    found = _run(run, as_json)
    if not as_json:
        enumeration_bench.show(found)
    _end(found)


@app.command()
def hostile(as_json: Json = False) -> None:
    """How long bodies of strangers hold up the event loop of a directory."""
    found = _run(loop_block.measure, as_json)
    if not as_json:
        loop_block.show(found)
    _end(found)


@app.command()
def resolution(
    operations: Annotated[
        int, typer.Option(help="Numbers resolved of each size.", min=100)
    ] = 5_000,
    largest: Annotated[int, typer.Option(help="Largest cache and tree.", min=1_000)] = 100_000,
    as_json: Json = False,
) -> None:
    """Finding a number: from caches as they grow, and from a validated ENUM tree."""
    found = resolution_bench.measure(operations, largest)
    if as_json:
        emit_json(found)
    else:
        resolution_bench.show(found)
    _end(found)


@app.command()
def media_relay(as_json: Json = False) -> None:
    """CPU a packet of the media relay, both ways between SDES-SRTP and RTP."""
    arguments = ["--json"] if as_json else []
    done = subprocess.run([sys.executable, "-m", "bench.media_relay", *arguments], check=False)
    if done.returncode:
        raise typer.Exit(1)


@app.command()
def calls(
    rate: Rate = 100,
    seconds: Seconds = 60,
    held: Annotated[int, typer.Option(help="Calls held at once.", min=0, max=20_000)] = 1_000,
    as_json: Json = False,
) -> None:
    """Calls alpha -> beta: signed, verified, found in the cache; then many held at once."""
    found = _run(
        lambda folder, say: carry_calls(folder, say, rate, seconds, held, quiet=as_json), as_json
    )
    _end(found)


@app.command()
def kamailio(
    rate: Rate = 100,
    seconds: Seconds = 10,
    rounds: Annotated[int, typer.Option(help="Rounds of each, in turn.", min=1)] = 3,
    ramp: Annotated[bool, typer.Option(help="Look for the highest rate of each, too.")] = False,
    as_json: Json = False,
) -> None:
    """The same calls through Kamailio + secsipid, in turn with the gateways."""
    if not is_installed():
        error_console.print(
            "[bold red]bench:[/] apt-get install kamailio kamailio-secsipid-modules"
        )
        raise typer.Exit(1)
    load = Load(calls=round(rate * seconds), rate=rate)
    searched = Ramp() if ramp else None
    found = _run(lambda folder, say: compare(folder, say, load, rounds, searched), as_json)
    if not as_json:
        show(found)
    _end(found)


def _end(found: dict[str, Any]) -> None:
    if not found["ok"]:
        raise typer.Exit(1)


def _run(measure: Measure, as_json: bool) -> dict[str, Any]:
    def say(text: str) -> None:
        if not as_json:
            console.print(f" [green]•[/] {text}")

    try:
        with tempfile.TemporaryDirectory(prefix="spingate-bench-") as folder:
            found = asyncio.run(_until_told(measure(Path(folder), say)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit(1) from None
    except (SceneError, SippError, KamailioError, OSError) as error:
        error_console.print(f"[bold red]bench:[/] {error}")
        raise typer.Exit(1) from None
    if as_json:
        emit_json(found)
    return found


async def _until_told(work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """Do the work; SIGTERM cancels it, so that no program it has started is left behind."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


if __name__ == "__main__":
    app()
