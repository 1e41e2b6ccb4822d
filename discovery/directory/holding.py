"""Reassignment: who may take an identifier over at once, and who has to wait.

A number changes hands, or somebody has stolen its text messages: a challenge answered tells neither
from the other. While another key holds a live binding, a new one waits, unless the old key or the
number's provider releases it; the old key is told, and may object until the time is over.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

HOLD: Final = 72 * 3600.0


@dataclass(frozen=True, slots=True)
class Claim:
    """A key that asked for an identifier another key holds; times in epoch seconds.

    `effective_at` is when it may have it, if nobody objects before.
    """

    thumbprint: str
    claimed_at: float
    effective_at: float


@dataclass(frozen=True, slots=True)
class Granted:
    """The key may have the identifier now."""


@dataclass(frozen=True, slots=True)
class Held:
    """The key may have it at `claim.effective_at`; `fresh` where the claim is a new one, so that
    the holders have to be told."""

    claim: Claim
    fresh: bool


def judge_claim(
    thumbprint: str,
    *,
    holders: Collection[str],
    released: bool,
    claim: Claim | None,
    now: float,
    hold: float = HOLD,
) -> Granted | Held:
    """Decide whether a key may have an identifier at `now` (epoch seconds).

    holders: thumbprints of the keys with a live binding; released: an old key or the provider said
    so; claim: what this very key claimed before; hold: seconds a new one waits.
    """
    if released or not holders or thumbprint in holders:
        return Granted()
    if claim is None:
        return Held(Claim(thumbprint, now, now + hold), fresh=True)
    if now >= claim.effective_at:
        return Granted()
    return Held(claim, fresh=False)
