"""`spingate directory monitor`: watch a directory's log for an identifier of one's own."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from discovery.log.cosignature import parse_witness
from discovery.log.entry import Label
from discovery.log.logged import LogPolicy
from discovery.log.note import parse_verifier
from discovery.log.proof_members import read_label
from discovery.log.reason import LogRefused
from discovery.log.vrf import VrfPublic
from discovery.number import masked
from discovery.spin.strict_json import MalformedJson, parse_json_object
from gateway.cli.output import EXIT_FAILED, console, emit_json, failure, usage_error
from gateway.cli.run import Json
from gateway.directory_log.alerts import post, run_command
from gateway.directory_log.monitor import Event, LogMonitor, Watched
from gateway.directory_log.monitor_file import BadStateFile, MonitorFile
from gateway.directory_log.reader import LogReader
from gateway.dns import DnsResolver, DnsSettings, system_nameservers
from gateway.http.fetch import client_context
from gateway.http.service_client import ServiceClient

_MAX_RECEIPT = 65_536


@dataclass(frozen=True, slots=True)
class _Options:
    url: str
    policy: LogPolicy
    watched: dict[bytes, Watched]
    state: Path
    interval: float
    once: bool
    from_start: bool
    command: tuple[str, ...]
    webhook: str
    trust_file: Path | None
    as_json: bool


def monitor(
    identifiers: Annotated[
        list[str] | None,
        typer.Argument(help="Own numbers or mail addresses, one for each --label, in order."),
    ] = None,
    log: Annotated[str, typer.Option(help="URL of the log: https://directory.example/log")] = "",
    log_key: Annotated[
        list[str] | None, typer.Option(help="The log's public key (name+id+key); may be repeated.")
    ] = None,
    witness: Annotated[
        list[str] | None, typer.Option(help="A witness' public key (name+id+key).")
    ] = None,
    quorum: Annotated[
        int | None, typer.Option(help="Cosignatures needed; one where witnesses are given.", min=0)
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="An own label, 64 hexadecimal digits.")
    ] = None,
    label_key: Annotated[
        str, typer.Option(help="The directory's key of labels; checks that of each --receipt.")
    ] = "",
    receipt: Annotated[
        list[Path] | None, typer.Option(help="What the directory gave at registration (KEY.json).")
    ] = None,
    state: Annotated[Path, typer.Option(help="File that keeps the monitor's place.")] = Path(
        "directory-monitor.json"
    ),
    max_age: Annotated[
        float, typer.Option(help="Seconds after which a checkpoint is stale.", min=1)
    ] = 86_400.0,
    interval: Annotated[float, typer.Option(help="Seconds between two looks.", min=1)] = 60.0,
    once: Annotated[bool, typer.Option(help="Look once; exit with 1 on an alert.")] = False,
    from_now: Annotated[
        bool, typer.Option(help="A new monitor passes over what is logged already.")
    ] = False,
    execute: Annotated[
        str, typer.Option("--exec", help="Command run for each alert, JSON on standard input.")
    ] = "",
    webhook: Annotated[str, typer.Option(help="URL that each alert is posted to.")] = "",
    trust_file: Annotated[
        Path | None, typer.Option(help="PEM of the authorities of the log's TLS certificate.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Watch a directory's log: new bindings of own identifiers, removals, and a log that forks."""
    try:
        witnesses = tuple(map(parse_witness, witness or ()))
        policy = LogPolicy(
            tuple(map(parse_verifier, log_key or ())),
            witnesses,
            min(len(witnesses), 1) if quorum is None else quorum,
            max_age,
        )
        labels = VrfPublic(bytes.fromhex(label_key)) if label_key else None
        watched = _watched(identifiers or (), label or (), receipt or (), labels)
        options = _Options(
            url=log,
            policy=policy,
            watched=watched,
            state=state,
            interval=interval,
            once=once,
            from_start=not from_now,
            command=tuple(shlex.split(execute)),
            webhook=webhook,
            trust_file=trust_file,
            as_json=as_json,
        )
        alert = asyncio.run(_watch(options))
    except LogRefused as error:
        usage_error(f"--log-key or --witness: {error.detail}")
    except (ValueError, OSError) as error:
        usage_error(str(error))
    except BadStateFile as error:
        failure(str(error))
    raise typer.Exit(EXIT_FAILED if alert and once else 0)


async def _watch(options: _Options) -> bool:
    dns = DnsResolver(DnsSettings(nameservers=system_nameservers()))
    http = ServiceClient(dns, client_context(options.trust_file))

    async def tell(event: Event) -> None:
        if options.as_json:
            emit_json(event)
        else:
            _show(event)
        if event["alert"] and options.command:
            await run_command(options.command, event)
        if event["alert"] and options.webhook:
            await post(http, options.webhook, event)

    try:
        follower = LogMonitor(
            LogReader(http, options.url),
            options.policy,
            options.watched,
            MonitorFile(options.state, options.watched),
            tell,
            from_start=options.from_start,
        )
        if options.once:
            return await follower.look(time.time())
        await _until_told(follower, options.interval)
        return False
    finally:
        await http.close()
        await dns.close()


async def _until_told(follower: LogMonitor, interval: float) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    stop = asyncio.ensure_future(stopped.wait())
    try:
        while not stopped.is_set():
            look = asyncio.ensure_future(follower.look(time.time()))
            await asyncio.wait((look, stop), return_when=asyncio.FIRST_COMPLETED)
            if not look.done():
                look.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await look
                return
            look.result()
            await asyncio.wait((stop,), timeout=interval)
    finally:
        stop.cancel()


def _watched(
    identifiers: Sequence[str],
    labels: Sequence[str],
    receipts: Sequence[Path],
    verifier: VrfPublic | None,
) -> dict[bytes, Watched]:
    """Return what to look for. Raises ValueError, OSError."""
    if len(identifiers) != len(labels) and not (receipts and not labels):
        raise ValueError("give a --label for each identifier, or its --receipt")
    found = {
        _label(label): Watched(identifier)
        for identifier, label in zip(identifiers, labels, strict=False)
    }
    for path in receipts:
        label, watched = _receipt(path)
        if verifier and not verifier.is_label_of(label.value, watched.identifier, label.proof):
            raise ValueError(f"{path}: the label is not that of the identifier")
        found[label.value] = watched
    asked = {_bare(each) for each in identifiers}
    if receipts and asked:
        found = {key: each for key, each in found.items() if _bare(each.identifier) in asked}
    if not found:
        raise ValueError("nothing to watch: give a --label or a --receipt of the identifier")
    return found


def _receipt(path: Path) -> tuple[Label, Watched]:
    """Read a receipt, as a directory answered or as it is kept beside the owner's key."""
    with path.open("rb") as file:
        data = file.read(_MAX_RECEIPT)
    try:
        members = parse_json_object(data)
        held = members.get("receipt", members)
        members = held if isinstance(held, dict) else {}
        csi, known = members["csi"], members.get("known", [])
        if not isinstance(csi, str) or not isinstance(known, list):
            raise ValueError
        return read_label(members), Watched(csi, frozenset(_label(str(each)) for each in known))
    except (MalformedJson, KeyError, ValueError, LogRefused):
        raise ValueError(f"{path} is no receipt of a directory") from None


def _label(text: str) -> bytes:
    value = bytes.fromhex(text)
    if len(value) != 32:
        raise ValueError(f"'{text}' has not 64 hexadecimal digits")
    return value


def _bare(identifier: str) -> str:
    return identifier.removeprefix("tel:").removeprefix("mailto:")


def _show(event: Event) -> None:
    colour = "bold red" if event["alert"] else "green"
    details = [str(event[name]) for name in ("detail", "origin") if event.get(name)]
    if "index" in event:
        bare = _bare(str(event["identifier"]))
        shown = masked(bare) if bare.startswith("+") else bare
        own = " (own)" if event["own"] else ""
        details.append(f"{shown}, entry {event['index']}{own}")
    if "size" in event:
        details.append(f"{event['size']} entries")
    console.print(f" [{colour}]{event['event']}[/] {escape(', '.join(details))}")
