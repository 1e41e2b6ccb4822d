"""`spingate cache`: preload, list and clear the certificates of a running gateway."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer
from rich.markup import escape
from rich.table import Table

from gateway.cli.cache_input import Preload, WrongInput, read_preloads
from gateway.cli.gateway_options import ConfigFile, Json, read_config
from gateway.cli.output import (
    EXIT_FAILED,
    console,
    emit_json,
    error_console,
    failure,
    usage_error,
)
from gateway.config import Config, ConfigError
from gateway.http.admin_client import NoGateway, WrongQuestion, ask_admin
from gateway.http.cache_admin import MAX_CERTIFICATES, MAX_URLS

_T = TypeVar("_T")
_SECONDS: Final = 60.0

app = typer.Typer(
    no_args_is_help=True,
    help="Certificates behind x5u URLs that a running gateway keeps: preload, list, clear.",
)


@app.command(name="import")
def import_(
    files: Annotated[
        list[Path],
        typer.Argument(
            exists=True,
            help="Lists of URLs to fetch, JSON lines with url and pem (or file), or folders whose "
            "index.jsonl has such lines.",
        ),
    ],
    config: ConfigFile,
    as_json: Json = False,
) -> None:
    """Preload certificates before the first call needs them; they stay over a restart.

    An imported one stands for what its URL serves, without asking: you vouch for that. It is
    believed no more than a fetched one: its chain has to lead to a trust anchor at every call.
    """
    settings = read_config(config)
    try:
        preloads = [each for path in files for each in read_preloads(path)]
    except WrongInput as error:
        usage_error(str(error))
    if not preloads:
        usage_error("there is no certificate and no URL in the input")
    refused = 0
    for result in _ask(_preload(settings, preloads)):
        refused += result["refused"] is not None
        if as_json:
            emit_json(result)
        elif result["refused"] is not None:
            reason = f"{result['url']}: {result['refused']}"
            error_console.print(f"[bold red]✘[/] {escape(reason)}", soft_wrap=True)
    if not as_json:
        console.print(f"{len(preloads) - refused} certificates preloaded, {refused} refused")
    if refused:
        raise typer.Exit(EXIT_FAILED)


@app.command(name="list")
def list_(config: ConfigFile, as_json: Json = False) -> None:
    """Show every certificate URL: subject, when it is fetched again, where from, how often used."""
    settings = read_config(config)
    entries = _ask(ask_admin(settings, "/v1/certificates"))["certificates"]
    if as_json:
        for entry in entries:
            emit_json(entry)
        return
    if not entries:
        console.print("no certificates")
        return
    table = Table("url", "subject", "expires", "source", "hits", box=None)
    for entry in entries:
        expires = datetime.datetime.fromtimestamp(entry["expires"], datetime.UTC)
        table.add_row(
            escape(entry["url"]),
            escape(entry["subject"] or f"unavailable: {entry['problem']}"),
            f"{expires:%Y-%m-%d %H:%M:%SZ}{' (serves on)' if entry['stale'] else ''}",
            entry["source"],
            str(entry["hits"]),
        )
    console.print(table)


@app.command()
def clear(
    config: ConfigFile,
    url: Annotated[str | None, typer.Argument(help="One URL; all of them if absent.")] = None,
    as_json: Json = False,
) -> None:
    """Forget one certificate URL or all, in memory and on disk; the next call fetches."""
    settings = read_config(config)
    cleared = _ask(ask_admin(settings, "/v1/cache/clear", {"url": url}))["cleared"]
    if as_json:
        emit_json({"cleared": cleared})
    else:
        console.print(f"{cleared} forgotten")
    if url is not None and not cleared:
        raise typer.Exit(EXIT_FAILED)


async def _preload(config: Config, preloads: Sequence[Preload]) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    given = [each for each in preloads if each.pem is not None]
    for batch in _batches(given, MAX_CERTIFICATES):
        certificates = [{"url": each.url, "pem": each.pem} for each in batch]
        question = {"certificates": certificates}
        results += (await ask_admin(config, "/v1/cache/import", question))["results"]
    for batch in _batches([each for each in preloads if each.pem is None], MAX_URLS):
        urls = {"urls": [each.url for each in batch]}
        answer = await ask_admin(config, "/v1/cache/fetch", urls, timeout=_SECONDS)
        results += answer["results"]
    return results


def _batches(items: Sequence[Preload], size: int) -> Iterator[Sequence[Preload]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _ask(question: Coroutine[Any, Any, _T]) -> _T:
    try:
        return asyncio.run(question)
    except (ConfigError, WrongQuestion) as error:
        usage_error(str(error))
    except NoGateway as error:
        failure(str(error))
