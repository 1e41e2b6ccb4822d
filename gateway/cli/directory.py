"""`spingate directory run` and `authority`: for who runs a directory."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, Final

import typer
import uvloop

from gateway.cli.gateway_options import ConfigFile, Json
from gateway.cli.output import console, emit_json, usage_error
from gateway.cli.serving import serve
from gateway.config import ConfigError
from gateway.config.directory import DirectoryConfig
from gateway.config.load import load_file
from gateway.directory.files import load_directory_keys
from gateway.directory.service import DirectoryService
from gateway.log import configure_logs
from stir.certificates.issuing import make_intermediate, make_root, to_pem

_OWNER_ONLY: Final = 0o077


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
    told = f"Directory {settings.directory.url}"
    more: dict[str, object] = {}
    if service.enum is not None:
        told += f", ENUM {service.enum.suffix} (DS {service.enum.ds[0]})"
        more["enum_ds"] = service.enum.ds
    await serve(service, "directory", settings.admin, told, as_json=as_json, more=lambda: more)


def authority(
    folder: Annotated[
        Path, typer.Argument(help="Folder for number-root.pem, number-ca.pem, .key.")
    ],
    name: Annotated[str, typer.Option(help="Name of the authority.")] = "Number authority",
    as_json: Json = False,
) -> None:
    """Make the authority's root and issuing certificate; keep the root's key elsewhere."""
    os.umask(_OWNER_ONLY)
    now = time.time()
    root = make_root(f"{name} root", now)
    issuing = make_intermediate(root, name, now)
    files = {
        "number-root.pem": root.certificate_pem,
        "number-root.key": root.key_pem,
        "number-ca.pem": to_pem(issuing.certificates),
        "number-ca.key": issuing.key_pem,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = [file for file in files if (folder / file).exists()]
        if taken:
            usage_error(f"{folder / taken[0]} is there already")
        for file, octets in files.items():
            (folder / file).write_bytes(octets)
    except OSError as error:
        usage_error(f"{folder}: {error.strerror}")
    if as_json:
        emit_json({"folder": str(folder), "files": sorted(files)})
    else:
        console.print(f"{folder}: {', '.join(files)}", markup=False)
