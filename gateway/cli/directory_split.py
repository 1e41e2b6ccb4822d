"""`spingate directory evaluator`, `evaluator-key` and `buckets`: the services of split storage."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from pathlib import Path
from typing import Annotated, Final

import typer
import uvloop

from discovery.privacy.voprf import SEED_OCTETS
from gateway.cli.output import console, emit_json, usage_error
from gateway.cli.run import ConfigFile, Json
from gateway.config import ConfigError
from gateway.config.files import read_secret
from gateway.config.load import load_file
from gateway.config.split_storage_services import BucketsConfig, EvaluatorConfig
from gateway.log import configure_logs
from gateway.split_storage.buckets import BucketsService
from gateway.split_storage.evaluator import EvaluatorService, read_evaluator

_OWNER_ONLY: Final = 0o077


def add_commands(app: typer.Typer) -> None:
    """Add the commands to the group."""
    app.command()(evaluator)
    app.command(name="evaluator-key")(evaluator_key)
    app.command()(buckets)


def evaluator(config: ConfigFile, as_json: Json = False) -> None:
    """Run an evaluator, server A of split storage, until it is told to stop."""
    os.umask(_OWNER_ONLY)
    try:
        settings = load_file(config, EvaluatorConfig)
        configure_logs(settings.log)
        service = EvaluatorService(settings)
        uvloop.run(_serve(service, f"Evaluator {settings.evaluator.url}", as_json))
    except ConfigError as error:
        usage_error(str(error))


def buckets(config: ConfigFile, as_json: Json = False) -> None:
    """Run a bucket store, server B of split storage, until it is told to stop."""
    os.umask(_OWNER_ONLY)
    try:
        settings = load_file(config, BucketsConfig)
        configure_logs(settings.log)
        service = BucketsService(settings)
        uvloop.run(_serve(service, f"Bucket store {settings.buckets.url}", as_json))
    except ConfigError as error:
        usage_error(str(error))


def evaluator_key(
    file: Annotated[Path, typer.Argument(help="Secret of a generation; made where there is none.")],
    as_json: Json = False,
) -> None:
    """Print the public keys that directory and gateways pin (evaluator_keys)."""
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    except OSError as error:
        usage_error(f"{file}: {error.strerror}")
    else:
        with os.fdopen(handle, "w") as made:
            made.write(f"{secrets.token_hex(SEED_OCTETS)}\n")
    try:
        keys = read_evaluator(read_secret(None, file, "FILE"), str(file)).public_keys
    except ConfigError as error:
        usage_error(str(error))
    if as_json:
        emit_json({"file": str(file), "generation": keys.generation, "keys": str(keys)})
    else:
        console.print(str(keys), markup=False, soft_wrap=True)


async def _serve(service: EvaluatorService | BucketsService, told: str, as_json: bool) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await service.start()
    try:
        listener = service.listener
        if as_json:
            emit_json({"event": "serving", "address": listener.host, "port": listener.port})
        else:
            console.print(f"{told} at {listener.host}:{listener.port}")
        await stopped.wait()
    finally:
        await service.stop()
