"""`spingate directory`: run a directory, and what owners do with their records in one."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Final

import typer
import uvloop

from gateway.cli import directory_monitor, directory_owner
from gateway.cli.output import console, emit_json, usage_error
from gateway.cli.run import ConfigFile, Json
from gateway.config import ConfigError
from gateway.config.directory import DirectoryConfig
from gateway.config.load import load_file
from gateway.directory.files import load_directory_keys
from gateway.directory.service import DirectoryService
from gateway.log import configure_logs

_OWNER_ONLY: Final = 0o077
app = typer.Typer(no_args_is_help=True, help="The directory: numbers and addresses to providers.")


@app.callback()
def _group() -> None:
    """The directory: numbers and addresses to providers."""


@app.command()
def run(config: ConfigFile, as_json: Json = False) -> None:
    """Run a directory, and the authority beside it, until it is told to stop."""
    os.umask(_OWNER_ONLY)
    try:
        settings = load_file(config, DirectoryConfig)
        configure_logs(settings.log)
        service = DirectoryService(settings, load_directory_keys(settings))
        uvloop.run(_serve(service, settings, as_json))
    except ConfigError as error:
        usage_error(str(error))


async def _serve(service: DirectoryService, settings: DirectoryConfig, as_json: bool) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await service.start()
    listener = service.listener
    if as_json:
        serving = {"event": "serving", "address": listener.host, "port": listener.port}
        emit_json(serving | ({"enum_ds": service.enum.ds} if service.enum is not None else {}))
    else:
        console.print(f"Directory {settings.directory.url} at {listener.host}:{listener.port}")
        if service.enum is not None:
            console.print(f"ENUM {service.enum.suffix}, DS {service.enum.ds[0]}")
    await stopped.wait()
    await service.stop()


directory_owner.add_commands(app)
app.command()(directory_monitor.monitor)
