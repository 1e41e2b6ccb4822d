"""Showing a verification: the stable JSON object for scripts, plain words for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from rich.text import Text

from gateway.cli.output import console
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


def show_checks(call: CallVerdict) -> None:
    """Print the outcome and every check of every Identity, for a person."""
    style = "green" if call.outcome == "valid" else "bold red"
    status = "" if call.reason is None else f", {call.reason.sip_status} {call.reason.phrase}"
    _print(Text(f"{call.outcome}{status}  (verstat {call.verstat})", style=style))
    for number, verdict in enumerate(call.verdicts, 1):
        if len(call.verdicts) > 1:
            _print(Text(f"Identity {number}: {verdict.outcome}", style="bold"))
        show_passport(verdict)
        for check in verdict.checks:
            _print(_line(check))


def show_passport(verdict: Verdict) -> None:
    """Print the PASSporT in clear, header and payload."""
    if verdict.passport is None:
        return
    for name, part in (("header ", verdict.passport.header), ("payload", verdict.passport.payload)):
        _print(Text(f"  {name} {_clear(part)}", style="cyan"))


def show_findings(call: CallVerdict) -> None:
    """Print what failed, in words: the clause, got and expected, the likely mistake, the fix."""
    found = findings(call)
    for check, reason in found:
        where = check.step or "request"
        _print(Text(f"\n{where}: {reason.prose}", style="bold"))
        _print(Text(f"  clause    {reason.clause}"))
        if check.got is not None:
            _print(Text(f"  got       {check.got}"))
        if check.expected is not None:
            _print(Text(f"  expected  {check.expected}"))
        _print(Text(f"  probably  {reason.mistake}"))
        _print(Text(f"  fix       {reason.fix}"))
    skipped = [] if call.best is None else [c for c in call.best.checks if c.outcome == "skipped"]
    if not found and skipped:
        names = ", ".join(check.step for check in skipped)
        _print(Text(f"\nNothing failed. Not checked: {names}."))


def _print(text: Text) -> None:
    console.print(text, soft_wrap=True)


def _line(check: Check) -> Text:
    line = Text(f"  {MARKS[check.outcome]} {check.step:<12}", style=STYLES[check.outcome])
    if check.reason is not None:
        line.append(f" {check.reason.code}: got {check.got}, expected {check.expected}")
    elif check.got is not None:
        line.append(f" {check.got}", style="dim" if check.outcome == "skipped" else "default")
    return line


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
