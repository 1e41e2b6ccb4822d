"""The outcomes a step gives."""

from __future__ import annotations

from stir.certificates.certificate import Problem
from stir.reason import printable
from stir.verdict import Check


def passed(step: str, got: str | None = None) -> Check:
    """A check that passed."""
    return Check(step, "passed", None, got)


def skipped(step: str, why: str) -> Check:
    """A check that was not done; `why` goes to `got`."""
    return Check(step, "skipped", None, why)


def failed(step: str, problem: Problem) -> Check:
    """A check that failed for one Reason; a stranger's text is made fit for logs and terminals."""
    got, expected = printable(problem.got, 400), printable(problem.expected, 400)
    return Check(step, "failed", problem.reason, got, expected)
