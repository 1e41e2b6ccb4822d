"""What a media engine is told, and what it tells: settings, leg profiles, events, refusals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from media.remote_media import LegKind

Side = Literal["caller", "callee"]


@dataclass(frozen=True, slots=True)
class MediaSettings:
    """Addresses, limits and times of one engine; times in seconds.

    `networks` maps a name to the numeric address media is bound to there, `advertised` to the
    one SDP shows instead (1:1 NAT). RTP takes even ports of `port_min`..`port_max` at random,
    RTCP the port above; a port rests `port_quarantine` after a call. Media goes to special-purpose
    addresses (private, loopback) only within `allow_networks` (CIDR). `ice_timeout` and
    `dtls_timeout` run from the answer; `no_media_timeout` ends a call in which a side that should
    send sends nothing (0: never). `srtp_profiles` by SDES name, best first.
    """

    networks: Mapping[str, str]
    advertised: Mapping[str, str] = field(default_factory=dict)
    port_min: int = 40_000
    port_max: int = 59_999
    max_sessions: int = 2_000
    allow_networks: tuple[str, ...] = ()
    ice_timeout: float = 10.0
    dtls_timeout: float = 10.0
    no_media_timeout: float = 300.0
    port_quarantine: float = 5.0
    dtls_certificate_lifetime: float = 30 * 86_400.0
    srtp_profiles: tuple[str, ...] = ("AEAD_AES_128_GCM", "AES_CM_128_HMAC_SHA1_80")


@dataclass(frozen=True, slots=True)
class LegProfile:
    """What a side of a call is to be: its kind of leg, and the network it is on.

    `as_offered` takes the kind that the offer has; any other kind in an offer is refused. With
    `behind_nat` the peer's packets may come from elsewhere than its SDP says, by the rule of
    media/leg_connectivity.py; `signalling_host` is then the address its SIP comes from.
    """

    kind: LegKind | Literal["as_offered"]
    network: str
    behind_nat: bool = False
    signalling_host: str | None = None


@dataclass(frozen=True, slots=True)
class Connected:
    """Media can flow with this side: ICE and DTLS are done, or its address is known."""

    side: Side


@dataclass(frozen=True, slots=True)
class Failed:
    """This side is dead and the call should end; told once a side.

    `reason` is a fixed phrase: `ice timeout`, `consent lost`, `dtls fingerprint`,
    `dtls handshake`, `dtls srtp_profile`, `dtls timeout`, `no media`.
    """

    side: Side
    reason: str


MediaEvent = Connected | Failed


class MediaRefused(ValueError):
    """An offer or answer that is not taken: the SIP `status` to refuse it with, and why.

    The peer's fault; `reason` holds no key and may be sent in a Warning header.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason


class MediaExhausted(RuntimeError):
    """No session, port or descriptor is left: ours to enlarge (max_sessions, port_min..max)."""
