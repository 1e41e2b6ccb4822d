"""`spingate directory evaluator`, `evaluator-key` and `buckets`: the services of split storage."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Annotated, Final

import typer
import uvloop

from discovery.privacy.voprf import SEED_OCTETS
from gateway.cli.gateway_options import ConfigFile, Json
from gateway.cli.output import console, emit_json, usage_error
from gateway.cli.serving import serve
from gateway.config import ConfigError
from gateway.config.files import read_secret
from gateway.config.load import load_file
from gateway.config.split_storage_services import BucketsConfig, EvaluatorConfig
from gateway.log import configure_logs
from gateway.split_storage.buckets import BucketsService
from gateway.split_storage.evaluator import EvaluatorService, read_evaluator

_OWNER_ONLY: Final = 0o077


def evaluator(config: ConfigFile, as_json: Json = False) -> None:
    """Run an evaluator, server A of split storage, until it is told to stop."""
    os.umask(_OWNER_ONLY)
    try:
        settings = load_file(config, EvaluatorConfig)
        configure_logs(settings.log)
        service = EvaluatorService(settings)
        told = f"Evaluator {settings.evaluator.url}"
        uvloop.run(serve(service, "evaluator", settings.admin, told, as_json=as_json))
    except ConfigError as error:
        usage_error(str(error))


def buckets(config: ConfigFile, as_json: Json = False) -> None:
    """Run a bucket store, server B of split storage, until it is told to stop."""
    os.umask(_OWNER_ONLY)
    try:
        settings = load_file(config, BucketsConfig)
        configure_logs(settings.log)
        service = BucketsService(settings)
        told = f"Bucket store {settings.buckets.url}"
        uvloop.run(serve(service, "buckets", settings.admin, told, as_json=as_json))
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
