"""`spingate sip`: what the gateway makes of messages and URIs, without a network."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from gateway.cli.output import EXIT_FAILED, console, emit_json, usage_error
from sip.fields import parse_name_addr
from sip.headers import MalformedHeader
from sip.uri import (
    AbsoluteUri,
    MalformedUri,
    SipUri,
    TelUri,
    Uri,
    parse_uri,
    subscriber_number,
    uris_equal,
)
from sip.validate import Assessment, assess_bytes

app = typer.Typer(
    name="sip",
    no_args_is_help=True,
    help="Check SIP messages and URIs.",
    pretty_exceptions_enable=False,
)

_COLOURS = {"forward": "green", "answer": "yellow", "drop": "red"}
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


class CheckedTransport(StrEnum):
    """The transport the octets are taken to have come by: a datagram, or a stream."""

    UDP = "udp"
    TCP = "tcp"


@app.command()
def check(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Messages as on the wire.")],
    transport: Annotated[
        CheckedTransport, typer.Option(help="Whether a file is a datagram or a stream.")
    ] = CheckedTransport.UDP,
    json: Json = False,
) -> None:
    """Say what the gateway's proxy would do with each message: forward, answer or drop it.

    Of a stream the first message counts. Exit status 1 when any would not be forwarded.
    """
    contents = [(name, _read(name)) for name in files]
    failed = False
    for name, data in contents:
        kind, assessment = assess_bytes(data, transport.value)
        failed = failed or assessment.outcome != "forward"
        if json:
            emit_json(
                {
                    "file": _printable(name),
                    "kind": kind,
                    "outcome": assessment.outcome,
                    "status": assessment.status,
                    "reason": _printable(assessment.reason),
                }
            )
        else:
            _print_assessment(name, kind, assessment)
    if failed:
        raise typer.Exit(EXIT_FAILED)


def _read(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as problem:
        usage_error(_printable(f"{name}: {problem.strerror or problem}"))
    except ValueError:  # a NUL in the name
        usage_error(_printable(f"{name!r}: no file name"))


def _print_assessment(name: str, kind: str | None, assessment: Assessment) -> None:
    """Print a line that stays one line and whole in a pipe."""
    status = "" if assessment.status is None else f" {assessment.status}"
    outcome = f"{assessment.outcome}{status}"
    line = f"[{_COLOURS[assessment.outcome]}]{outcome:<11}[/] {kind or '-':<9}"
    line += f" {escape(_printable(name))}"
    if assessment.reason:
        line += f"  [dim]{escape(_printable(assessment.reason))}[/]"
    console.print(line, soft_wrap=True)


@app.command()
def uri(
    uris: Annotated[list[str], typer.Argument(metavar="URI [URI]", help="sip:, sips: or tel:")],
    json: Json = False,
) -> None:
    """Take a URI apart, and compare it with a second (RFC 3261 19.1.4, RFC 3966 section 4).

    An address with a display name and angle brackets is taken for the URI in it. Exit status 1
    when a URI is not valid.
    """
    if len(uris) > 2:
        usage_error("sip uri takes one URI, or two to compare")
    parsed = [_parse(text) for text in uris]
    first, second = parsed[0], parsed[-1]
    equal: bool | None = None
    if len(parsed) == 2 and not isinstance(first, str) and not isinstance(second, str):
        equal = uris_equal(first, second)
    for text, found in zip(uris, parsed, strict=True):
        record = _record(text, found, equal)
        if json:
            emit_json(record)
        else:
            _print_record(text, record)
    if any(isinstance(found, str) for found in parsed):
        raise typer.Exit(EXIT_FAILED)


def _parse(text: str) -> Uri | str:
    """Return the URI of an addr-spec or name-addr, or why there is none."""
    try:
        if "<" in text:
            return parse_name_addr("address", text).uri
        return parse_uri(text)
    except MalformedHeader as problem:
        return problem.why
    except MalformedUri as problem:
        return problem.why


def _record(text: str, found: Uri | str, equal: bool | None) -> dict[str, object]:
    record: dict[str, object] = {
        "valid": not isinstance(found, str),
        "scheme": None,
        "user": None,
        "host": None,
        "port": None,
        "parameters": {},
        "headers": {},
        "canonical": None,
        "tn": _telephone_number(text, found),
        "equal": equal,
    }
    if isinstance(found, str):
        record["reason"] = found
        return record
    record["scheme"] = found.scheme
    record["canonical"] = found.canonical()
    if not isinstance(found, AbsoluteUri):
        record["user"] = found.number if isinstance(found, TelUri) else found.user
        record["parameters"] = dict(found.params)
    if isinstance(found, SipUri):
        record["host"] = found.host
        record["port"] = found.port
        record["headers"] = dict(found.headers)
    return record


def _telephone_number(text: str, found: Uri | str) -> str | None:
    """Return the number's canonical form, digits only (RFC 8224 8.3), of a bare number too."""
    if isinstance(found, str):
        found = TelUri(text)
    number = subscriber_number(found)
    return None if number is None else number.removeprefix("+")


def _print_record(text: str, record: dict[str, object]) -> None:
    console.print(f"[bold]{escape(_printable(text))}[/]", soft_wrap=True)
    for name, value in record.items():
        if value in (None, {}):
            continue
        if isinstance(value, dict):
            shown = ", ".join(n if v is None else f"{n}={v}" for n, v in value.items())
        else:
            shown = str(value).lower() if isinstance(value, bool) else str(value)
        console.print(f"  {name:<11}{escape(_printable(shown))}", soft_wrap=True)


def _printable(text: str) -> str:
    """Return the text with octets that are not UTF-8, and controls, written as escapes."""
    shown = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)
