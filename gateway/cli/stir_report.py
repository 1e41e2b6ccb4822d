"""Showing a verification: the stable JSON object for scripts, plain words for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from gateway.cli.output import console
from gateway.cli.stir_certificate import certificate_lines, certificate_record
from gateway.cli.stir_judge import Judge
from stir.certificates.certificate import Credential
from stir.checks.inspection import AnyCredential
from stir.passport import parse_passport
from stir.reason import Reason
from stir.verdict import CallVerdict, Check, Verdict

MARKS: Final = {"passed": "✓", "failed": "✗", "skipped": "–", "unavailable": "?"}
STYLES: Final = {"passed": "green", "failed": "bold red", "skipped": "dim", "unavailable": "yellow"}
# How often each cause stands behind failed verifications in the field (users-and-peers, TransNexus
# 2021): called-number mismatch by far, then calling number, iat, info, repository.
LIKELY_FIRST: Final = (
    "destination",
    "originator",
    "freshness",
    "info",
    "credential",
    "chain",
    "authority",
    "constraints",
    "signature",
)


def call_record(call: CallVerdict) -> dict[str, object]:
    """The object `stir verify --json` prints; with several Identity values also each of them."""
    best = call.best
    outcome = "invalid" if call.outcome == "absent" else call.outcome
    record: dict[str, object] = {
        "outcome": outcome,
        "verstat": call.verstat,
        "sip_status": call.sip_status,
        "reason": None if call.reason is None else call.reason.code,
        "checks": [] if best is None else [_check(check) for check in best.checks],
    }
    if len(call.verdicts) > 1:
        record["identities"] = [_verdict(verdict) for verdict in call.verdicts]
    return record


def signed_record(value: str) -> dict[str, object]:
    """The object `stir sign --json` prints; header and payload are null in the compact form."""
    token = value.partition(";")[0]
    if token.startswith(".."):
        return {"identity": value, "token": token, "header": None, "payload": None}
    passport = parse_passport(token)
    return {
        "identity": value,
        "token": token,
        "header": dict(passport.header),
        "payload": dict(passport.payload),
    }


def finding_records(call: CallVerdict) -> list[dict[str, object]]:
    """The findings of `stir explain --json`, the likely cause first."""
    return [
        {
            **_check(check),
            "clause": reason.clause,
            "meaning": reason.prose,
            "mistake": reason.mistake,
            "fix": reason.fix,
        }
        for check, reason in findings(call)
    ]


def findings(call: CallVerdict) -> list[tuple[Check, Reason]]:
    """Every failed or unavailable check of the deciding Identity, the likely cause first."""
    if call.best is None:
        return [] if call.reason is None else [(_no_check(call.reason), call.reason)]
    found = [(c, c.reason) for c in call.best.checks if c.reason is not None]
    order = {step: place for place, step in enumerate(LIKELY_FIRST)}
    # A token that cannot be trusted to be one explains the rest, so its form comes before all.
    return sorted(found, key=lambda item: order.get(item[0].step, -1))


def certificate_records(call: CallVerdict, judge: Judge) -> list[dict[str, object] | None]:
    """The certificate of each Identity, as `stir explain --json` prints it; null where none is."""
    found = (_credential(verdict, judge) for verdict in call.verdicts)
    return [certificate_record(each) if isinstance(each, Credential) else None for each in found]


def show_checks(call: CallVerdict) -> None:
    """Print the outcome and every check of every Identity, for a person."""
    _show_outcome(call)
    for number, verdict in enumerate(call.verdicts, 1):
        _show_identity(verdict, number, len(call.verdicts))
        _show_steps(verdict)


def show_call(call: CallVerdict, judge: Judge, at: float) -> None:
    """Print what `show_checks` does, and the certificates; `at` is the judging time."""
    _show_outcome(call)
    shown: set[bytes] = set()
    for number, verdict in enumerate(call.verdicts, 1):
        _show_identity(verdict, number, len(call.verdicts))
        credential = _credential(verdict, judge)
        if isinstance(credential, Credential) and credential.fingerprint not in shown:
            shown.add(credential.fingerprint)
            _print(Text("certificate", style="bold"))
            _print(_labelled(certificate_lines(credential, at)))
        _print(Text("checks", style="bold"))
        _show_steps(verdict)


def show_findings(call: CallVerdict) -> None:
    """Print what failed, in words: the clause, got and expected, the likely mistake, the fix."""
    found = findings(call)
    for check, reason in found:
        _print(Text(f"\n{check.step or 'request'}: {reason.prose}", style="bold"))
        lines = [
            ("clause", reason.clause),
            ("got", check.got),
            ("expected", check.expected),
            ("probably", reason.mistake),
            ("fix", reason.fix),
        ]
        _print(_labelled([(label, text) for label, text in lines if text is not None]))
    skipped = [] if call.best is None else [c for c in call.best.checks if c.outcome == "skipped"]
    if not found and skipped:
        names = ", ".join(check.step for check in skipped)
        _print(Text(f"\nNothing failed. Not checked: {names}."))


def show_advice(calls: Sequence[CallVerdict], judge: Judge) -> None:
    """Print, once for all requests, what to give so that more can be checked."""
    read = [call.best for call in calls if call.best is not None and call.best.passport is not None]
    found = [_credential(verdict, judge) for verdict in read]
    if any(each is None for each in found):
        advice = "The signature was not checked: give the certificate with --cert FILE, or have it "
        _print(Text(f"\n{advice}fetched from x5u with --fetch.", style="yellow"))
    elif judge.anchors is None and any(isinstance(each, Credential) for each in found):
        advice = "The chain was not checked: give the trusted root with --trust-anchor FILE."
        _print(Text(f"\n{advice}", style="yellow"))


def _credential(verdict: Verdict, judge: Judge) -> AnyCredential | None:
    return judge.credential_at(None if verdict.passport is None else verdict.passport.x5u)


def _show_outcome(call: CallVerdict) -> None:
    mark, style = (
        ("✓", "bold green")
        if call.outcome == "valid"
        else ("?", "bold yellow")
        if call.outcome == "unavailable"
        else ("✗", "bold red")
    )
    status = "" if call.reason is None else f", {call.reason.sip_status} {call.reason.phrase}"
    _print(Text(f"{mark} {call.outcome}{status}  (verstat {call.verstat})", style=style))


def _show_identity(verdict: Verdict, number: int, count: int) -> None:
    """Print the PASSporT in clear, header and payload."""
    if count > 1:
        _print(Text(f"Identity {number}: {verdict.outcome}", style="bold"))
    if verdict.passport is None:
        return
    header, payload = _clear(verdict.passport.header), _clear(verdict.passport.payload)
    _print(_labelled([("header", header), ("payload", payload)], style="cyan"))


def _show_steps(verdict: Verdict) -> None:
    for check in verdict.checks:
        _print(_step(check))


def _labelled(lines: Sequence[tuple[str, str]], style: str = "") -> Table:
    """Label and text in two columns, so that long texts wrap beside their label."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=2)
    grid.add_column(width=9, style=style or "dim")
    grid.add_column(overflow="fold", style=style)
    for label, text in lines:
        grid.add_row("", label, Text(text))
    return grid


def _print(what: Text | Table) -> None:
    console.print(what)


def _step(check: Check) -> Table:
    style = STYLES[check.outcome]
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=2)
    grid.add_column(width=1)
    grid.add_column(width=12)
    grid.add_column(overflow="fold")
    text = Text(check.got or "", style="dim" if check.outcome == "skipped" else "")
    if check.reason is not None:
        got_expected = f"{check.reason.code}: got {check.got}, expected {check.expected}"
        text = Text(got_expected, style=style)
    grid.add_row("", Text(MARKS[check.outcome], style=style), Text(check.step, style=style), text)
    return grid


def _clear(part: Mapping[str, object]) -> str:
    # ASCII only: what a stranger signed is not to move the cursor
    return json.dumps(dict(part), separators=(",", ":"))


def _verdict(verdict: Verdict) -> dict[str, object]:
    return {
        "outcome": verdict.outcome,
        "sip_status": verdict.sip_status,
        "reason": None if verdict.reason is None else verdict.reason.code,
        "checks": [_check(check) for check in verdict.checks],
    }


def _check(check: Check) -> dict[str, object]:
    return {
        "step": check.step,
        "outcome": check.outcome,
        "reason": None if check.reason is None else check.reason.code,
        "got": check.got,
        "expected": check.expected,
    }


def _no_check(reason: Reason) -> Check:
    return Check("syntax", "failed", reason, "no Identity header field", reason.fix)
