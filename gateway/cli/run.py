"""`spingate run` and `spingate check`: a gateway from its configuration file."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from pathlib import Path
from typing import Annotated, Final

import typer
import uvloop
from rich.markup import escape

from gateway.app import serve
from gateway.checks import examine
from gateway.cli.output import EXIT_FAILED, console, emit_json, usage_error
from gateway.config import Config, ConfigError, load_config
from gateway.finding import Finding
from gateway.keys import load_keys
from gateway.log import configure_logs
from gateway.ports import check_ports

ConfigFile = Annotated[
    Path, typer.Option("--config", "-c", help="The configuration file (TOML).", dir_okay=False)
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output.")]

_OWNER_ONLY: Final = 0o077
_STYLES = {
    "passed": "[green]✔[/]",
    "failed": "[bold red]✘[/]",
    "skipped": "[dim]-[/]",
    "warning": "[yellow]![/]",
}


def read_config(path: Path) -> Config:
    """Load a configuration file, or exit with 2 and one clear line."""
    try:
        return load_config(path)
    except ConfigError as error:
        usage_error(str(error))


def run(config: ConfigFile) -> None:
    """Run the gateway until it is told to stop (SIGTERM drains, SIGINT stops)."""
    settings = read_config(config)
    configure_logs(settings.log)
    # The database, the trace and the call records say who calls whom: for the owner's eyes only.
    os.umask(_OWNER_ONLY)
    try:
        keys = load_keys(settings)
        check_ports(settings)
        uvloop.run(serve(settings, keys, read=lambda: load_config(config)))
    except ConfigError as error:
        usage_error(str(error))


def check(config: ConfigFile, as_json: Json = False) -> None:
    """Check a configuration and its world: keys, certificates, numbers, ports, DNS, x5u, clock."""
    settings = read_config(config)
    failed = asyncio.run(_check(settings, as_json))
    raise typer.Exit(EXIT_FAILED if failed else 0)


async def _check(settings: Config, as_json: bool) -> int:
    failed = 0
    async for finding in examine(settings):
        failed += finding.outcome == "failed"
        show_finding(finding, as_json=as_json)
    return failed


def show_finding(finding: Finding, *, as_json: bool) -> None:
    """Print one finding, as a line for people or as JSON."""
    if as_json:
        emit_json(dataclasses.asdict(finding))
        return
    console.print(f"{_STYLES[finding.outcome]} {finding.name}: {escape(finding.detail)}")
    if finding.outcome in ("failed", "warning") and finding.hint:
        console.print(f"    [yellow]{escape(finding.hint)}[/]")
