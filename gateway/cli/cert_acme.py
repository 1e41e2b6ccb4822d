"""`spingate cert obtain`, `renew`, `revoke` and `account`: certificates over ACME (RFC 8555)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from cryptography.hazmat.primitives import serialization
from rich.text import Text

from gateway.cli.output import EXIT_FAILED, console, emit_json, usage_error
from gateway.cli.stir_input import read_file
from gateway.config import Config, ConfigError, load_config
from gateway.keys import sti_anchors
from gateway.log import configure_logs
from gateway.renewal.accounts import Accounts
from gateway.renewal.store import HeldCertificate
from gateway.renewal.wiring import RenewalParts, make_renewal
from gateway.services import make_resolver
from stir.acme.account import Account
from stir.acme.problem import AcmeError, Fault, Later, MalformedAnswer
from stir.certificates.certificate import MalformedCredential, load_certificates

ConfigFile = Annotated[
    Path, typer.Option("--config", "-c", help="The configuration file (TOML).", dir_okay=False)
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, nothing else.")]

_ATTEMPTS: Final = 4
_LONGEST_WAIT: Final = 120.0


def add_commands(app: typer.Typer) -> None:
    """Add the commands to the group `spingate cert`."""
    for command in (obtain, renew, revoke, account):
        app.command()(command)


def obtain(config: ConfigFile, json: Json = False) -> None:
    """Obtain the first certificate over ACME; one that is there already is left alone."""
    _run(
        config, json, lambda parts, tell: _renew(parts, tell, wanted=parts.store.current() is None)
    )


def renew(
    config: ConfigFile,
    force: Annotated[bool, typer.Option("--force", help="Even if it is not yet time.")] = False,
    json: Json = False,
) -> None:
    """Renew the certificate with a new key and a new x5u, if it is time."""
    _run(
        config,
        json,
        lambda parts, tell: _renew(parts, tell, wanted=force or time.time() >= parts.renewal.due()),
    )


def revoke(
    config: ConfigFile,
    certificate: Annotated[Path, typer.Argument(help="Its PEM chain.", dir_okay=False)],
    reason: Annotated[
        int | None, typer.Option("--reason", min=0, max=10, help="RFC 5280 section 5.3.1.")
    ] = None,
    json: Json = False,
) -> None:
    """Revoke a certificate that the account ordered."""
    try:
        leaf = load_certificates(read_file(certificate))[0]
    except MalformedCredential as error:
        usage_error(f"{certificate}: {error}")
    der = leaf.public_bytes(serialization.Encoding.DER)

    async def work(parts: RenewalParts, _: Tell) -> dict[str, Any]:
        await _accounts(parts).revoke(der, reason)
        return {"outcome": "revoked", "serial": f"{leaf.serial_number:x}"}

    _run(config, json, work)


def account(
    config: ConfigFile,
    open_: Annotated[bool, typer.Option("--open", help="Make it if there is none.")] = False,
    new_key: Annotated[bool, typer.Option("--new-key", help="Give it a new key.")] = False,
    deactivate: Annotated[bool, typer.Option("--deactivate", help="Close it for ever.")] = False,
    json: Json = False,
) -> None:
    """Show the account and the fingerprint that authority tokens have to name."""
    if open_ + new_key + deactivate > 1:
        usage_error("give only one of --open, --new-key and --deactivate")

    async def work(parts: RenewalParts, _: Tell) -> dict[str, Any]:
        accounts = _accounts(parts)
        if deactivate:
            await accounts.deactivate()
            return {"outcome": "deactivated"}
        with parts.store.lock():
            found = await _found(accounts, open_=open_, new_key=new_key)
        return {
            "outcome": found.status if found is not None else "none",
            "url": found.url if found is not None else None,
            "fingerprint": accounts.fingerprint(),
            "identifier": parts.issuance.identifier,
        }

    _run(config, json, work)


Tell = Callable[[str], None]
Work = Callable[[RenewalParts, Tell], Coroutine[Any, Any, dict[str, Any]]]


async def _found(accounts: Accounts, *, open_: bool, new_key: bool) -> Account | None:
    if new_key:
        return await accounts.change_key()
    return await (accounts.open() if open_ else accounts.find())


async def _renew(parts: RenewalParts, tell: Tell, *, wanted: bool) -> dict[str, Any]:
    current = parts.store.current()
    if not wanted and current is not None:
        return {"outcome": "held", **_record(parts, current)}
    held = await _with_patience(parts, tell)
    tell("a running gateway signs with it within a minute, at once after SIGHUP")
    return {"outcome": "obtained", **_record(parts, held)}


async def _with_patience(parts: RenewalParts, tell: Tell) -> HeldCertificate:
    """Try again what passes by itself; the order is continued, not made again."""
    for attempt in range(1, _ATTEMPTS):
        try:
            return await parts.renewal.renew()
        except AcmeError as error:
            pause = error.seconds if isinstance(error, Later) else 2.0**attempt
            passes = isinstance(error, Later | MalformedAnswer) or error.fault is Fault.NETWORK
            if not passes or pause > _LONGEST_WAIT:
                raise
            tell(f"{error}: again in {pause:.0f} s")
        await asyncio.sleep(pause)
    return await parts.renewal.renew()


def _record(parts: RenewalParts, held: HeldCertificate) -> dict[str, Any]:
    return {
        "x5u": held.x5u,
        "not_after": f"{datetime.fromtimestamp(held.not_after, UTC):%Y-%m-%dT%H:%M:%SZ}",
        "certificate": str(parts.store.folder / f"{held.name}.pem"),
        "key": str(parts.store.folder / f"{held.name}.key"),
    }


def _accounts(parts: RenewalParts) -> Accounts:
    return Accounts(parts.store, parts.client, parts.issuance)


def _run(path: Path, json: bool, work: Work) -> None:
    """Do some work with what a configuration gives, and tell how it went."""
    try:
        config = load_config(path)
    except ConfigError as error:
        usage_error(str(error))
    if config.stir.acme is None:
        usage_error(f"{path} has no [stir.acme]")

    # Progress and outcome are told by the command itself.
    configure_logs(config.log.model_copy(update={"level": "warning"}))

    def tell(text: str) -> None:
        if json:
            emit_json({"event": "progress", "text": text})
        else:
            console.print(Text(f"  {text}", style="dim"))

    async def all_of_it() -> dict[str, Any]:
        async with _parts(config, tell) as parts:
            return await work(parts, tell)

    try:
        record = asyncio.run(all_of_it())
    except ConfigError as error:
        usage_error(str(error))
    except AcmeError as error:
        _show_failure(error, json)
        raise typer.Exit(EXIT_FAILED) from None
    if json:
        emit_json(record)
        return
    for name, value in record.items():
        console.print(Text(f"{name:<12} {value if value is not None else '-'}"))


@asynccontextmanager
async def _parts(config: Config, tell: Tell) -> AsyncIterator[RenewalParts]:
    verification = config.stir.verification
    anchors = sti_anchors(verification.trust_anchors, "stir.verification") if verification else ()
    resolver = make_resolver(config)
    try:
        yield make_renewal(config, anchors, resolver, time.time, progress=tell)
    finally:
        await resolver.close()


def _show_failure(error: AcmeError, json: bool) -> None:
    if json:
        emit_json(
            {
                "outcome": "failed",
                "detail": error.text,
                "fault": str(error.fault),
                "advice": error.advice,
            }
        )
        return
    console.print(Text(error.text, style="bold red"))
    console.print(Text(f"  fault: {error.fault}"))
    console.print(Text(f"  what to do: {error.advice}"))
