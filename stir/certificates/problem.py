"""What makes a certificate unfit, as every part of its checking reports it."""

from __future__ import annotations

from dataclasses import dataclass

from stir.reason import Reason


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that makes a certificate unfit: the Reason, what was found, what was wanted."""

    reason: Reason
    got: str
    expected: str
