"""One side of a bridge: what its packets must look like, and what is counted of them.

A leg is connectivity (static | ICE) x protection (none | SRTP keys of SDES or DTLS). It knows no
socket: bytes, source and `now` go in; plain RTP comes out on the way in, and what goes to the
wire on the way out.
"""

from __future__ import annotations

import struct
from typing import Literal

from media.ice_values import Address
from media.leg_connectivity import Admission, Connectivity
from media.rtp import MalformedRtp, StreamReception, check_rtcp, parse_rtp
from media.srtp import MAX_PACKET, SrtpInbound, SrtpKey, SrtpOutbound, SrtpRejected
from media.statistics import LegStatistics, StreamStatistics

MAX_STREAMS = 256
"""SSRCs a leg takes over its life; each costs libsrtp a stream and us a counter."""

DropReason = Literal[
    "early",
    "source",
    "malformed",
    "authentication",
    "replay",
    "srtp",
    "too many streams",
    "no destination",
    "unexpected",
]
"""Why a datagram was dropped.

Counted at the leg that dropped it. `early`: no address or keys yet. `source`: not from an address
admitted. `no destination`: the peer to send it to is on hold, gone or not known yet.
`unexpected`: neither RTP nor RTCP on a leg that takes nothing else.
"""

_FIXED = struct.Struct("!BBHII")


class Leg:
    """Accepts what comes from one peer and makes what goes to it; counts both.

    `source` is the address the last accepted RTP came from, `streams` its SSRCs, `inbound` and
    `outbound` the SRTP of both directions: open to media/relay.py, written only here.
    """

    __slots__ = (
        "_dropped",
        "_known_rtcp",
        "_rtcp_in",
        "_rtcp_out",
        "bytes_out",
        "clock_rates",
        "connectivity",
        "inbound",
        "outbound",
        "packets_out",
        "protected",
        "source",
        "streams",
    )

    def __init__(self, connectivity: Connectivity, *, protected: bool) -> None:
        self.connectivity = connectivity
        self.protected = protected
        self.clock_rates: dict[int, int] = {}
        self.packets_out = self.bytes_out = 0
        self._rtcp_in = self._rtcp_out = 0
        self.source: Address | None = None
        self.inbound: SrtpInbound | None = None
        self.outbound: SrtpOutbound | None = None
        self.streams: dict[int, StreamReception] = {}
        self._known_rtcp: set[int] = set()
        self._dropped: dict[DropReason, int] = {}

    def use_keys(self, inbound: SrtpKey | None, outbound: SrtpKey | None) -> None:
        """Sets the keys of both directions; None stops that direction.

        A key that stays keeps its rollover counters and replay windows (RFC 3711 section 3.2.1).
        """
        if inbound is None:
            self.inbound = None
        elif self.inbound is None or self.inbound.key != inbound:
            self.inbound = SrtpInbound(inbound)
            self._known_rtcp.clear()
        if outbound is None:
            self.outbound = None
        elif self.outbound is None or self.outbound.key != outbound:
            self.outbound = SrtpOutbound(outbound)

    @property
    def packets_in(self) -> int:
        """RTP packets accepted."""
        return sum(stream.received for stream in self.streams.values())

    @property
    def heard(self) -> int:
        """Packets accepted, RTCP included: what shows that the peer lives."""
        return self.packets_in + self._rtcp_in

    @property
    def ready(self) -> bool:
        """Whether packets may be sent to the peer now."""
        return self.connectivity.destination is not None and not (
            self.protected and self.outbound is None
        )

    def readdress(self) -> None:
        """To be called when the connectivity's addresses changed by other means than packets."""
        self.source = None

    def accept(self, data: bytes, source: Address, now: float) -> bytes | None:
        """Returns the RTP packet in a datagram from the peer, or None where it was dropped.

        `data` must have 128..191 as first byte (RFC 7983).
        """
        if source != self.source:
            return self._accept_elsewhere(data, source, now)
        size = len(data)
        if not 12 <= size < MAX_PACKET:
            return self.drop("malformed")
        first, second, sequence_number, timestamp, ssrc = _FIXED.unpack_from(data)
        stream = self.streams.get(ssrc)
        if stream is None:
            return self._accept_stream(data, now)
        if self.protected:
            if self.inbound is None:
                return self.drop("early")
            try:
                data = self.inbound.unprotect(data)
            except SrtpRejected as rejected:
                return self.drop(rejected.reason)
        if first != 0x80 and not self._well_formed(data):
            return None
        stream.update(second, sequence_number, timestamp, size, now)
        return data

    def emit(self, packet: bytes) -> bytes | None:
        """Returns the datagram to send for an RTP packet, or None where it was dropped."""
        if self.protected:
            if self.outbound is None:
                return self.drop("early")
            try:
                packet = self.outbound.protect(packet)
            except SrtpRejected as rejected:
                return self.drop(rejected.reason)
        self.packets_out += 1
        self.bytes_out += len(packet)
        return packet

    def accept_rtcp(self, data: bytes, source: Address) -> bytes | None:
        """Returns the RTCP packet in a datagram from the peer, or None where it was dropped."""
        if self.connectivity.admits(source, rtcp=True) is Admission.NO:
            return self._drop_source()
        if not 8 <= len(data) < MAX_PACKET:
            return self.drop("malformed")
        ssrc = int.from_bytes(data[4:8], "big")
        if ssrc not in self._known_rtcp and len(self._known_rtcp) >= MAX_STREAMS:
            return self.drop("too many streams")
        if self.protected:
            if self.inbound is None:
                return self.drop("early")
            try:
                data = self.inbound.unprotect_rtcp(data)
            except SrtpRejected as rejected:
                return self.drop(rejected.reason)
        try:
            check_rtcp(data)
        except MalformedRtp:
            return self.drop("malformed")
        self._known_rtcp.add(ssrc)
        self.connectivity.learn(source, rtcp=True)
        self._rtcp_in += 1
        return data

    def emit_rtcp(self, packet: bytes) -> bytes | None:
        """Returns the datagram to send for an RTCP packet, or None where it was dropped."""
        if self.protected:
            if self.outbound is None:
                return self.drop("early")
            try:
                packet = self.outbound.protect_rtcp(packet)
            except SrtpRejected as rejected:
                return self.drop(rejected.reason)
        self._rtcp_out += 1
        return packet

    def drop(self, reason: DropReason) -> bytes | None:
        """Counts a datagram that goes nowhere; returns None, for the caller to return."""
        self._dropped[reason] = self._dropped.get(reason, 0) + 1
        return None

    def statistics(self) -> LegStatistics:
        """A snapshot of everything counted so far."""
        streams = tuple(
            StreamStatistics(stream.ssrc, stream.received, stream.lost, stream.jitter)
            for stream in self.streams.values()
        )
        return LegStatistics(
            self.packets_in,
            sum(stream.bytes for stream in self.streams.values()),
            self.packets_out,
            self.bytes_out,
            self._rtcp_in,
            self._rtcp_out,
            sum(stream.lost for stream in streams),
            max(streams, key=lambda stream: stream.received).jitter if streams else 0.0,
            streams,
            {str(reason): count for reason, count in self._dropped.items()},
        )

    def _accept_elsewhere(self, data: bytes, source: Address, now: float) -> bytes | None:
        """A packet from another address than the one before: admitted, proved or dropped."""
        if self.connectivity.admits(source, rtcp=False) is Admission.NO:
            return self._drop_source()
        before, self.source = self.source, source
        packet = self.accept(data, source, now)
        if packet is None:
            self.source = before
        else:
            self.connectivity.learn(source, rtcp=False)
        return packet

    def _accept_stream(self, data: bytes, now: float) -> bytes | None:
        """The first packet of an SSRC: it becomes a stream only if it authenticates."""
        ssrc = int.from_bytes(data[8:12], "big")
        if len(self.streams) >= MAX_STREAMS:
            return self.drop("too many streams")
        assert self.source is not None
        self.streams[ssrc] = StreamReception(ssrc, self.clock_rates)
        packet = self.accept(data, self.source, now)
        if packet is None:
            del self.streams[ssrc]
        return packet

    def _well_formed(self, data: bytes) -> bool:
        """Padding, extension or CSRCs: whether they fit into the packet."""
        try:
            parse_rtp(data)
        except MalformedRtp:
            self.drop("malformed")
            return False
        return True

    def _drop_source(self) -> bytes | None:
        return self.drop("early" if self.connectivity.destination is None else "source")
