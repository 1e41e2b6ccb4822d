"""What a media session counted: immutable snapshots for call records, metrics and tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class StreamStatistics:
    """One received SSRC: packets, packets lost by sequence number, jitter in seconds."""

    ssrc: int
    received: int
    lost: int
    jitter: float


@dataclass(frozen=True, slots=True)
class LegStatistics:
    """One leg, counted at its socket after authentication: RTP packets and bytes of UDP payload.

    `lost` sums the streams, `jitter` (seconds) is that of the stream with the most packets.
    `dropped` maps a reason (`source`, `authentication`, `replay`, `early`, ...) to datagrams.
    """

    packets_in: int = 0
    bytes_in: int = 0
    packets_out: int = 0
    bytes_out: int = 0
    rtcp_in: int = 0
    rtcp_out: int = 0
    lost: int = 0
    jitter: float = 0.0
    streams: tuple[StreamStatistics, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MediaStatistics:
    """Both legs of one session; `seconds` from its first offer until the snapshot."""

    caller: LegStatistics
    callee: LegStatistics
    seconds: float = 0.0


def total(legs: Iterable[LegStatistics]) -> LegStatistics:
    """Adds the streams of one side up (audio and video); jitter is that of the busiest leg."""
    every = tuple(legs)
    dropped: Counter[str] = Counter()
    for leg in every:
        dropped.update(leg.dropped)
    busiest = max(every, key=lambda leg: leg.packets_in, default=LegStatistics())
    return LegStatistics(
        sum(leg.packets_in for leg in every),
        sum(leg.bytes_in for leg in every),
        sum(leg.packets_out for leg in every),
        sum(leg.bytes_out for leg in every),
        sum(leg.rtcp_in for leg in every),
        sum(leg.rtcp_out for leg in every),
        sum(leg.lost for leg in every),
        busiest.jitter,
        tuple(stream for leg in every for stream in leg.streams),
        dict(dropped),
    )
