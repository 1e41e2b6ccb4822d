"""The outcomes a step gives."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from stir.certificates.certificate import Problem
from stir.reason import printable
from stir.verdict import Check

# Most checks of most calls come out alike, and a Check never changes.
_MAX_KNOWN: Final = 2_048


@lru_cache(maxsize=_MAX_KNOWN)
def passed(step: str, got: str | None = None) -> Check:
    """A check that passed."""
    return Check(step, "passed", None, got)


@lru_cache(maxsize=_MAX_KNOWN)
def skipped(step: str, why: str) -> Check:
    """A check that was not done; `why` goes to `got`."""
    return Check(step, "skipped", None, why)


def failed(step: str, problem: Problem) -> Check:
    """A check that failed for one Reason; a stranger's text is made fit for logs and terminals."""
    got, expected = printable(problem.got, 400), printable(problem.expected, 400)
    return Check(step, "failed", problem.reason, got, expected)
