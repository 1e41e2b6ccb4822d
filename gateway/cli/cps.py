"""`spingate cps`: a call placement service by itself (RFC 8816, ATIS-1000096)."""

from __future__ import annotations

import asyncio
import signal

import typer
import uvloop

from gateway.cli.gateway_options import ConfigFile, Json
from gateway.cli.output import console, emit_json, usage_error
from gateway.config import ConfigError
from gateway.config.load import load_file
from gateway.config.root import CallPlacementConfig
from gateway.log import configure_logs
from gateway.oob.standalone import call_placement_service

app = typer.Typer(no_args_is_help=True, help="A call placement service for out-of-band STIR.")


@app.callback()
def _group() -> None:
    """A call placement service for out-of-band STIR."""


@app.command()
def run(config: ConfigFile, as_json: Json = False) -> None:
    """Run a call placement service until it is told to stop (SIGTERM or SIGINT)."""
    try:
        settings = load_file(config, CallPlacementConfig)
        configure_logs(settings.log)
        uvloop.run(_serve(settings, as_json))
    except ConfigError as error:
        usage_error(str(error))


async def _serve(settings: CallPlacementConfig, as_json: bool) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with call_placement_service(settings) as listener:
        names = ", ".join(settings.call_placement.names)
        if as_json:
            emit_json({"event": "serving", "address": listener.host, "port": listener.port})
        else:
            console.print(f"Call placement service {names} at {listener.host}:{listener.port}")
        await stopped.wait()
