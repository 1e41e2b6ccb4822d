"""One thing that `spingate check` found out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Outcome = Literal["passed", "warning", "failed", "skipped"]
DAY: Final = 86_400.0
# Sooner than this an end is told of; STI certificates live for weeks, and are renewed in time.
SOON: Final = 7 * DAY


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's name, outcome and what was seen.

    `hint` says what to do where it failed, or will fail before long (*warning*).
    """

    name: str
    outcome: Outcome
    detail: str
    hint: str = ""


def until(name: str, what: str, not_after: float, now: float, hint: str) -> Finding:
    """Tell of something that ends: its days left, a warning below seven. Times in epoch seconds."""
    days = (not_after - now) / DAY
    if days < 0:
        return Finding(name, "failed", f"{what} expired {-days:.0f} days ago", hint)
    if not_after - now < SOON:
        return Finding(name, "warning", f"{what} ends in {days:.1f} days", hint)
    return Finding(name, "passed", f"{what}, {days:.0f} days left")
