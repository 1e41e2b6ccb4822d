"""A circuit breaker: whoever keeps failing is left alone for a while, then tried once.

closed     --failures in a row reach the limit-->  open
open       --retry time is over: one trial----->   half-open
half-open  --the trial succeeds---------------->   closed
half-open  --it fails-------------------------->   open
half-open  --no result within the retry time-->    another trial
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["closed", "open", "half-open"]


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """`failures` in a row open it; an answer slower than `slow` seconds is one; `retry` seconds
    later one trial is let through."""

    failures: int = 5
    slow: float = 0.4
    retry: float = 15.0


class CircuitBreaker:
    """The state of one instance; `now` is any steady clock's time in seconds."""

    def __init__(self, limits: BreakerLimits) -> None:
        self._limits = limits
        self._failures = 0
        self._since = 0.0
        self.state: State = "closed"
        self.opened = 0

    def allows(self, now: float) -> bool:
        """Whether a request may be made now; one that may be in half-open state is the trial."""
        if self.state == "closed":
            return True
        if now - self._since < self._limits.retry:
            return False
        self.state, self._since = "half-open", now
        return True

    def answered(self, seconds: float, now: float) -> None:
        """Note an answer and how long it took."""
        if seconds > self._limits.slow:
            self.failed(now)
            return
        self._failures = 0
        self.state = "closed"

    def failed(self, now: float) -> None:
        """Note that no usable answer came."""
        self._failures += 1
        if self.state == "half-open" or self._failures >= self._limits.failures:
            if self.state != "open":
                self.opened += 1
            self.state, self._since = "open", now
