"""RTP and RTCP headers as far as a relay needs them, and what RFC 3550 counts about a stream."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

MAX_DROPOUT = 3000
"""Sequence numbers a stream may skip before it counts as restarted (RFC 3550 appendix A.1)."""
MAX_MISORDER = 100
"""Sequence numbers a packet may be late before the stream counts as restarted (A.1)."""
DEFAULT_CLOCK_RATE = 8000

_FIXED = struct.Struct("!BBHII")
_RTCP_HEADER = struct.Struct("!BBH")


class MalformedRtp(ValueError):
    """The peer's packet is not RTP or RTCP; `reason` says why in one word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class RtpHeader:
    """The fixed RTP header (RFC 3550 section 5.1) and where the payload begins, in bytes."""

    payload_type: int
    marker: bool
    sequence_number: int
    timestamp: int
    ssrc: int
    payload_offset: int


def parse_rtp(data: bytes) -> RtpHeader:
    """Reads an RTP header; raises `MalformedRtp` where it is cut short (RFC 3550 section 5)."""
    if len(data) < 12:
        raise MalformedRtp("truncated")
    first, second, sequence_number, timestamp, ssrc = _FIXED.unpack_from(data)
    if first >> 6 != 2:
        raise MalformedRtp("version")
    offset = 12 + 4 * (first & 0x0F)
    if first & 0x10:
        if len(data) < offset + 4:
            raise MalformedRtp("truncated")
        offset += 4 + 4 * int.from_bytes(data[offset + 2 : offset + 4], "big")
    if len(data) < offset:
        raise MalformedRtp("truncated")
    if first & 0x20 and not 0 < data[-1] <= len(data) - offset:
        raise MalformedRtp("padding")
    return RtpHeader(second & 0x7F, second > 127, sequence_number, timestamp, ssrc, offset)


def check_rtcp(data: bytes) -> int:
    """Returns the sender's SSRC of an RTCP packet whose parts fill it exactly.

    Compound (RFC 3550 section 6.1) and reduced-size (RFC 5506) packets pass. Raises
    `MalformedRtp` where a part is cut short, has another version, or bytes are left over.
    """
    size, at = len(data), 0
    if size < 8:
        raise MalformedRtp("truncated")
    while at < size:
        if size - at < 4:
            raise MalformedRtp("truncated")
        first, packet_type, words = _RTCP_HEADER.unpack_from(data, at)
        if first >> 6 != 2 or not 192 <= packet_type <= 223:
            raise MalformedRtp("version")
        at += 4 * (words + 1)
    if at != size:
        raise MalformedRtp("truncated")
    return int.from_bytes(data[4:8], "big")


class StreamReception:
    """What one SSRC sent us: counts by RFC 3550 appendix A.1, A.3 and A.8.

    Mutable because it is touched once a packet; `update` is the only writer.
    """

    __slots__ = (
        "_bad_sequence",
        "_base",
        "_clock_rates",
        "_cycles",
        "_expected_before",
        "_highest",
        "_jitter",
        "_payload_type",
        "_rate",
        "_transit",
        "bytes",
        "received",
        "ssrc",
    )

    def __init__(self, ssrc: int, clock_rates: Mapping[int, int]) -> None:
        self.ssrc = ssrc
        self.received = 0
        self.bytes = 0
        self._clock_rates = clock_rates
        self._base = 0
        self._highest = -2  # nothing yet: no number follows it
        self._cycles = 0
        self._bad_sequence = -1
        self._expected_before = 0
        self._rate = DEFAULT_CLOCK_RATE
        self._payload_type = -1
        self._transit = 0.0
        self._jitter = 0.0

    def update(
        self, second_byte: int, sequence_number: int, timestamp: int, size: int, now: float
    ) -> None:
        """Counts one accepted datagram of `size` bytes; `now` in seconds of any steady clock.

        `second_byte` is that of the RTP header: marker and payload type.
        """
        if second_byte & 0x7F != self._payload_type:
            self._change_payload_type(second_byte & 0x7F, timestamp, now)
        if sequence_number == self._highest + 1:
            self._highest = sequence_number
        else:
            self._count_out_of_order(sequence_number)
        self.received += 1
        self.bytes += size
        transit = now * self._rate - timestamp
        change = transit - self._transit
        self._transit = transit
        if change < 0:
            change = -change
        # A step of more than a day of audio is the timestamp wrapping or restarting, not jitter.
        if change < 1e9:
            self._jitter += (change - self._jitter) * 0.0625

    def _count_out_of_order(self, sequence_number: int) -> None:
        """The first packet, a gap, a packet out of order, a wrap or a restart (A.1)."""
        if not self.received:
            self._base = self._highest = sequence_number
            return
        step = (sequence_number - self._highest) & 0xFFFF
        if step < MAX_DROPOUT:
            if sequence_number < self._highest:
                self._cycles += 0x10000
            self._highest = sequence_number
        elif step <= 0x10000 - MAX_MISORDER:
            self._jump(sequence_number)

    def _change_payload_type(self, payload_type: int, timestamp: int, now: float) -> None:
        self._payload_type = payload_type
        rate = self._clock_rates.get(payload_type, DEFAULT_CLOCK_RATE)
        if rate != self._rate:
            self._jitter *= rate / self._rate
            self._rate = rate
        # A new clock: a difference to the packet before would compare two time lines.
        self._transit = now * rate - timestamp

    def _jump(self, sequence_number: int) -> None:
        """Two packets in order after a large jump make a restarted stream (A.1)."""
        if sequence_number != self._bad_sequence:
            self._bad_sequence = (sequence_number + 1) & 0xFFFF
            return
        self._expected_before = self.expected + 1  # the first packet of the jump counts too
        self._base = self._highest = sequence_number
        self._cycles = 0
        self._bad_sequence = -1

    @property
    def expected(self) -> int:
        """Packets the sequence numbers say were sent."""
        if not self.received:
            return 0
        return self._expected_before + self._cycles + self._highest - self._base + 1

    @property
    def lost(self) -> int:
        """Expected less received, never below 0 (duplicates hide losses, RFC 3550 A.3)."""
        return max(0, self.expected - self.received)

    @property
    def jitter(self) -> float:
        """Interarrival jitter in seconds (RFC 3550 section 6.4.1)."""
        return self._jitter / self._rate
