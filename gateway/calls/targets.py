"""Where a call can go, and what media is spoken there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from sip.flow import Hop, Transport
from sip.uri import SipUri

MediaKind = Literal["rtp", "sdes", "webrtc", "pass"]


@dataclass(frozen=True, slots=True)
class MediaTerms:
    """What media one side of a call is offered.

    With `behind_nat` its packets may come from elsewhere than its SDP says, by the rule of
    `media.leg_connectivity`; `signalling_host` is then the address its SIP comes from.
    """

    kind: MediaKind
    behind_nat: bool = False
    signalling_host: str | None = None


WEBRTC: Final = MediaTerms("webrtc")


@dataclass(frozen=True, slots=True)
class Route:
    """One place the called number can be reached at; `hops` where the flow is known."""

    uri: SipUri
    listener: str
    transports: frozenset[Transport]
    hops: tuple[Hop, ...] = ()
    q: float = 1.0
