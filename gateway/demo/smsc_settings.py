"""Whom the development SMSC serves, and how badly it does."""

import ipaddress
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.demo.handset import digits


@dataclass(slots=True)
class Chaos:
    """How badly the centre behaves: shares (0 to 1) of messages, times in seconds.

    `delay` holds every message back; `reorder` overtakes by up to `scatter`; `duplicate`
    delivers twice; `lose` not at all; `throttle` answers ESME_RTHROTTLED; `disconnect`
    unbinds the submitter after its message; `answer_after` delays the submit_sm_resp.
    """

    delay: float = 0.0
    reorder: float = 0.0
    scatter: float = 0.3
    duplicate: float = 0.0
    lose: float = 0.0
    throttle: float = 0.0
    disconnect: float = 0.0
    answer_after: float = 0.0
    rand: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311

    def happens(self, share: float) -> bool:
        """Whether something with this probability happens now."""
        return share > 0 and self.rand.random() < share

    def plan(self) -> tuple[float, ...]:
        """When the copies of one message leave, seconds from now; empty where it is lost."""
        if self.happens(self.lose):
            return ()
        first = self.delay
        if self.happens(self.reorder):
            first += self.rand.random() * self.scatter
        if self.happens(self.duplicate):
            return (first, first + self.rand.random() * self.scatter)
        return (first,)


@dataclass(frozen=True, slots=True)
class SmscSettings:
    """Where to listen, and which numbers each ESME (by system_id) serves.

    A number may end in "*" and then stands for all that begin so. An ESME that has not
    answered a deliver_sm within `delivery_timeout` seconds is unbound, and its messages wait.
    Raises ValueError for an address that is not loopback.
    """

    port: int
    host: str = "127.0.0.1"
    routes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    delivery_timeout: float = 10.0

    def __post_init__(self) -> None:
        if not ipaddress.ip_address(self.host).is_loopback:
            raise ValueError(f"{self.host} is not loopback: this centre checks no passwords")

    def esme_for(self, number: str) -> str | None:
        """The system_id that serves a number, the longest match first; None for a handset."""
        best: tuple[int, str] | None = None
        for system_id, numbers in self.routes.items():
            for served in map(digits, numbers):
                prefix = served.removesuffix("*")
                if number == served or (served.endswith("*") and number.startswith(prefix)):
                    best = max(best or (0, ""), (len(served), system_id))
        return best[1] if best else None
