"""What the demo tells a person, and the object it gives a script."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.demo.ladder import Step, print_ladder

_MARKS: Final = {
    "passed": "[green]passed[/]",
    "failed": "[bold red]failed[/]",
    "skipped": "[dim]skipped[/]",
    "unavailable": "[yellow]unavailable[/]",
}


@dataclass(frozen=True, slots=True)
class MediaResult:
    """What one softphone sent, received and heard; frequencies in Hz, loss as a share (0 to 1)."""

    phone: str
    protection: str
    codec: str
    packets_sent: int
    packets_received: int
    packets_lost: int
    tone_expected: float
    tone_heard: float | None
    tone_seconds: float
    loss: float

    @property
    def ok(self) -> bool:
        """Whether the other side's tone was heard, within 1 %, with few gaps."""
        return (
            self.tone_heard is not None
            and abs(self.tone_heard - self.tone_expected) <= self.tone_expected / 100
            and self.tone_seconds >= 1.0
            and self.loss <= 0.05
        )


@dataclass(frozen=True, slots=True)
class CallReport:
    """Everything that is known of one call of the demo."""

    discovery: dict[str, Any]
    again: dict[str, Any]
    sms: dict[str, Any] | None
    passport: dict[str, Any] | None
    verdict: dict[str, Any] | None
    setup_seconds: float | None
    next_hop: str | None
    media: tuple[MediaResult, ...]
    ladder: tuple[Step, ...]
    parts: dict[str, bool]

    @property
    def ok(self) -> bool:
        """Whether every part worked."""
        return all(self.parts.values())

    def as_json(self) -> dict[str, Any]:
        """Return the object of `spingate demo --json`."""
        return {
            "ok": self.ok,
            "parts": self.parts,
            "discovery": self.discovery,
            "discovery_again": self.again,
            "sms": self.sms,
            "passport": self.passport,
            "verdict": self.verdict,
            "setup_seconds": self.setup_seconds,
            "next_hop": self.next_hop,
            "media": [{**asdict(result), "ok": result.ok} for result in self.media],
            "messages": [asdict(step) for step in self.ladder],
        }


def print_report(console: Console, report: CallReport, parties: tuple[str, ...]) -> None:
    """Tell a person how the call went."""
    _print_discovery(console, report)
    console.rule("[bold]SIP messages (milliseconds)", align="left")
    print_ladder(console, report.ladder, parties)
    _print_passport(console, report)
    _print_media(console, report)


def print_parts(console: Console, parts: dict[str, bool]) -> None:
    """Tell a person which parts worked."""
    console.rule(align="left")
    for name, worked in parts.items():
        console.print(f" {'[green]✔[/]' if worked else '[bold red]✘[/]'} {name}")


def _print_discovery(console: Console, report: CallReport) -> None:
    console.rule("[bold]How the number was found", align="left")
    for source in report.discovery.get("asked", []):
        detail = f" ({source['detail']})" if source["detail"] else ""
        console.print(
            f" {source['source']:9} {source['outcome']}{escape(detail)}"
            f" [dim]{source['seconds'] * 1000:.1f} ms[/]"
        )
    if report.sms is not None:
        console.print(
            f" SMS       {report.sms['parts']} parts over SMPP; without an agent a person reads:\n"
            f"           [italic]“{escape(report.sms['fallback'])}”[/]"
        )
    for found in report.discovery.get("uris", []):
        console.print(f" [bold green]{escape(found['uri'])}[/] [dim]({found['assurance']})[/]")
    if report.next_hop is not None:
        console.print(f" next hop {report.next_hop} [dim](RFC 3263; the first server is down)[/]")
    for source in report.again.get("asked", []):
        console.print(f" asked again: {source['source']} {source['outcome']}, no SMS is sent")


def _print_passport(console: Console, report: CallReport) -> None:
    console.rule("[bold]PASSporT (RFC 8225), as beta.example received it", align="left")
    if report.passport is not None:
        for part in ("header", "payload"):
            console.print(f" {part:8}{escape(json.dumps(report.passport[part]))}", soft_wrap=True)
    verdict = report.verdict or {}
    table = Table(box=None, pad_edge=True)
    for column in ("check", "outcome", "got", "expected"):
        table.add_column(column, overflow="fold")
    for check in verdict.get("checks", []):
        table.add_row(
            check["step"],
            _MARKS.get(check["outcome"], check["outcome"]),
            escape(_short(check["got"])),
            escape(_short(check["expected"])),
        )
    console.print(table)
    console.print(f" verdict: [bold]{verdict.get('outcome')}[/], verstat {verdict.get('verstat')}")


def _short(value: object) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _print_media(console: Console, report: CallReport) -> None:
    console.rule("[bold]Media", align="left")
    table = Table(box=None, pad_edge=True)
    for column in ("phone", "protection", "codec", "sent", "received", "lost", "heard", "gaps"):
        table.add_column(column)
    for result in report.media:
        heard = "nothing" if result.tone_heard is None else f"{result.tone_heard:.0f} Hz"
        table.add_row(
            result.phone,
            result.protection,
            result.codec,
            str(result.packets_sent),
            str(result.packets_received),
            str(result.packets_lost),
            f"{heard} of {result.tone_expected:.0f} Hz, {result.tone_seconds:.1f} s",
            f"{result.loss:.1%}",
        )
    console.print(table)
    if report.setup_seconds is not None:
        console.print(f" ringing after {report.setup_seconds * 1000:.0f} ms")
