"""`spingate directory issuer`, `issuer-key` and `relay`: what oblivious lookups need of others."""

from __future__ import annotations

import base64
import os
import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import uvloop

from discovery.privacy.token_issuer import IssuerKey
from gateway.cli.gateway_options import ConfigFile, Json
from gateway.cli.output import console, emit_json, usage_error
from gateway.cli.serving import serve
from gateway.config import ConfigError
from gateway.config.load import load_file
from gateway.config.oblivious_services import IssuerConfig, RelayConfig
from gateway.log import configure_logs
from gateway.relay_service import RelayService
from gateway.token_issuer.service import TokenIssuerService, key_folder

_OWNER_ONLY: Final = 0o077
_DAY: Final = 86_400


def issuer(config: ConfigFile, as_json: Json = False) -> None:
    """Run an issuer of tokens until it is told to stop; SIGHUP reads its keys again."""
    os.umask(_OWNER_ONLY)
    try:
        settings = load_file(config, IssuerConfig)
        configure_logs(settings.log)
        service = TokenIssuerService(settings)
        told = f"Token issuer {settings.issuer.name}"
        uvloop.run(
            serve(service, "issuer", settings.admin, told, as_json=as_json, reload=service.reload)
        )
    except ConfigError as error:
        usage_error(str(error))


def relay(config: ConfigFile, as_json: Json = False) -> None:
    """Run a relay of Oblivious HTTP until it is told to stop."""
    try:
        settings = load_file(config, RelayConfig)
        configure_logs(settings.log)
        names = ", ".join(target.name for target in settings.target)
        service = RelayService(settings)
        told = f"Relay to {names}"
        uvloop.run(serve(service, "relay", settings.admin, told, as_json=as_json))
    except ConfigError as error:
        usage_error(str(error))


def issuer_key(
    config: ConfigFile,
    out: Annotated[
        Path | None,
        typer.Option(help="File for the public key that a directory takes ([[oblivious.issuer]])."),
    ] = None,
    new: Annotated[bool, typer.Option("--new", help="Make the next key.")] = False,
    in_days: Annotated[
        float, typer.Option(help="Days until the next key begins.", min=0, max=400)
    ] = 7.0,
    as_json: Json = False,
) -> None:
    """Show an issuer's keys; makes the first if there is none, with --new the next one."""
    os.umask(_OWNER_ONLY)
    now = time.time()
    try:
        settings = load_file(config, IssuerConfig)
        folder = key_folder(settings)
        keys = folder.load(now)
        if new:
            made = folder.make(now + in_days * _DAY, now)
            keys = folder.load(now)
        current = [key for key in keys if key.not_before <= now]
        shown = made if new else (current or keys)[0]
        if out is not None:
            out.write_bytes(shown.public.spki)
            out.chmod(0o644)
    except ConfigError as error:
        usage_error(str(error))
    except OSError as error:
        usage_error(f"{out}: {error.strerror}")
    for key in keys:
        facts = _facts(key)
        if as_json:
            emit_json({"name": settings.issuer.name, **facts})
        else:
            console.print(f"{facts['key_id']}  {_times(key)}", soft_wrap=True)
    if out is not None and not as_json:
        console.print(f"{out}: the public key {_key_id(shown)}", soft_wrap=True, markup=False)


def _facts(key: IssuerKey) -> dict[str, Any]:
    ends = None if key.issue_until == float("inf") else int(key.issue_until)
    spki = base64.urlsafe_b64encode(key.public.spki).decode("ascii")
    times = {"not_before": int(key.not_before), "issue_until": ends}
    return {"key_id": _key_id(key), **times, "token_key": spki}


def _key_id(key: IssuerKey) -> str:
    return base64.urlsafe_b64encode(key.public.key_id).decode("ascii").rstrip("=")


def _times(key: IssuerKey) -> str:
    def date(moment: float) -> str:
        return time.strftime("%Y-%m-%d %H:%M", time.gmtime(moment))

    until = "" if key.issue_until == float("inf") else f", signs until {date(key.issue_until)}"
    return f"from {date(key.not_before)}{until} UTC"
