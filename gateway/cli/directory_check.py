"""`spingate directory check`: a directory, or a service beside it, and its world."""

from __future__ import annotations

import asyncio
import logging
import os
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import structlog
import typer

from gateway.cli.gateway_options import ConfigFile, Json, show_finding
from gateway.cli.output import EXIT_FAILED, usage_error
from gateway.config import ConfigError
from gateway.config.directory import DirectoryConfig
from gateway.config.load import load_file
from gateway.config.oblivious_services import IssuerConfig, RelayConfig
from gateway.config.split_storage_services import BucketsConfig, EvaluatorConfig
from gateway.directory.checking import examine_directory
from gateway.directory.service_checking import (
    examine_buckets,
    examine_evaluator,
    examine_issuer,
    examine_relay,
)
from gateway.finding import Finding

_OWNER_ONLY: Final = 0o077
_TABLES: Final = ("directory", "issuer", "relay", "evaluator", "buckets")


def check(config: ConfigFile, as_json: Json = False) -> None:
    """Check the file of a directory, token issuer, relay, evaluator or bucket store.

    Its tables tell which. Keys, certificates, folders and database, and whether everybody it needs
    is there: SMSCs, mail, witnesses, a relay's targets, split storage.
    """
    os.umask(_OWNER_ONLY)
    try:
        findings = _examined(config)
    except ConfigError as error:
        usage_error(str(error))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    failed = asyncio.run(_show(findings, as_json))
    raise typer.Exit(EXIT_FAILED if failed else 0)


def _examined(path: Path) -> AsyncIterator[Finding]:
    match _table(path):
        case "issuer":
            return examine_issuer(load_file(path, IssuerConfig))
        case "relay":
            return examine_relay(load_file(path, RelayConfig))
        case "evaluator":
            return examine_evaluator(load_file(path, EvaluatorConfig))
        case "buckets":
            return examine_buckets(load_file(path, BucketsConfig))
        case _:
            return examine_directory(load_file(path, DirectoryConfig))


def _table(path: Path) -> str:
    """Return the table that says whose file it is; a directory's where that cannot be told, so
    that reading it as one says what is wrong."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return "directory"
    found = [name for name in _TABLES if name in data]
    if not found and "provider" in data:
        raise ConfigError(str(path), f"is a gateway's: spingate check -c {path}")
    if len(found) > 1:
        raise ConfigError(str(path), f"has both [{found[0]}] and [{found[1]}]: a file is for one")
    return found[0] if found else "directory"


async def _show(findings: AsyncIterator[Finding], as_json: bool) -> int:
    failed = 0
    async for finding in findings:
        failed += finding.outcome == "failed"
        show_finding(finding, as_json=as_json)
    return failed
