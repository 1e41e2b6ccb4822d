"""What a media session counted: immutable snapshots for call records, metrics and tests."""

from __future__ import annotations

from collections.abc import Mapping
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

    `dropped` maps a reason (`source`, `authentication`, `replay`, `early`, ...) to datagrams.
    """

    packets_in: int = 0
    bytes_in: int = 0
    packets_out: int = 0
    bytes_out: int = 0
    rtcp_in: int = 0
    rtcp_out: int = 0
    streams: tuple[StreamStatistics, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)

    @property
    def lost(self) -> int:
        """Packets lost on the way to us, over all streams."""
        return sum(stream.lost for stream in self.streams)

    @property
    def jitter(self) -> float:
        """Jitter in seconds of the stream with the most packets, 0 without any."""
        if not self.streams:
            return 0.0
        return max(self.streams, key=lambda stream: stream.received).jitter


@dataclass(frozen=True, slots=True)
class MediaStatistics:
    """Both legs of one session; `seconds` from its first offer until the snapshot."""

    caller: LegStatistics
    callee: LegStatistics
    seconds: float = 0.0
