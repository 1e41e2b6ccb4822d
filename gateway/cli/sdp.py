"""`spingate sdp`: parse session descriptions and say what is odd about them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from gateway.cli.output import EXIT_FAILED, console, emit_json, usage_error
from gateway.cli.sdp_facts import media_facts, printable, session_facts
from media.sdp import MalformedSdp, MediaDescription, SessionDescription, parse_sdp
from media.sdp_check import problems

app = typer.Typer(
    name="sdp",
    no_args_is_help=True,
    help="Check session descriptions.",
    pretty_exceptions_enable=False,
)


@app.callback()
def _group() -> None:
    """Check session descriptions."""


@app.command()
def check(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="SDP, CRLF or LF lines.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Say whether each description parses, what is odd about it, and what it asks for.

    Oddities do not make a description invalid. Exit status 1 when any is invalid.
    """
    contents = [(name, _read(name)) for name in files]
    valid = [_check_one(name, data, json) for name, data in contents]
    if not all(valid):
        raise typer.Exit(EXIT_FAILED)


def _read(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        usage_error(f"cannot read {printable(name)}: {reason}")


def _check_one(name: str, data: bytes, json: bool) -> bool:
    name = printable(name)
    try:
        description = parse_sdp(data)
    except MalformedSdp as error:
        if json:
            refused = {"valid": False, "problems": [str(error)], "session": None, "media": []}
            emit_json({"file": name, **refused})
        else:
            text = f"[bold]{escape(name)}[/]: [bold red]invalid[/] {escape(str(error))}"
            console.print(text, soft_wrap=True)
        return False
    found = [printable(str(problem)) for problem in problems(description)]
    if json:
        emit_json(
            {
                "file": name,
                "valid": True,
                "problems": found,
                "session": session_facts(description),
                "media": [media_facts(description, media) for media in description.media],
            }
        )
    else:
        _print(name, description, found)
    return True


def _print(name: str, description: SessionDescription, found: list[str]) -> None:
    session = printable(description.session_name or "-")
    console.print(
        f"[bold]{escape(name)}[/]: [green]valid[/] "
        f"session {escape(session)} from {escape(printable(description.origin.address))}",
        soft_wrap=True,
    )
    for media in description.media:
        console.print(f"  {_media_text(description, media)}", soft_wrap=True)
    for problem in found:
        console.print(f"  [yellow]![/] {escape(problem)}", soft_wrap=True)


def _media_text(description: SessionDescription, media: MediaDescription) -> str:
    connection = description.connection_of(media)
    where = f"{connection.host if connection else '?'} port {media.port}"
    parts = [f"[cyan]{escape(printable(media.kind))}[/]", escape(printable(media.proto))]
    parts.append(escape(printable(where)) if media.port else "refused (port 0)")
    parts.append(description.direction_of(media))
    codecs = ", ".join(f"{codec.payload_type} {codec.name}" for codec in media.codecs())
    parts.append(escape(printable(codecs or " ".join(media.formats))))
    return "  ".join(parts)
