"""INVITE client transaction (RFC 3261 section 17.1.1 as corrected by RFC 6026 figure 3).

::

                                   |INVITE from TU
                 Timer A fires     |INVITE sent
                 Reset A,          V                      Timer B fires
                 INVITE sent +-----------+                or Transport Err.
                   +---------|           |---------------+inform TU
                   |         |  Calling  |               |
                   +-------->|           |-------------->|
                             +-----------+ 2xx           |
                                |  |       2xx to TU     |
                                |  |1xx                  |
        300-699 +---------------+  |1xx to TU            |
       ACK sent |                  |                     |
    resp. to TU |  1xx             V                     |
                |  1xx to TU  -----------+               |
                |  +---------|           |               |
                |  |         |Proceeding |-------------->|
                |  +-------->|           | 2xx           |
                |            +-----------+ 2xx to TU     |
                |       300-699 |   |  \\                 |
                |       ACK sent|   |   \\ 64*T1 after    |
                |    resp. to TU|   |    \\ a CANCEL,     |
                |               |   |     \\ inform TU -->|
                |               V   |2xx                 |
                |  +-----------+    |2xx to TU           |
                +->|           |    |                    |
     300-699  +----| Completed |    |                    |
     ACK sent |    |           |    |    +-----------+   |
              +--->|           |    +--->|           |---+ 2xx
                   +-----------+         | Accepted  |   | 2xx to TU
        Timer D or   |                   |           |<--+
        Transport    |                   +-----------+   |
        Err.         |                     | Timer M     |
        (inform TU)  V                     V             |
                   +-------------------------+           |
                   |       Terminated        |<----------+
                   +-------------------------+

Beyond the figure: RFC 3261 section 9.1 lets a client give up an INVITE 64*T1 after it sent
CANCEL. Without that a peer that answers 180 and falls silent would hold the transaction for ever.
"""

from __future__ import annotations

from typing import Final

from sip.message import Request
from sip.timers import TransactionTimers
from sip.transaction.actions import ResponseReceived, Transmit
from sip.transaction.derived import ack_for_non_2xx
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

CALLING = State.CALLING
PROCEEDING = State.PROCEEDING
ACCEPTED = State.ACCEPTED
COMPLETED = State.COMPLETED
TERMINATED = State.TERMINATED

TRANSITIONS: Final[Transitions] = {
    (CALLING, Event.TIMER_A): ("retransmit", CALLING),
    (CALLING, Event.TIMER_B): ("give_up", TERMINATED),
    (CALLING, Event.TRANSPORT_ERROR): ("report_failure", TERMINATED),
    (CALLING, Event.R1XX): ("proceed", PROCEEDING),
    (CALLING, Event.R2XX): ("accept", ACCEPTED),
    (CALLING, Event.R300_699): ("acknowledge", COMPLETED),
    (PROCEEDING, Event.R1XX): ("pass_up", PROCEEDING),
    (PROCEEDING, Event.R2XX): ("accept", ACCEPTED),
    (PROCEEDING, Event.R300_699): ("acknowledge", COMPLETED),
    (PROCEEDING, Event.CANCEL_SENT): ("await_cancellation", PROCEEDING),
    (PROCEEDING, Event.GIVE_UP): ("give_up", TERMINATED),
    (PROCEEDING, Event.TRANSPORT_ERROR): ("report_failure", TERMINATED),
    (ACCEPTED, Event.R2XX): ("pass_up", ACCEPTED),
    (ACCEPTED, Event.TIMER_M): ("nothing", TERMINATED),
    (COMPLETED, Event.R300_699): ("send_request", COMPLETED),
    (COMPLETED, Event.TIMER_D): ("nothing", TERMINATED),
    (COMPLETED, Event.TRANSPORT_ERROR): ("report_failure", TERMINATED),
}

_TIMERS = {Event.TIMER_A, Event.TIMER_B, Event.TIMER_D, Event.TIMER_M, Event.GIVE_UP}

IGNORED: Final[Ignored] = {
    # No CANCEL is sent before a provisional response (9.1); timer B goes on.
    CALLING: frozenset({Event.CANCEL_SENT, Event.TIMER_D, Event.TIMER_M, Event.GIVE_UP}),
    # Any provisional response stops A and B; a proxy relies on timer C from here.
    PROCEEDING: frozenset(_TIMERS - {Event.GIVE_UP}),
    # RFC 6026 section 7.2: only further 2xx are of interest, and nothing more is sent.
    ACCEPTED: frozenset(
        {Event.R1XX, Event.R300_699, Event.CANCEL_SENT, Event.TRANSPORT_ERROR}
        | (_TIMERS - {Event.TIMER_M})
    ),
    # The final response stands: a late provisional or a 2xx after a refusal changes nothing.
    COMPLETED: frozenset({Event.R1XX, Event.R2XX, Event.CANCEL_SENT} | (_TIMERS - {Event.TIMER_D})),
    TERMINATED: frozenset(
        {Event.R1XX, Event.R2XX, Event.R300_699, Event.CANCEL_SENT, Event.TRANSPORT_ERROR} | _TIMERS
    ),
}

TIMERS: Final[StateTimers] = {
    CALLING: (Event.TIMER_A, Event.TIMER_B),
    PROCEEDING: (None, Event.GIVE_UP),
    ACCEPTED: (None, Event.TIMER_M),
    COMPLETED: (None, Event.TIMER_D),
    TERMINATED: (None, None),
}


class InviteClient(Transaction, transitions=TRANSITIONS, ignored=IGNORED, timers=TIMERS):
    """Sends an INVITE until it is answered, acknowledges 300-699, passes every 2xx up."""

    __slots__ = ()

    key: ClientKey

    def __init__(
        self,
        key: ClientKey,
        request: Request,
        timers: TransactionTimers,
        step: Step,
    ) -> None:
        super().__init__(key, CALLING, timers)
        self.request = request
        self.interval = timers.a
        self.retransmit_at = step.now + timers.a
        self.expire_at = step.now + timers.b
        step.actions.append(Transmit(key, request))

    def retransmit(self, step: Step) -> None:
        self.interval *= 2
        self.retransmit_at = step.now + self.interval
        self.send_request(step)

    def pass_up(self, step: Step) -> None:
        step.actions.append(ResponseReceived(self.key, step.subject))

    def proceed(self, step: Step) -> None:
        self.stop_timers()
        step.actions.append(ResponseReceived(self.key, step.subject))

    def await_cancellation(self, step: Step) -> None:
        # 9.1 names 64*T1, which is what timer B is.
        self.expire_at = min(self.expire_at, step.now + self.timers.b)

    def accept(self, step: Step) -> None:
        self.stop_timers()
        self.expire_at = step.now + self.timers.m
        self.request = None
        step.actions.append(ResponseReceived(self.key, step.subject))

    def acknowledge(self, step: Step) -> None:
        self.stop_timers()
        self.expire_at = step.now + self.timers.d
        if self.request is not None:
            # From here on the ACK is the only request this transaction ever repeats.
            self.request = ack_for_non_2xx(self.request, step.subject)
        self.send_request(step)
        step.actions.append(ResponseReceived(self.key, step.subject))
