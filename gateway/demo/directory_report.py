"""What the demo tells of the directory."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape


@dataclass(frozen=True, slots=True)
class DirectoryReport:
    """Everything that is known of the directory's part in the demo; times in seconds."""

    url: str
    starting_seconds: float
    owners: list[dict[str, Any]]
    call: dict[str, Any]
    proof: dict[str, Any]
    opted_out: dict[str, Any]
    two_providers: dict[str, Any]
    parts: dict[str, bool]

    @property
    def ok(self) -> bool:
        """Whether every part worked."""
        return all(self.parts.values())

    def as_json(self) -> dict[str, Any]:
        """Return the `directory` object of `spingate demo --json`."""
        return {
            "url": self.url,
            "starting_seconds": self.starting_seconds,
            "way": self.call["way"],
            "owners": self.owners,
            "call": self.call,
            "proof": self.proof,
            "opted_out": self.opted_out,
            "two_providers": self.two_providers,
        }


def print_directory(console: Console, report: DirectoryReport) -> None:
    """Tell a person what was found in the directory, and how it is proven."""
    console.rule(f"[bold]Found in the directory {report.url}", align="left")
    for owner in report.owners:
        console.print(
            f" {owner['number']} registered with a code by SMS: {owner['state']} "
            f"[dim]{owner['seconds'] * 1000:.0f} ms[/]"
        )
    _print_call(console, report)
    _print_proof(console, report)
    _print_numbers(console, report)


def _print_call(console: Console, report: DirectoryReport) -> None:
    call = report.call
    console.print(
        f" [bold]{call['from']} calls {call['to']}[/]; beta.example asks over {call['way']}: "
        f"through {_host(call['relay'])},\n   which cannot read it, for a token of "
        f"{_host(call['issuer'])}; the directory knows no peers"
    )
    _print_sources(console, call["discovery"])
    rung = call["setup_seconds"]
    after = "" if rung is None else f", ringing after {rung * 1000:.0f} ms"
    console.print(
        f"   SMS sent: {call['sms']}; answered {call['status']}, verdict {call['verdict']}{after}"
    )


def _print_proof(console: Console, report: DirectoryReport) -> None:
    proof = report.proof
    record, certificate, log = proof["record"], proof["certificate"], proof["log"]
    console.print(
        f" [bold]its proof[/], as beta.example checks it [dim]{proof['seconds'] * 1000:.1f} ms[/]"
    )
    console.print(
        f"   record      {record['csi']} seq {record['seq']}, by key {proof['key'][:16]}…"
    )
    until = time.strftime("%Y-%m-%d", time.gmtime(certificate["not_after"]))
    console.print(
        f"   certificate of +{', +'.join(certificate['numbers'])}, "
        f"by {escape(certificate['issuer'])}, until {until}"
    )
    if log is None:
        console.print("   [red]no proof from a log[/]")
        return
    held = "[green]holds[/]" if proof["logged"] else "[bold red]does not hold[/]"
    console.print(f"   inclusion   leaf {log['index']}, {log['hashes']} hashes to the root: {held}")
    console.print(f"   checkpoint  {log['origin']} size {log['size']} root {log['root'][:16]}…")
    by = f"cosigned by {log['witness']}" if proof["cosigned"] else "[bold red]cosigned by nobody[/]"
    console.print(f"   witness     {by}")


def _print_numbers(console: Console, report: DirectoryReport) -> None:
    console.print(f" [bold]{report.opted_out['number']}[/] has opted out")
    _print_sources(console, report.opted_out["discovery"])
    console.print(f" [bold]{report.two_providers['number']}[/] has two providers")
    chosen = {each["uri"] for each in report.two_providers["discovery"]["uris"]}
    for each in report.two_providers["maps"]:
        mark = " [bold green]chosen[/]" if each["uri"] in chosen else ""
        console.print(f"   {each['prio']:3} {each['msp']:14} {escape(each['uri'])}{mark}")


def _print_sources(console: Console, discovery: dict[str, Any]) -> None:
    for source in discovery["asked"]:
        detail = f" ({source['detail']})" if source["detail"] else ""
        console.print(
            f"   {source['source']:9} {source['outcome']}{escape(detail)} "
            f"[dim]{source['seconds'] * 1000:.1f} ms[/]"
        )
    for found in discovery["uris"]:
        console.print(f"   [green]{escape(found['uri'])}[/] [dim]({found['assurance']})[/]")


def _host(url: str) -> str:
    return url.split("/", 3)[2].partition(":")[0]
