"""What `spingate stir explain` shows of a capture beside the verdicts: requests and a summary."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from gateway.capture.sip import CaptureContents, CapturedRequest
from gateway.cli.output import console
from gateway.cli.stir_report import MARKS, STYLES
from stir.reason import printable
from stir.verdict import CallVerdict

_OUTCOMES = {"valid": "passed", "unavailable": "unavailable"}


def capture_record(request: CapturedRequest) -> dict[str, object]:
    """Where and when a request was seen, for `--json`."""
    return {
        "time": None if not request.time else _moment(request.time, "%Y-%m-%dT%H:%M:%S.%fZ"),
        "source": request.source,
        "destination": request.destination,
        "transport": request.transport,
        "method": request.request.method,
        "call_id": request.call_id,
        "times_seen": request.times_seen,
    }


def show_request(request: CapturedRequest) -> None:
    """Print the heading of a request's section."""
    when = _moment(request.time, "%Y-%m-%d %H:%M:%S.%f")[:-3] if request.time else "no time"
    again = "" if request.times_seen == 1 else f", seen {request.times_seen} times"
    console.print()
    console.print(Rule(Text(printable(request.call_id, 100) or "no Call-ID"), align="left"))
    console.print(
        Text(
            f"{when} UTC  {request.source} > {request.destination} {request.transport}  "
            f"{printable(request.request.method, 20)}{again}",
            style="dim",
        )
    )


def show_capture(contents: CaptureContents, calls: list[CallVerdict]) -> None:
    """Print the summary table, and what of the capture could not be looked at."""
    if contents.signed:
        console.print()
        console.print(Rule(Text("summary"), align="left"))
        console.print(_table(contents.signed, calls))
    good = sum(call.outcome == "valid" for call in calls)
    console.print(
        Text(f"{len(calls)} signed requests, {good} valid, {contents.frames} frames read")
    )
    for note in _notes(contents):
        console.print(Text(f"  {note}", style="yellow"))


def _table(requests: list[CapturedRequest], calls: list[CallVerdict]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("time", no_wrap=True)
    table.add_column("call", overflow="fold", max_width=32)
    table.add_column("from > to", overflow="fold")
    table.add_column("verdict", overflow="fold")
    for request, call in zip(requests, calls, strict=True):
        outcome = _OUTCOMES.get(call.outcome, "failed")
        words = call.outcome if call.reason is None else call.reason.code
        table.add_row(
            _moment(request.time, "%H:%M:%S.%f")[:-3] if request.time else "–",
            Text(printable(request.call_id, 64)),
            Text(_numbers(call)),
            Text(f"{MARKS[outcome]} {words}", style=STYLES[outcome]),
        )
    return table


def _numbers(call: CallVerdict) -> str:
    passport = None if call.best is None else call.best.passport
    if passport is None:
        return "–"
    return f"{_claim(passport.payload.get('orig'))} > {_claim(passport.payload.get('dest'))}"


def _claim(claim: object) -> str:
    found = (claim.get("tn") or claim.get("uri")) if isinstance(claim, dict) else None
    if isinstance(found, list):
        found = found[0] if found else None
    return printable(found, 24) if isinstance(found, str) else "?"


def _notes(contents: CaptureContents) -> list[str]:
    facts = [
        (contents.unsigned, "INVITE or MESSAGE without Identity header field"),
        (contents.malformed, "messages that look like SIP and are not"),
        (contents.cut, "SIP packets the capture cut short: capture with snaplen 0 (-s 0)"),
        (contents.discarded_fragments, "fragmented packets that contradict themselves"),
        (contents.encrypted, "TLS streams, which cannot be read: capture behind the TLS end"),
    ]
    notes = [f"{count} {words}" for count, words in facts if count]
    links = ", ".join(map(str, sorted(contents.foreign_links)))
    if links:
        notes.append(f"frames of link layer {links}, which is not known here")
    if contents.damage is not None:
        notes.append(f"the rest of the file cannot be read: {contents.damage}")
    if contents.too_many:
        notes.append("more requests than are looked at: cut the capture up")
    return notes


def _moment(epoch: float, form: str) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime(form)
