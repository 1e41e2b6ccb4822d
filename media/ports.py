"""Which UDP ports media may use: random even ports, kept out of use for a while after a call."""

from __future__ import annotations

import random
import secrets
from collections import deque


class PortsExhausted(RuntimeError):
    """Every port pair of the range is in use or drains (ours to enlarge: port_min, port_max)."""


class PortPool:
    """Even RTP ports of one address, each with the odd RTCP port above it (RFC 3550 section 11).

    A port given back is not used again for `quarantine` seconds, so that late packets of one call
    cannot enter the next. Ports are drawn at random, so that an attacker off the path cannot
    guess the next call's. Memory is fixed by the range.
    """

    def __init__(
        self,
        port_min: int,
        port_max: int,
        *,
        quarantine: float = 5.0,
        rand: random.Random | None = None,
    ) -> None:
        first = port_min + (port_min & 1)
        self._free = list(range(first, port_max, 2))
        if not 1 <= port_min <= port_max <= 65535 or not self._free:
            raise ValueError(f"no even and odd port pair in {port_min}..{port_max}")
        self._quarantine = quarantine
        self._draining: deque[tuple[float, int]] = deque()
        self._taken: set[int] = set()
        self._rand = rand or secrets.SystemRandom()

    @property
    def in_use(self) -> int:
        """Port pairs now taken; those that drain are not."""
        return len(self._taken)

    def free(self, now: float) -> int:
        """Port pairs that `take` could return now."""
        self._undrain(now)
        return len(self._free)

    def take(self, now: float) -> int:
        """Returns an even port that is now taken; raises `PortsExhausted`."""
        self._undrain(now)
        if not self._free:
            raise PortsExhausted
        chosen = self._rand.randrange(len(self._free))
        self._free[chosen], self._free[-1] = self._free[-1], self._free[chosen]
        port = self._free.pop()
        self._taken.add(port)
        return port

    def give_back(self, port: int, now: float) -> None:
        """Lets a taken port drain; raises `KeyError` for one that is not taken."""
        self._taken.remove(port)
        self._draining.append((now + self._quarantine, port))

    def _undrain(self, now: float) -> None:
        while self._draining and self._draining[0][0] <= now:
            self._free.append(self._draining.popleft()[1])
