"""Short messages by the carrier that can take them now: an SMSC, an HTTP provider, or both.

The next is tried only where the one before certainly took nothing: nobody gets an invitation twice,
and nobody pays for two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import structlog

from discovery.number import masked
from gateway.sms.failure import SmsCounters, SmsFailed, SmsFailure
from gateway.sms.message import OutgoingMessage

_log = structlog.get_logger("sms")
CarrierName = Literal["smpp", "http"]
_NONE: Final = "our own carriers"


class Carrier(Protocol):
    """Whoever sends messages; raises SmsFailed within a time of its own."""

    counters: SmsCounters

    @property
    def ready(self) -> bool: ...

    async def send(self, message: OutgoingMessage, *, elsewhere: bool = False) -> None: ...


@dataclass(frozen=True, slots=True)
class Route:
    """Which carriers numbers with a prefix (digits) go by, in order."""

    prefix: str
    order: tuple[CarrierName, ...]


class ChosenCarrier:
    """Sends by one of several; `order` is for numbers without a route, the longest prefix wins."""

    def __init__(
        self,
        carriers: Mapping[CarrierName, Carrier],
        order: Sequence[CarrierName],
        routes: Sequence[Route] = (),
    ) -> None:
        self._carriers = dict(carriers)
        self._order = tuple(order)
        self._routes = sorted(routes, key=lambda route: -len(route.prefix))
        self.chosen: Counter[CarrierName] = Counter()
        self.passed_on = 0

    async def send(self, message: OutgoingMessage) -> None:
        """Send a message; raises SmsFailed of the last carrier that was tried."""
        names = self._names(message.destination)
        failed = SmsFailed(_NONE, SmsFailure.REJECTED, "none is for this number")
        for place, name in enumerate(names):
            further = any(self._carriers[each].ready for each in names[place + 1 :])
            try:
                await self._carriers[name].send(message, elsewhere=further)
            except SmsFailed as error:
                failed = error
                if not error.definite:
                    break
                if further:
                    self.passed_on += 1
                    _log.info(
                        "next carrier",
                        number=masked(message.destination),
                        culprit=error.culprit,
                        reason=str(error.failure),
                    )
            else:
                self.chosen[name] += 1
                return
        raise failed

    def _names(self, number: str) -> list[CarrierName]:
        order = next(
            (route.order for route in self._routes if number.startswith(route.prefix)), self._order
        )
        return [name for name in order if name in self._carriers]
