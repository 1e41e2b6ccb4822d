"""The breaker opens where nobody answers, tries again one at a time, and is bounded."""

from __future__ import annotations

from discovery.spin.breaker import BreakerPolicy, CompletionBreaker

POLICY = BreakerPolicy(least_percent=20, sample=10, pause=100.0)


def fed(outcomes: str, policy: BreakerPolicy = POLICY) -> CompletionBreaker:
    breaker = CompletionBreaker(policy)
    for outcome in outcomes:
        breaker.ended("121255", answered=outcome == "+", now=0.0)
    return breaker


def test_it_stays_closed_while_enough_is_answered_or_too_little_is_known() -> None:
    assert fed("-" * 9).allows("121255", 0.0)
    assert fed("++--------").allows("121255", 0.0)
    assert fed("", POLICY).allows("121255", 0.0)


def test_it_opens_below_the_share_for_that_prefix_only() -> None:
    breaker = fed("+---------")
    assert not breaker.allows("121255", 99.9)
    assert breaker.allows("131055", 0.0)


def test_only_the_latest_count() -> None:
    breaker = fed("++" + "-" * 8)
    breaker.ended("121255", answered=False, now=0.0)
    assert not breaker.allows("121255", 0.0)


def test_after_the_pause_one_trial_decides() -> None:
    breaker = fed("-" * 10)
    assert breaker.allows("121255", 100.0)
    breaker.sent("121255", 100.0)
    assert not breaker.allows("121255", 101.0)
    breaker.ended("121255", answered=False, now=110.0)
    assert not breaker.allows("121255", 209.0)
    assert breaker.allows("121255", 210.0)
    breaker.sent("121255", 210.0)
    breaker.ended("121255", answered=True, now=215.0)
    assert breaker.allows("121255", 215.0)
    breaker.sent("121255", 215.0)
    assert breaker.allows("121255", 215.0)


def test_a_trial_whose_end_is_never_heard_of_does_not_block_for_ever() -> None:
    breaker = fed("-" * 10)
    breaker.sent("121255", 100.0)
    assert breaker.allows("121255", 200.0)


def test_what_ends_late_while_it_is_open_changes_nothing_unless_it_was_answered() -> None:
    breaker = fed("-" * 10)
    breaker.ended("121255", answered=False, now=50.0)
    assert breaker.allows("121255", 100.0)
    breaker.ended("121255", answered=True, now=50.0)
    assert breaker.allows("121255", 50.0)


def test_zero_percent_never_opens() -> None:
    assert fed("-" * 99, BreakerPolicy(least_percent=0, sample=10)).allows("121255", 0.0)


def test_prefixes_are_bounded() -> None:
    breaker = CompletionBreaker(POLICY, max_keys=5)
    for prefix in range(100):
        breaker.ended(str(prefix), answered=False, now=0.0)
    assert len(breaker) == 5


def test_a_clock_that_was_set_back_does_not_keep_it_open() -> None:
    breaker = fed("-" * 10)
    assert not breaker.allows("121255", 0.0)
    assert breaker.allows("121255", -100_000.0)
    breaker.sent("121255", -100_000.0)
    assert not breaker.allows("121255", -99_999.0)
    breaker.ended("121255", answered=False, now=-99_990.0)
    assert not breaker.allows("121255", -99_950.0)
    assert breaker.allows("121255", -99_890.0)
