"""What the four transaction machines of RFC 3261 section 17 have in common.

A machine is its table. `TRANSITIONS` has a row for each (state, event) that does something: the
name of the method to run and the next state. `IGNORED` names, state by state, the events that do
nothing there; together they cover every pair, and a test walks them all. `TIMERS` tells which
timers can run in a state: one that repeats or starts something, and one that ends the state.

A machine knows neither clock nor socket: it is given an event and a `Step`, to which it
appends its actions, and says by `deadline` when it wants to be looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum, auto
from math import inf
from typing import Any, ClassVar, Final

from sip.message import Request, Response
from sip.timers import TransactionTimers
from sip.transaction.actions import Action, Terminated, TimedOut, Transmit, TransportFailed
from sip.transaction.key import TransactionKey


class State(IntEnum):
    """The states of RFC 3261 figures 5 to 8, and RFC 6026's Accepted.

    An integer so that looking up a row costs no Python-level hash.
    """

    CALLING = auto()
    TRYING = auto()
    PROCEEDING = auto()
    ACCEPTED = auto()
    COMPLETED = auto()
    CONFIRMED = auto()
    TERMINATED = auto()


class Event(IntEnum):
    """What can happen to a transaction: R is received from the peer, S sent by the user."""

    INVITE = auto()
    ACK = auto()
    REQUEST = auto()
    R1XX = auto()
    R2XX = auto()
    R300_699 = auto()
    R200_699 = auto()
    S1XX = auto()
    S2XX = auto()
    S300_699 = auto()
    S200_699 = auto()
    CANCEL_SENT = auto()
    TRANSPORT_ERROR = auto()
    TRYING_DELAY = auto()
    GIVE_UP = auto()
    TIMER_A = auto()
    TIMER_B = auto()
    TIMER_D = auto()
    TIMER_E = auto()
    TIMER_F = auto()
    TIMER_G = auto()
    TIMER_H = auto()
    TIMER_I = auto()
    TIMER_J = auto()
    TIMER_K = auto()
    TIMER_L = auto()
    TIMER_M = auto()


Transitions = Mapping[tuple[State, Event], tuple[str, State]]
Ignored = Mapping[State, frozenset[Event]]
StateTimers = Mapping[State, tuple[Event | None, Event | None]]

UNFINISHED: Final = frozenset({State.CALLING, State.TRYING, State.PROCEEDING})
"""States in which a final response is still to come; all others only absorb repetitions."""


class Step:
    """One call into the transaction layer: when, about what, and the actions it leads to.

    `subject` is the response received or to be sent, or the `AckReceived` an ACK would become.
    """

    __slots__ = ("actions", "now", "subject")

    def __init__(self, now: float, subject: Any = None) -> None:
        self.now = now
        self.subject = subject
        self.actions: list[Action] = []


Effect = Callable[[Any, Step], None]


class Transaction:
    """One transaction: its state, its two timers, and the messages it may have to repeat."""

    __slots__ = (
        "expire_at",
        "interval",
        "key",
        "request",
        "response",
        "retransmit_at",
        "scheduled_at",
        "state",
        "timers",
    )

    rows: ClassVar[Mapping[tuple[State, Event], tuple[Effect, State]]] = {}
    ignored: ClassVar[Ignored] = {}
    state_timers: ClassVar[StateTimers] = {}

    key: TransactionKey
    request: Request | None
    response: Response | None

    def __init_subclass__(
        cls, *, transitions: Transitions, ignored: Ignored, timers: StateTimers
    ) -> None:
        """Bind the method names of the table; a name that is no method fails at import."""
        cls.rows = {pair: (getattr(cls, name), to) for pair, (name, to) in transitions.items()}
        cls.ignored = ignored
        cls.state_timers = timers

    def __init__(self, key: TransactionKey, state: State, timers: TransactionTimers) -> None:
        self.key = key
        self.state = state
        self.timers = timers
        self.request = None
        self.response = None
        self.retransmit_at = inf
        self.expire_at = inf
        self.interval = inf
        self.scheduled_at = inf

    @property
    def deadline(self) -> float:
        """When `fire_due` has to be called next; `inf` where no timer runs."""
        repeats, ends = self.retransmit_at, self.expire_at
        return min(ends, repeats)

    def handle(self, event: Event, step: Step) -> None:
        """Run the row of the table for an event."""
        row = self.rows.get((self.state, event))
        if row is None:
            return
        effect, next_state = row
        self.state = next_state
        effect(self, step)
        if next_state is State.TERMINATED:
            self.terminate(step)
        elif self.expire_at <= step.now:
            self.fire_due(step)

    def fire_due(self, step: Step) -> None:
        """Handle the timers that have run out.

        The one that ends the state goes first, and a retransmission counts from `now`: after a
        pause of the process nothing is sent in a burst to catch up.
        """
        repeats, ends = self.state_timers[self.state]
        if self.expire_at <= step.now and ends is not None:
            self.expire_at = inf
            self.handle(ends, step)
        elif self.retransmit_at <= step.now and repeats is not None:
            self.retransmit_at = inf
            self.handle(repeats, step)

    def terminate(self, step: Step) -> None:
        """End here, whatever the state, and let go of every message."""
        self.state = State.TERMINATED
        self.request = None
        self.response = None
        self.stop_timers()
        step.actions.append(Terminated(self.key))

    def stop_timers(self) -> None:
        self.retransmit_at = inf
        self.expire_at = inf

    # Effects that several tables name.

    def nothing(self, step: Step) -> None:
        """Only change the state."""

    def give_up(self, step: Step) -> None:
        step.actions.append(TimedOut(self.key))

    def report_failure(self, step: Step) -> None:
        step.actions.append(TransportFailed(self.key))

    def send_request(self, step: Step) -> None:
        if self.request is not None:
            step.actions.append(Transmit(self.key, self.request))

    def send_response(self, step: Step) -> None:
        if self.response is not None:
            step.actions.append(Transmit(self.key, self.response))
