"""Non-INVITE client transaction (RFC 3261 section 17.1.2, figure 6).

::

                                   |Request from TU
                                   |send request
               Timer E             V
               send request  +-----------+
                   +---------|           |-------------------+
                   |         |  Trying   |  Timer F          |
                   +-------->|           |  or Transport Err.|
                             +-----------+  inform TU        |
                200-699         |  |                         |
                resp. to TU     |  |1xx                      |
                +---------------+  |resp. to TU              |
                |                  |                         |
                |   Timer E        V       Timer F           |
                |   send req +-----------+ or Transport Err. |
                |  +---------|           | inform TU         |
                |  |         |Proceeding |------------------>|
                |  +-------->|           |-----+             |
                |            +-----------+     |1xx          |
                |              |      ^        |resp to TU   |
                | 200-699      |      +--------+             |
                | resp. to TU  |                             |
                |              V                             |
                |            +-----------+                   |
                |            |           |                   |
                |            | Completed |                   |
                +----------->|           |                   |
                             +-----------+                   |
                                |   |                        |
                       Timer K  |   |                        |
                       -        V   |                        |
                             +-----------+                   |
                             | Terminated|<------------------+
                             +-----------+
"""

from __future__ import annotations

from typing import Final

from sip.message import Request
from sip.timers import TransactionTimers
from sip.transaction.actions import ResponseReceived, Transmit
from sip.transaction.key import ClientKey
from sip.transaction.machine import (
    Event,
    Ignored,
    State,
    StateTimers,
    Step,
    Transaction,
    Transitions,
)

TRYING = State.TRYING
PROCEEDING = State.PROCEEDING
COMPLETED = State.COMPLETED
TERMINATED = State.TERMINATED

TRANSITIONS: Final[Transitions] = {
    (TRYING, Event.TIMER_E): ("retransmit", TRYING),
    (TRYING, Event.TIMER_F): ("give_up", TERMINATED),
    (TRYING, Event.TRANSPORT_ERROR): ("report_failure", TERMINATED),
    (TRYING, Event.R1XX): ("pass_up", PROCEEDING),
    (TRYING, Event.R200_699): ("complete", COMPLETED),
    (PROCEEDING, Event.TIMER_E): ("retransmit_slowly", PROCEEDING),
    (PROCEEDING, Event.TIMER_F): ("give_up", TERMINATED),
    (PROCEEDING, Event.TRANSPORT_ERROR): ("report_failure", TERMINATED),
    (PROCEEDING, Event.R1XX): ("pass_up", PROCEEDING),
    (PROCEEDING, Event.R200_699): ("complete", COMPLETED),
    (COMPLETED, Event.TIMER_K): ("nothing", TERMINATED),
}

IGNORED: Final[Ignored] = {
    TRYING: frozenset({Event.TIMER_K}),
    PROCEEDING: frozenset({Event.TIMER_K}),
    # Absorbs repeated responses; nothing is sent here that could fail.
    COMPLETED: frozenset(
        {Event.R1XX, Event.R200_699, Event.TRANSPORT_ERROR, Event.TIMER_E, Event.TIMER_F}
    ),
    TERMINATED: frozenset(
        {
            Event.R1XX,
            Event.R200_699,
            Event.TRANSPORT_ERROR,
            Event.TIMER_E,
            Event.TIMER_F,
            Event.TIMER_K,
        }
    ),
}

TIMERS: Final[StateTimers] = {
    TRYING: (Event.TIMER_E, Event.TIMER_F),
    PROCEEDING: (Event.TIMER_E, Event.TIMER_F),
    COMPLETED: (None, Event.TIMER_K),
    TERMINATED: (None, None),
}


class NonInviteClient(Transaction, transitions=TRANSITIONS, ignored=IGNORED, timers=TIMERS):
    """Sends any request but INVITE and ACK until it is answered."""

    __slots__ = ()

    key: ClientKey

    def __init__(
        self,
        key: ClientKey,
        request: Request,
        timers: TransactionTimers,
        step: Step,
    ) -> None:
        super().__init__(key, TRYING, timers)
        self.request = request
        self.interval = timers.e
        self.retransmit_at = step.now + timers.e
        self.expire_at = step.now + timers.f
        step.actions.append(Transmit(key, request))

    def retransmit(self, step: Step) -> None:
        self.interval = min(2 * self.interval, self.timers.t2)
        self.retransmit_at = step.now + self.interval
        self.send_request(step)

    def retransmit_slowly(self, step: Step) -> None:
        self.retransmit_at = step.now + self.timers.t2
        self.send_request(step)

    def pass_up(self, step: Step) -> None:
        step.actions.append(ResponseReceived(self.key, step.subject))

    def complete(self, step: Step) -> None:
        self.stop_timers()
        self.expire_at = step.now + self.timers.k
        self.request = None
        step.actions.append(ResponseReceived(self.key, step.subject))
