"""Who guesses passwords is slowed down, and nobody else."""

from sip.failure_throttle import FailureThrottle


def test_a_source_is_blocked_after_so_many_failures_and_let_in_again() -> None:
    throttle = FailureThrottle(allowed=3, window=10, block=60)
    for second in range(3):
        assert throttle.blocked_for("192.0.2.1", second) == 0
        throttle.failed("192.0.2.1", second)
    assert throttle.blocked_for("192.0.2.1", 3) == 59
    assert throttle.blocked_for("192.0.2.2", 3) == 0
    assert throttle.blocked_for("192.0.2.1", 62) == 0


def test_failures_far_apart_are_mistakes_and_not_guesses() -> None:
    throttle = FailureThrottle(allowed=3, window=10)
    for second in (0, 5, 11, 16, 22):
        throttle.failed("192.0.2.1", second)
        assert throttle.blocked_for("192.0.2.1", second) == 0


def test_only_so_many_sources_are_remembered() -> None:
    throttle = FailureThrottle(allowed=1, limit=10)
    for number in range(1000):
        throttle.failed(f"192.0.2.{number}", 0)
    assert len(throttle) == 10
    assert throttle.blocked_for("192.0.2.999", 1) > 0
