"""What goes into and comes out of an ICE agent (RFC 8445): credentials, settings, actions."""

from __future__ import annotations

import string
from dataclasses import dataclass, field
from random import Random
from typing import Final, Literal

from media.candidate import Candidate

# Numeric host and port.
Address = tuple[str, int]

IceState = Literal["new", "checking", "connected", "failed", "lost"]

_ICE_CHARS: Final = string.ascii_letters + string.digits + "+/"


@dataclass(frozen=True, slots=True)
class IceCredentials:
    """One side's ice-ufrag and ice-pwd of one ICE generation (RFC 8839 section 5.4)."""

    ufrag: str
    pwd: str = field(repr=False)

    @property
    def key(self) -> bytes:
        """Key of MESSAGE-INTEGRITY in requests to this side (RFC 8445 section 7.1.2)."""
        return self.pwd.encode()


def new_credentials(rand: Random) -> IceCredentials:
    """Make credentials of 48 and 144 bits; `rand` must be a SystemRandom outside of tests."""
    return IceCredentials(
        "".join(rand.choices(_ICE_CHARS, k=8)), "".join(rand.choices(_ICE_CHARS, k=24))
    )


@dataclass(frozen=True, slots=True)
class IceParameters:
    """What one side says of itself in SDP: credentials, candidates, whether it is lite."""

    credentials: IceCredentials
    candidates: tuple[Candidate, ...] = ()
    lite: bool = False


@dataclass(frozen=True, slots=True)
class IceSettings:
    """Times in seconds and bounds of one agent; the defaults are the RFCs'."""

    ta: float = 0.05
    """Least time between two new checks (RFC 8445 section 14.2)."""
    rto: float = 0.5
    """Least initial retransmission time (RFC 8445 section 14.3)."""
    max_interval: float = 1.0
    """Where the doubling of retransmission times ends: RFC 8489's would send only five times
    within the timeout below, and a lossy path then fails one call in thirty."""
    max_sends: int = 10
    """Transmissions of one check (Rc of RFC 8489 section 6.2.1 is 7)."""
    last_wait: float = 4.0
    """RTOs to wait after the last transmission (Rm of RFC 8489 section 6.2.1 is 16)."""
    timeout: float = 10.0
    """From start() to failure if no pair is selected."""
    nomination_wait: float = 0.15
    """How long a valid pair waits for a better one still being checked."""
    consent_interval: float = 5.0
    """Between consent checks, randomised by a fifth either way (RFC 7675 section 5.1)."""
    consent_timeout: float = 30.0
    """Without an answer (lite: without a check) sending must stop (RFC 7675 section 5.1)."""
    max_pairs: int = 100
    max_remote_candidates: int = 32
    max_validated: int = 32
    """Addresses the peer proved itself from; further ones are not let through."""
    requests_per_source: int = 100
    """Most requests answered in any second for one source host; the rest is dropped."""
    refusals_per_second: int = 500
    """Error responses to unauthenticated requests in a second, all sources together."""
    max_sources: int = 1_024
    """Source hosts remembered for the limit above."""


@dataclass(frozen=True, slots=True)
class SendStun:
    """Send these octets from the agent's socket."""

    data: bytes
    destination: Address


@dataclass(frozen=True, slots=True)
class Selected:
    """A pair is selected: media goes to `remote` from now on. May come again, with another."""

    remote: Address


@dataclass(frozen=True, slots=True)
class IceFailed:
    """No pair could be selected in time; the agent is done."""

    reason: str


@dataclass(frozen=True, slots=True)
class ConsentLost:
    """The peer stopped answering: nothing may be sent to it any more (RFC 7675 section 5.1).

    Only an ICE restart brings the agent back.
    """


IceAction = SendStun | Selected | IceFailed | ConsentLost
