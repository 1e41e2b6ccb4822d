"""What commands take of the operator: the configuration file, `--json`; and show: findings."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.markup import escape

from gateway.cli.output import console, emit_json, usage_error
from gateway.config import Config, ConfigError, load_config
from gateway.finding import Finding

ConfigFile = Annotated[
    Path, typer.Option("--config", "-c", help="The configuration file (TOML).", dir_okay=False)
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output.")]

_STYLES: Final = {
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


def show_finding(finding: Finding, *, as_json: bool) -> None:
    """Print one finding, as a line for people or as JSON."""
    if as_json:
        emit_json(dataclasses.asdict(finding))
        return
    console.print(f"{_STYLES[finding.outcome]} {finding.name}: {escape(finding.detail)}")
    if finding.outcome in ("failed", "warning") and finding.hint:
        console.print(f"    [yellow]{escape(finding.hint)}[/]")
