"""INVITE server transaction (RFC 3261 section 17.2.1 as corrected by RFC 6026 figure 5).

::

                                      |INVITE
                                      |pass INV to TU
                   INVITE             V send 100 if TU won't in 200 ms
                   send response+------------+
                       +--------|            |--------+ 101-199 from TU
                       |        |            |        | send response
                       +------->|            |<-------+
                                | Proceeding |
                                |            |--------+ Transport Err.
                                |            |        | Inform TU
                                |            |<-------+
                                +------------+
                   300-699 from TU |    |2xx from TU
                   send response   |    |send response
                    +--------------+    +------------+
                    |                                |
    INVITE          V          Timer G fires         |
    send response +-----------+ send response        |
         +--------|           |--------+             |
         |        |           |        |             |
         +------->| Completed |<-------+      INVITE |  Transport Err.
                  |           |               -      |  Inform TU
         +--------|           |----+          +-----+|  +---+
         |        +-----------+    | ACK      |     ||  |   |
         |          ^   |          | -        |     VV  v   |
         |          +---+          |          |  +------------+
         |       Transport Err.    |          +--|            |---+ 2xx from TU
         |       Inform TU         |             |  Accepted  |   | send response
         |                         V             |            |<--+
         |                  +-----------+     +--|            |
         |                  |           |     |  +------------+
         |             +----| Confirmed |     |     ^    |
         |         ACK |    |           |     +-----+    |
         |         -   +--->|           |   ACK          |
         |                  +-----------+   ACK to TU    | Timer L
         | Timer H                |                      |
         | Inform TU              | Timer I              |
         |                        V                      |
         |                  +------------+               |
         +----------------->| Terminated |<--------------+
                            +------------+

A failure to send does not end the transaction (RFC 6026 section 8.8): it stays to absorb
retransmissions of the INVITE, which would otherwise start a second call.

A choice the RFC leaves open: 100 is not sent at once but after `Timers.trying_delay` of silence,
or as soon as the INVITE is repeated. A proxy on a quick path thus saves a message a call.
"""

from __future__ import annotations

from math import inf
from typing import Final

from sip.message import Request, Response, response_to
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

PROCEEDING = State.PROCEEDING
ACCEPTED = State.ACCEPTED
COMPLETED = State.COMPLETED
CONFIRMED = State.CONFIRMED
TERMINATED = State.TERMINATED

TRANSITIONS: Final[Transitions] = {
    (PROCEEDING, Event.INVITE): ("repeat_provisional", PROCEEDING),
    (PROCEEDING, Event.TRYING_DELAY): ("send_trying", PROCEEDING),
    (PROCEEDING, Event.S1XX): ("send_provisional", PROCEEDING),
    (PROCEEDING, Event.S2XX): ("accept", ACCEPTED),
    (PROCEEDING, Event.S300_699): ("reject", COMPLETED),
    (PROCEEDING, Event.TRANSPORT_ERROR): ("report_failure", PROCEEDING),
    (ACCEPTED, Event.S2XX): ("send_again", ACCEPTED),
    (ACCEPTED, Event.ACK): ("pass_ack", ACCEPTED),
    (ACCEPTED, Event.TRANSPORT_ERROR): ("report_failure", ACCEPTED),
    (ACCEPTED, Event.TIMER_L): ("nothing", TERMINATED),
    (COMPLETED, Event.INVITE): ("send_response", COMPLETED),
    (COMPLETED, Event.TIMER_G): ("retransmit", COMPLETED),
    (COMPLETED, Event.ACK): ("confirm", CONFIRMED),
    (COMPLETED, Event.TIMER_H): ("give_up", TERMINATED),
    (COMPLETED, Event.TRANSPORT_ERROR): ("report_failure", COMPLETED),
    (CONFIRMED, Event.TIMER_I): ("nothing", TERMINATED),
}

_RESPONSES = {Event.S1XX, Event.S2XX, Event.S300_699}
_TIMERS = {Event.TRYING_DELAY, Event.TIMER_G, Event.TIMER_H, Event.TIMER_I, Event.TIMER_L}

IGNORED: Final[Ignored] = {
    # An ACK before any final response acknowledges nothing.
    PROCEEDING: frozenset({Event.ACK} | (_TIMERS - {Event.TRYING_DELAY})),
    # RFC 6026 section 7.1: repeated INVITEs are absorbed; the user repeats the 2xx itself.
    ACCEPTED: frozenset({Event.INVITE, Event.S1XX, Event.S300_699} | (_TIMERS - {Event.TIMER_L})),
    # The first final response stands.
    COMPLETED: frozenset(_RESPONSES | (_TIMERS - {Event.TIMER_G, Event.TIMER_H})),
    CONFIRMED: frozenset(
        {Event.INVITE, Event.ACK, Event.TRANSPORT_ERROR} | _RESPONSES | (_TIMERS - {Event.TIMER_I})
    ),
    TERMINATED: frozenset({Event.INVITE, Event.ACK, Event.TRANSPORT_ERROR} | _RESPONSES | _TIMERS),
}

TIMERS: Final[StateTimers] = {
    PROCEEDING: (Event.TRYING_DELAY, None),
    ACCEPTED: (None, Event.TIMER_L),
    COMPLETED: (Event.TIMER_G, Event.TIMER_H),
    CONFIRMED: (None, Event.TIMER_I),
    TERMINATED: (None, None),
}


class InviteServer(Transaction, transitions=TRANSITIONS, ignored=IGNORED, timers=TIMERS):
    """Answers an INVITE: repeats what was lost, absorbs what is repeated, waits for the ACK."""

    __slots__ = ("source",)

    key: ServerKey

    def __init__(
        self, key: ServerKey, request: Request, timers: TransactionTimers, source: str
    ) -> None:
        """Begin with an INVITE from the host `source`."""
        super().__init__(key, PROCEEDING, timers)
        self.request = request
        self.source = source

    def begin(self, trying_delay: float, step: Step) -> None:
        """Start waiting for the user to respond, `trying_delay` seconds at most."""
        self.retransmit_at = step.now + trying_delay
        self.fire_due(step)

    def send_trying(self, step: Step) -> None:
        if self.request is not None:
            self._keep(response_to(self.request, 100), step)

    def repeat_provisional(self, step: Step) -> None:
        if self.response is None:
            # The client is already repeating itself: 100 cannot wait for the delay.
            self.send_trying(step)
        else:
            self.send_response(step)

    def send_provisional(self, step: Step) -> None:
        self._keep(step.subject, step)

    def accept(self, step: Step) -> None:
        self._keep(step.subject, step)
        self.response = None
        self.expire_at = step.now + self.timers.l

    def reject(self, step: Step) -> None:
        self._keep(step.subject, step)
        self.interval = self.timers.g
        self.retransmit_at = step.now + self.timers.g
        self.expire_at = step.now + self.timers.h

    def retransmit(self, step: Step) -> None:
        self.interval = min(2 * self.interval, self.timers.t2)
        self.retransmit_at = step.now + self.interval
        self.send_response(step)

    def send_again(self, step: Step) -> None:
        step.actions.append(Transmit(self.key, step.subject))

    def pass_ack(self, step: Step) -> None:
        step.actions.append(step.subject)

    def confirm(self, step: Step) -> None:
        self.stop_timers()
        self.expire_at = step.now + self.timers.i
        self.response = None

    def _keep(self, response: Response, step: Step) -> None:
        """Send a response, keep it for repetition, and let the request go: 100 is not needed."""
        self.request = None
        self.response = response
        self.retransmit_at = inf
        step.actions.append(Transmit(self.key, response))
