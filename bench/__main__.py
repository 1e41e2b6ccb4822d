"""`python -m bench`: every comparison, or one by its name."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.calls import carry_calls
from bench.process import machine
from bench.sipp import SippError
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
    if context.invoked_subcommand is None:
        console.print(f"[bold]{machine()}[/]")
        calls()


@app.command()
def calls(
    rate: Rate = 100,
    seconds: Seconds = 60,
    held: Annotated[int, typer.Option(help="Calls held at once.", min=0, max=20_000)] = 1_000,
    as_json: Json = False,
) -> None:
    """Calls alpha -> beta: signed, verified, found in the cache; then many held at once."""
    _run(lambda folder, say: carry_calls(folder, say, rate, seconds, held, quiet=as_json), as_json)


def _run(measure: Measure, as_json: bool) -> None:
    def say(text: str) -> None:
        if not as_json:
            console.print(f" [green]•[/] {text}")

    try:
        with tempfile.TemporaryDirectory(prefix="spingate-bench-") as folder:
            found = asyncio.run(measure(Path(folder), say))
    except (SceneError, SippError, OSError) as error:
        error_console.print(f"[bold red]bench:[/] {error}")
        raise typer.Exit(1) from None
    if as_json:
        emit_json(found)
    if not found["ok"]:
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
