"""`spingate run` and `spingate check`: a gateway from its configuration file."""

from __future__ import annotations

import asyncio
import os
from typing import Final

import typer
import uvloop

from gateway.app import serve
from gateway.checks import examine
from gateway.cli.gateway_options import ConfigFile, Json, read_config, show_finding
from gateway.cli.output import EXIT_FAILED, usage_error
from gateway.config import Config, ConfigError, load_config
from gateway.keys import load_keys
from gateway.log import configure_logs
from gateway.ports import check_ports

_OWNER_ONLY: Final = 0o077


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
    """Check a configuration and its world: keys, certificates, DNS, directories, clock."""
    settings = read_config(config)
    failed = asyncio.run(_check(settings, as_json))
    raise typer.Exit(EXIT_FAILED if failed else 0)


async def _check(settings: Config, as_json: bool) -> int:
    failed = 0
    async for finding in examine(settings):
        failed += finding.outcome == "failed"
        show_finding(finding, as_json=as_json)
    return failed
