"""The timers of SIP transactions as data (RFC 3261 table 4, RFC 6026 section 7)."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple


class TransactionTimers(NamedTuple):
    """Timers A to M for one kind of transport, in seconds; `inf` never fires, 0 fires at once."""

    a: float
    """First retransmission of an INVITE request; doubles (17.1.1.2)."""
    b: float
    """INVITE client transaction gives up waiting for any response (17.1.1.2)."""
    c: float
    """Proxy gives up on an INVITE that keeps ringing (16.6 step 11)."""
    d: float
    """Wait for retransmissions of a 300-699 response to an INVITE (17.1.1.2)."""
    e: float
    """First retransmission of a non-INVITE request; doubles up to T2 (17.1.2.2)."""
    f: float
    """Non-INVITE client transaction gives up (17.1.2.2)."""
    g: float
    """First retransmission of a 300-699 response to an INVITE; doubles up to T2 (17.2.1)."""
    h: float
    """Wait for the ACK to a 300-699 response (17.2.1)."""
    i: float
    """Absorb retransmitted ACKs (17.2.1)."""
    j: float
    """Absorb retransmitted non-INVITE requests (17.2.2)."""
    k: float
    """Absorb retransmitted responses to a non-INVITE request (17.1.2.2)."""
    l: float  # noqa: E741 - the RFC's own letter
    """Server side of the Accepted state (RFC 6026 section 8.4); same on every transport."""
    m: float
    """Client side of the Accepted state (RFC 6026 section 8.5); same on every transport."""
    t2: float
    """Ceiling of the doubling timers E and G (17.1.2.2, 17.2.1)."""


@dataclass(frozen=True, slots=True)
class Timers:
    """Base values, in seconds, from which every timer of every transaction is derived.

    Tests shrink these instead of sleeping; a production gateway keeps the defaults.
    `timer_c` has to exceed three minutes (RFC 3261 section 16.6 step 11) and `timer_d` to
    reach 32 s (17.1.1.2); neither is enforced here. Raises `ValueError` where a value is
    negative, or T1, T2, T4 or timer C not positive.
    """

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0
    timer_c: float = 181.0
    timer_d: float = 32.0
    trying_delay: float = 0.2
    """Silence of the transaction user after which the INVITE server transaction itself sends
    100 (17.2.1); 0 sends it at once."""
    unreliable: TransactionTimers = field(init=False, repr=False)
    reliable: TransactionTimers = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if min(self.t1, self.t2, self.t4, self.timer_c) <= 0:
            raise ValueError("T1, T2, T4 and timer C are longer than 0 seconds")
        if min(self.timer_d, self.trying_delay) < 0:
            raise ValueError("a timer is not negative")
        give_up = 64 * self.t1
        unreliable = TransactionTimers(
            a=self.t1,
            b=give_up,
            c=self.timer_c,
            d=self.timer_d,
            e=self.t1,
            f=give_up,
            g=self.t1,
            h=give_up,
            i=self.t4,
            j=give_up,
            k=self.t4,
            l=give_up,
            m=give_up,
            t2=self.t2,
        )
        # A reliable transport repeats for us: nothing is retransmitted, nothing to absorb.
        reliable = unreliable._replace(a=inf, e=inf, g=inf, d=0.0, i=0.0, j=0.0, k=0.0)
        object.__setattr__(self, "unreliable", unreliable)
        object.__setattr__(self, "reliable", reliable)

    def on(self, reliable: bool) -> TransactionTimers:
        """Return the timers for a reliable (TCP, TLS) or an unreliable (UDP) transport."""
        return self.reliable if reliable else self.unreliable
