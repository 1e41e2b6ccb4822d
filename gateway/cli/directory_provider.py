"""`spingate directory remove --certificate`: removal by the provider, everywhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.markup import escape

from discovery.directory.identifier import Identifier
from gateway.cli.directory_options import with_client
from gateway.cli.output import EXIT_FAILED, console, emit_json, usage_error
from gateway.directory.provider import NumberProvider, ProviderFailed
from gateway.http.service_client import ServiceClient


def withdraw(
    csi: Identifier,
    directories: Sequence[str],
    key: Path,
    certificate: Path,
    trust_anchors: Path | None,
    nameserver: list[str] | None,
    as_json: bool,
) -> None:
    """Send the removal to each directory and authority; exit with 1 where one refuses it."""
    try:
        provider = NumberProvider.read(key, certificate)
    except ProviderFailed as error:
        usage_error(str(error))

    async def remove(client: ServiceClient) -> dict[str, str]:
        failures: dict[str, str] = {}
        for url in directories:
            try:
                await provider.remove(client, url.rstrip("/"), csi, time.time())
            except ProviderFailed as failed:
                failures[url] = str(failed)
        return failures

    failures = asyncio.run(with_client(trust_anchors, nameserver, remove))
    for url in directories:
        why = failures.get(url)
        if as_json:
            state = {"state": "removed"} if why is None else {"state": "failed", "detail": why}
            emit_json({"csi": str(csi), "directory": url, **state})
        elif why is None:
            console.print(f"{escape(url)}: {escape(str(csi))} [bold]removed[/]")
        else:
            console.print(f"{escape(url)}: [red]{escape(why)}[/]")
    raise typer.Exit(EXIT_FAILED if failures else 0)
