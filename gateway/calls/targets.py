"""Where a call can go, and what media is spoken there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sip.flow import Hop, Transport
from sip.uri import SipUri

MediaKind = Literal["rtp", "sdes", "webrtc", "pass"]


@dataclass(frozen=True, slots=True)
class Route:
    """One place the called number can be reached at; `hops` where the flow is known."""

    uri: SipUri
    listener: str
    transports: frozenset[Transport]
    hops: tuple[Hop, ...] = ()
    q: float = 1.0
