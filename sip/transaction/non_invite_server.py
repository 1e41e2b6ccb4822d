"""Non-INVITE server transaction (RFC 3261 section 17.2.2, figure 8).

::

                                  |Request received
                                  |pass to TU
                                  V
                            +-----------+
                            |           |
                            | Trying    |-------------+
                            |           |             |
                            +-----------+             |200-699 from TU
                                |  |                  |send response
                                |  |1xx from TU       |
                  64*T1 without |  |send response     |
                  a response    |  |                  |
                  from TU,      |  V      1xx from TU |
                  inform TU     | +-----------+ send response
                    +-----------+ |           |---------+
                    |   Request   |Proceeding |<--------+
                    |   send resp.|           |       |
                    |     +------>|           |       |
                    |     +-------|           |       |
                    |             +-----------+       |
                    |<--------------|  |              |
                    | Transport Err.|  |200-699 from TU
                    | or 64*T1,     |  |send response |
                    | inform TU        |              |
                    |   Request        V              |
                    |   send resp.+-----------+       |
                    |     +------>|           |       |
                    |     +-------| Completed |<------+
                    |             |           |
                    |<------------|           |
                    |Transport Err.-----------+
                    |inform TU         |Timer J
                    |                  V
                    |             +------------+
                    +------------>| Terminated |
                                  +------------+

Beyond the figure: after 64*T1 the client has given up (its timer F), so any answer comes too late
and must not be sent (RFC 4320 section 4.2). A user that has not answered by then is told so and
the transaction ends; none can be forgotten and stay for ever.
"""

from __future__ import annotations

from typing import Final

from sip.message import Response
from sip.timers import TransactionTimers
from sip.transaction.actions import Transmit
from sip.transaction.key import ServerKey
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
    (TRYING, Event.S1XX): ("send", PROCEEDING),
    (TRYING, Event.S200_699): ("complete", COMPLETED),
    (TRYING, Event.GIVE_UP): ("give_up", TERMINATED),
    (PROCEEDING, Event.REQUEST): ("send_response", PROCEEDING),
    (PROCEEDING, Event.S1XX): ("send", PROCEEDING),
    (PROCEEDING, Event.S200_699): ("complete", COMPLETED),
    (PROCEEDING, Event.GIVE_UP): ("give_up", TERMINATED),
    (PROCEEDING, Event.TRANSPORT_ERROR): ("report_failure", TERMINATED),
    (COMPLETED, Event.REQUEST): ("send_response", COMPLETED),
    (COMPLETED, Event.TIMER_J): ("nothing", TERMINATED),
    (COMPLETED, Event.TRANSPORT_ERROR): ("report_failure", TERMINATED),
}

IGNORED: Final[Ignored] = {
    # A repeated request is absorbed until there is something to repeat; nothing was sent yet.
    TRYING: frozenset({Event.REQUEST, Event.TRANSPORT_ERROR, Event.TIMER_J}),
    PROCEEDING: frozenset({Event.TIMER_J}),
    # Any further response of the user is discarded (17.2.2).
    COMPLETED: frozenset({Event.S1XX, Event.S200_699, Event.GIVE_UP}),
    TERMINATED: frozenset(
        {
            Event.REQUEST,
            Event.S1XX,
            Event.S200_699,
            Event.GIVE_UP,
            Event.TRANSPORT_ERROR,
            Event.TIMER_J,
        }
    ),
}

TIMERS: Final[StateTimers] = {
    TRYING: (None, Event.GIVE_UP),
    PROCEEDING: (None, Event.GIVE_UP),
    COMPLETED: (None, Event.TIMER_J),
    TERMINATED: (None, None),
}


class NonInviteServer(Transaction, transitions=TRANSITIONS, ignored=IGNORED, timers=TIMERS):
    """Answers any request but INVITE and ACK, and repeats the answer where it was lost."""

    __slots__ = ()

    key: ServerKey

    def __init__(self, key: ServerKey, timers: TransactionTimers, step: Step) -> None:
        super().__init__(key, TRYING, timers)
        self.expire_at = step.now + timers.f

    def send(self, step: Step) -> None:
        response: Response = step.subject
        self.response = response
        step.actions.append(Transmit(self.key, response))

    def complete(self, step: Step) -> None:
        self.send(step)
        self.expire_at = step.now + self.timers.j
