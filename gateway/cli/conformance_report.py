"""How `spingate conformance` tells what became of each case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from gateway.cli.output import console
from gateway.conformance.case import Observation, Outcome, Result
from stir.reason import printable

_MARKS: Final = {"pass": "✓", "fail": "✗", "info": "i", "skipped": "–"}
_WORDS: Final[tuple[tuple[Result, str], ...]] = (
    ("pass", "as expected"),
    ("fail", "not as expected"),
    ("info", "to know"),
    ("skipped", "skipped"),
)
_STYLES: Final = {"pass": "green", "fail": "bold red", "info": "yellow", "skipped": "dim"}


def outcome_record(outcome: Outcome) -> dict[str, object]:
    """One case for scripts."""
    case, seen = outcome.case, outcome.seen
    return {
        "case": case.name,
        "title": case.title,
        "clause": case.clause,
        "expected": case.expected,
        "expected_statuses": sorted(case.statuses),
        "conduct": seen.conduct,
        "status": seen.status,
        "phrase": printable(seen.phrase, 100),
        "reasons": [printable(reason, 200) for reason in seen.reasons],
        "verstat": seen.verstat,
        "result": outcome.result,
        "remark": printable(outcome.remark or seen.detail, 200),
    }


def show_outcome(outcome: Outcome) -> None:
    """Print a line a case as it is done: mark, name, what it is, what the target did."""
    style = _STYLES[outcome.result]
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=1)
    grid.add_column(width=17, no_wrap=True)
    grid.add_column(width=36)
    grid.add_column(overflow="fold")
    grid.add_row(
        Text(_MARKS[outcome.result], style=style),
        Text(outcome.case.name, style=style),
        Text(outcome.case.title),
        Text(_conduct(outcome.seen), style=style),
    )
    console.print(grid)


def show_summary(outcomes: Sequence[Outcome]) -> None:
    """Print what did not conform with its clause, and the counts."""
    for outcome in outcomes:
        if outcome.result == "fail":
            _show_failure(outcome)
    if any(outcome.result == "fail" for outcome in outcomes):
        console.print()
    for outcome in outcomes:
        if outcome.result == "info" and outcome.remark:
            remark = printable(outcome.remark, 200)
            text = f"i {outcome.case.name}: {remark} ({outcome.case.clause})"
            console.print(Text(text, style=_STYLES["info"]), soft_wrap=True)
    counts = Counter(outcome.result for outcome in outcomes)
    shown = ", ".join(f"{counts[name]} {words}" for name, words in _WORDS if counts[name])
    console.print(Text(f"\n{len(outcomes)} cases: {shown}", style="bold"))
    first = next((each for each in outcomes if each.case.name == "valid"), None)
    if first is not None and first.result != "pass":
        console.print(
            Text(
                "The good PASSporT was not accepted, so the refusals above prove little: let the "
                "target trust the suite's root (--export-root) and reach --base-url.",
                style="yellow",
            )
        )


def _show_failure(outcome: Outcome) -> None:
    case = outcome.case
    console.print(Text(f"\n✗ {case.name}: {case.title}", style=_STYLES["fail"]))
    statuses = " or ".join(map(str, sorted(case.statuses)))
    lines = [
        ("expected", f"{case.expected}{f' with {statuses}' if statuses else ''} ({case.clause})"),
        ("got", _conduct(outcome.seen)),
        ("that is", printable(outcome.remark, 200)),
    ]
    for label, text in lines:
        console.print(Text(f"    {label:<9} {text}"), soft_wrap=True)


def _conduct(seen: Observation) -> str:
    if seen.conduct in ("silent", "untried"):
        return printable(seen.detail, 120) or seen.conduct
    status = "" if seen.status is None else f" {seen.status}"
    phrase = f" {printable(seen.phrase, 40)}" if seen.phrase else ""
    mark = f", verstat {seen.verstat}" if seen.verstat else ""
    return f"{seen.conduct}{status}{phrase}{mark}"
