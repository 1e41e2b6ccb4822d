"""`spingate directory monitor`: watch a directory's log for an identifier of one's own."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.markup import escape

from discovery.log.logged import LogPolicy
from discovery.number import masked
from discovery.spin.strict_json import MalformedJson, parse_json_object
from gateway.cli.directory_options import (
    LogKeys,
    LogLabels,
    MaxAge,
    Nameserver,
    Quorum,
    Trust,
    Witnesses,
    label_key,
    log_policy,
    with_client,
)
from gateway.cli.gateway_options import Json
from gateway.cli.output import EXIT_FAILED, console, emit_json, error_console, failure, usage_error
from gateway.directory_log.alerts import post, run_command
from gateway.directory_log.monitor import Event, LogMonitor, Watched
from gateway.directory_log.monitor_file import BadStateFile, MonitorFile, read_pin
from gateway.directory_log.reader import LogReader
from gateway.directory_log.receipts import (
    LogPlace,
    bare,
    one_place,
    place_of,
    read_hex,
    read_receipt,
    receipts_in,
    watched_of,
)
from gateway.http.fetch import FetchFailed
from gateway.http.service_client import ServiceClient

_TIMEOUT: Final = 10.0
# An owner's command gets its receipt when witnesses have cosigned, up to 3 s after the monitor.
_PATIENCE: Final = 10.0


@dataclass(frozen=True, slots=True)
class _Options:
    identifiers: tuple[str, ...]
    receipts: tuple[Path, ...]
    labels: dict[bytes, Watched]
    state: Path
    interval: float
    once: bool
    from_start: bool
    command: tuple[str, ...]
    webhook: str
    as_json: bool

    def watched(self, place: LogPlace) -> dict[bytes, Watched]:
        """What is looked for, as it stands in the files now. Raises ValueError, OSError."""
        if self.labels:
            return self.labels
        found = [read_receipt(path) for path in self.receipts] or receipts_in(Path())
        watched = watched_of(found, self.identifiers, label_key(place.labels))
        if not watched:
            raise ValueError("nothing to watch: name a number, or give --receipt KEY.json")
        return watched


def monitor(
    identifiers: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NUMBER]...", help="Own numbers or mail addresses."),
    ] = None,
    receipt: Annotated[
        list[Path] | None,
        typer.Option(help="KEY.json, from `register`; absent: those in this folder."),
    ] = None,
    directory: Annotated[
        str, typer.Option(help="https URL of the directory; that of the receipt if absent.")
    ] = "",
    log: Annotated[str, typer.Option(help="URL of the log; DIRECTORY/log if absent.")] = "",
    log_key: LogKeys = None,
    log_labels: LogLabels = "",
    witness: Witnesses = None,
    quorum: Quorum = None,
    label: Annotated[
        list[str] | None,
        typer.Option(help="Label of each number instead of a receipt, 64 hexadecimal digits."),
    ] = None,
    state: Annotated[Path, typer.Option(help="File that keeps the monitor's place.")] = Path(
        "directory-monitor.state"
    ),
    max_age: MaxAge = 86_400.0,
    interval: Annotated[float, typer.Option(help="Seconds between two looks.", min=1)] = 60.0,
    once: Annotated[bool, typer.Option(help="Look once; exit with 1 on an alert.")] = False,
    from_now: Annotated[
        bool, typer.Option(help="A new monitor passes over what is logged already.")
    ] = False,
    execute: Annotated[
        str, typer.Option("--exec", help="Command run for each alert, JSON on standard input.")
    ] = "",
    webhook: Annotated[str, typer.Option(help="URL that each alert is posted to.")] = "",
    trust_anchors: Trust = None,
    nameserver: Nameserver = None,
    as_json: Json = False,
) -> None:
    """Watch a log for your number: bindings by others, removals, a log that forks.

    What you did yourself is told, but is no alert. The receipt beside your key says which log.
    """
    numbers, labels = tuple(identifiers or ()), label or []
    try:
        if labels and len(numbers) != len(labels):
            raise ValueError("give a number for each --label")
        options = _Options(
            identifiers=numbers,
            receipts=tuple(receipt or ()),
            labels={
                read_hex(text): Watched(each) for each, text in zip(numbers, labels, strict=False)
            },
            state=state,
            interval=interval,
            once=once,
            from_start=not from_now,
            command=tuple(shlex.split(execute)),
            webhook=webhook,
            as_json=as_json,
        )
        place = _place(options, directory, log, log_key or (), log_labels)
    except (ValueError, OSError) as error:
        usage_error(str(error))

    async def watch(http: ServiceClient) -> bool:
        known = await _pinned(http, place, options.state, needs_key=not log_key)
        policy = log_policy(log_key or (known.key,), witness or (), quorum, max_age, known.labels)
        return await _watch(http, options, known, policy)

    try:
        alert = asyncio.run(with_client(trust_anchors, nameserver, watch))
    except (ValueError, OSError) as error:
        usage_error(str(error))
    except BadStateFile as error:
        failure(str(error))
    raise typer.Exit(EXIT_FAILED if alert and once else 0)


def _place(
    options: _Options, directory: str, log: str, keys: Sequence[str], labels: str
) -> LogPlace:
    """Return the log by the options, and what the receipts say where those are silent."""
    found = [read_receipt(path) for path in options.receipts]
    if not found and not options.labels:
        asked = {bare(each) for each in options.identifiers}
        found = [
            each
            for each in receipts_in(Path())
            if not asked or bare(each.watched.identifier) in asked
        ]
    place = one_place(found) if not directory and not log else None
    if directory:
        place = place_of(directory)
        kept = [each.place for each in found if each.place and each.place.url == place.url]
        place = kept[0] if kept else place
    if log:
        place = LogPlace(log.rstrip("/"))
    options.watched(place or LogPlace(""))
    if place is None:
        raise ValueError("which directory? give its --directory URL, or the --receipt of one")
    return replace(place, key=keys[0] if keys else place.key, labels=labels or place.labels)


async def _pinned(
    http: ServiceClient, place: LogPlace, state: Path, *, needs_key: bool
) -> LogPlace:
    """Return the log with its keys: those we have, else those the directory publishes now."""
    if place.key or not needs_key:
        return place
    before = await asyncio.to_thread(read_pin, state)
    if before is not None:
        return replace(place, key=before[0], labels=place.labels or before[1])
    url = place.url.rpartition("/")[0]
    try:
        answer = await http.request("GET", f"{url}/.well-known/spin-dp", timeout=_TIMEOUT)
        described = parse_json_object(answer.body)
    except FetchFailed as error:
        raise ValueError(f"give --log-key: {error}") from None
    except MalformedJson:
        described = {}
    key, labels = described.get("log"), described.get("log_labels")
    if not isinstance(key, str) or not isinstance(labels, str):
        raise ValueError(f"{url} publishes no log: give --log and --log-key")
    error_console.print(
        f"[yellow]spingate:[/] the log's key is taken from {escape(url)} as it is now and kept in "
        f"{escape(str(state))}; compare it with what the operator gave you: {escape(key)}",
        soft_wrap=True,
    )
    return replace(place, key=key, labels=place.labels or labels)


async def _watch(
    http: ServiceClient, options: _Options, place: LogPlace, policy: LogPolicy
) -> bool:
    watched = options.watched(place)

    async def tell(event: Event) -> None:
        if options.as_json:
            emit_json(event)
        else:
            _show(event)
        if event["alert"] and options.command:
            await run_command(options.command, event)
        if event["alert"] and options.webhook:
            await post(http, options.webhook, event)

    def known_now() -> Mapping[bytes, Watched]:
        try:
            return options.watched(place)
        except (ValueError, OSError):
            return watched  # being written just now

    pinned = (place.key, place.labels) if place.key and place.labels else None
    follower = LogMonitor(
        LogReader(http, place.url),
        policy,
        watched,
        MonitorFile(options.state, watched, pinned=pinned),
        tell,
        from_start=options.from_start,
        known_now=known_now,
        patience=0.0 if options.once else min(_PATIENCE, options.interval),
    )
    if options.once:
        return await follower.look(time.time())
    await _until_told(follower, options.interval)
    return False


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


def _show(event: Event) -> None:
    colour = "bold red" if event["alert"] else "green"
    details = [str(event[name]) for name in ("detail", "origin") if event.get(name)]
    if "index" in event:
        shown = bare(str(event["identifier"]))
        shown = masked(shown) if shown.startswith("+") else shown
        own = " (by yourself)" if event["own"] else " (not by you)"
        details.append(f"{shown}, entry {event['index']}{own}")
    if "size" in event:
        details.append(f"{event['size']} entries")
    console.print(f" [{colour}]{event['event']}[/] {escape(', '.join(details))}")
