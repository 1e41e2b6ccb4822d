"""Limits of challenges, so that nobody makes us pay for text messages or guesses codes.

Counts come from the store, so that a restart forgets nothing; here is only what they mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from discovery.directory.identifier import Identifier, Scheme
from discovery.directory.reason import Refusal, Refused

HOUR: Final = 3600.0
DAY: Final = 86_400.0
# Digits of a number that make its prefix: country and, mostly, operator or area.
PREFIX_DIGITS: Final = 5


@dataclass(frozen=True, slots=True)
class ChallengeLimits:
    """How many challenges are sent.

    per_identifier, per_source, per_prefix: within an hour; per_day: in all. The breaker stops a
    prefix where, of its last `breaker_after` or more challenges within a day, less than
    `breaker_share` were completed: who pumps messages never answers them. `prefixes`: countries and
    areas as digits, all if empty; `mail_domains` likewise.
    """

    per_identifier: int = 3
    per_source: int = 20
    per_prefix: int = 100
    per_day: int = 20_000
    breaker_after: int = 20
    breaker_share: float = 0.2
    prefixes: tuple[str, ...] = ()
    mail_domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChallengeCounts:
    """What was sent before: within the hour by identifier, source and prefix, within the day in
    all; and of this prefix within the day, those old enough to be answered, and those answered."""

    identifier: int = 0
    source: int = 0
    prefix: int = 0
    total: int = 0
    settled: int = 0
    completed: int = 0


def prefix_of(csi: Identifier) -> str:
    """Return what counts as one prefix: the first 5 digits, or the mail domain."""
    return csi.mail_domain or csi.value[:PREFIX_DIGITS]


def check_reach(csi: Identifier, limits: ChallengeLimits) -> None:
    """Raise Refused(NOT_ALLOWED) for a country or mail domain that is not served."""
    if csi.scheme is Scheme.TEL:
        allowed = not limits.prefixes or csi.value.startswith(limits.prefixes)
    else:
        allowed = not limits.mail_domains or csi.mail_domain in limits.mail_domains
    if not allowed:
        raise Refused(Refusal.NOT_ALLOWED, "no challenges are sent there")


def check_counts(counts: ChallengeCounts, limits: ChallengeLimits) -> None:
    """Raise Refused(RATE_LIMITED) where one more challenge would be too many."""
    for count, limit, what in (
        (counts.identifier, limits.per_identifier, "this identifier"),
        (counts.source, limits.per_source, "this source"),
        (counts.prefix, limits.per_prefix, "this prefix"),
        (counts.total, limits.per_day, "this service"),
    ):
        if count >= limit:
            raise Refused(Refusal.RATE_LIMITED, f"too many challenges for {what}")
    if (
        counts.settled >= limits.breaker_after
        and counts.completed < counts.settled * limits.breaker_share
    ):
        raise Refused(Refusal.RATE_LIMITED, "too few challenges for this prefix are answered")
