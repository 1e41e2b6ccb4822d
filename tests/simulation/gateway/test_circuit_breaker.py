"""The circuit breaker on a virtual clock."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.signing.breaker import BreakerLimits, CircuitBreaker

LIMITS = BreakerLimits(failures=3, slow=0.4, retry=15.0)


def failing(times: int, now: float = 0.0) -> CircuitBreaker:
    breaker = CircuitBreaker(LIMITS)
    for _ in range(times):
        breaker.failed(now)
    return breaker


def test_it_opens_after_failures_in_a_row_and_not_before() -> None:
    assert failing(2).allows(0.0)
    assert not failing(3).allows(0.0)
    breaker = failing(2)
    breaker.answered(0.1, 0.0)
    breaker.failed(0.0)
    assert breaker.state == "closed"


def test_slow_answers_are_failures() -> None:
    breaker = CircuitBreaker(LIMITS)
    for _ in range(3):
        breaker.answered(0.5, 1.0)
    assert (breaker.state, breaker.opened) == ("open", 1)


def test_after_the_retry_time_one_trial_is_let_through() -> None:
    breaker = failing(3)
    assert not breaker.allows(14.9)
    assert [breaker.allows(15.0) for _ in range(5)] == [True, False, False, False, False]
    breaker.answered(0.1, 15.1)
    assert breaker.state == "closed"
    assert breaker.allows(15.2)


def test_a_trial_that_fails_opens_it_again_for_the_whole_time() -> None:
    breaker = failing(3)
    assert breaker.allows(15.0)
    breaker.failed(16.0)
    assert not breaker.allows(30.9)
    assert breaker.allows(31.0)
    assert breaker.opened == 2


def test_a_trial_without_result_does_not_block_for_ever() -> None:
    breaker = failing(3)
    assert breaker.allows(15.0)
    assert not breaker.allows(29.0)
    assert breaker.allows(30.0)


def test_answers_that_were_under_way_when_it_opened_close_it() -> None:
    breaker = failing(3)
    breaker.answered(0.1, 1.0)
    assert breaker.state == "closed"


@given(st.lists(st.tuples(st.sampled_from(["ask", "good", "slow", "bad"]), st.floats(0, 9))))
def test_while_it_is_open_at_most_one_request_gets_through_in_each_retry_time(
    steps: list[tuple[str, float]],
) -> None:
    breaker, now, trials = CircuitBreaker(LIMITS), 0.0, []
    for what, pause in steps:
        now += pause
        if what == "ask":
            closed = breaker.state == "closed"
            if breaker.allows(now) and not closed:
                trials.append(now)
        elif what == "bad":
            breaker.failed(now)
        else:
            breaker.answered(0.1 if what == "good" else 1.0, now)
            if breaker.state == "closed":
                trials.clear()
    assert all(later - earlier >= LIMITS.retry for earlier, later in pairwise(trials))
