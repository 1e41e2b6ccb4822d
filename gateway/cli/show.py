"""`spingate show`: calls, peers, configuration and caches of a running gateway."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table

from gateway.cli.gateway_options import ConfigFile, Json, read_config
from gateway.cli.output import console, emit_json, failure, usage_error
from gateway.config import ConfigError
from gateway.http.admin_client import NoGateway, ask_admin

What = Literal["calls", "peers", "config", "cache", "media", "transactions", "revocation"]


def show(
    what: Annotated[What, typer.Argument(help="What to show.")],
    config: ConfigFile,
    as_json: Json = False,
) -> None:
    """Show what a running gateway holds: calls, peers, configuration, caches, revocation."""
    settings = read_config(config)
    try:
        entries = asyncio.run(ask_admin(settings, f"/v1/{what}"))[what]
    except ConfigError as error:
        usage_error(str(error))
    except NoGateway as error:
        failure(str(error))
    if as_json:
        for entry in entries:
            emit_json(entry)
    elif what == "config":
        console.print_json(json.dumps(entries[0]))
    else:
        _tell(what, entries)


def _tell(what: str, entries: list[dict[str, Any]]) -> None:
    if not entries:
        console.print(f"no {what}")
        return
    columns = list(dict.fromkeys(name for entry in entries for name in entry))
    table = Table(box=None)
    for column in columns:
        table.add_column(column, overflow="fold")
    for entry in entries:
        table.add_row(*(escape(_text(entry.get(column))) for column in columns))
    console.print(table)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return "\n".join(value)
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
