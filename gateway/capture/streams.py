"""SIP out of captured TCP segments (RFC 9293, RFC 3261 section 18.3), as far as they were captured.

Segments may come twice, in any order, or not at all. What was lost is skipped: reading goes on at
the next segment that begins with a SIP start line.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from gateway.capture.packet import Segment
from sip.stream import Framed, StreamFramer

MAX_STREAMS: Final = 4_096
MAX_WAITING: Final = 64
_WINDOW: Final = 1 << 20
_SEQUENCE: Final = 1 << 32
_START_LINE: Final = re.compile(rb"(?:\r\n)*(?:[A-Z]{3,20} (?i:sips?|tel|urn):|SIP/2\.0 [1-6])")
_TLS_RECORD: Final = (b"\x16\x03", b"\x17\x03")


def begins_like_sip(data: bytes) -> bool:
    """Whether octets begin with what can be a SIP start line."""
    return _START_LINE.match(data) is not None


@dataclass(slots=True)
class _Stream:
    """One direction of a connection. `expected`: the next sequence number, None while lost."""

    expected: int | None = None
    framer: StreamFramer = field(default_factory=StreamFramer)
    waiting: dict[int, Segment] = field(default_factory=dict)
    encrypted: bool = False


class TcpStreams:
    """The directions of all connections of a capture; those unheard of longest are given up."""

    def __init__(self) -> None:
        self._streams: OrderedDict[tuple[str, str], _Stream] = OrderedDict()
        self.encrypted = 0

    def add(self, segment: Segment) -> Iterator[tuple[Segment, Framed]]:
        """Take a segment; gives every message that is whole now, with the segment that ended it."""
        key = (segment.source, segment.destination)
        stream = self._streams.get(key)
        if stream is None or segment.opens:
            if stream is None and len(self._streams) >= MAX_STREAMS:
                self._streams.popitem(last=False)
            stream = self._streams[key] = _Stream()
            if segment.opens:
                stream.expected = (segment.sequence + 1) % _SEQUENCE
        self._streams.move_to_end(key)
        if segment.payload and not segment.opens:
            self._notice_tls(stream, segment.payload)
            yield from self._take(stream, segment)
        if segment.closes and not stream.waiting:
            del self._streams[key]

    def finish(self) -> Iterator[tuple[Segment, Framed]]:
        """Give what can be read of segments that still wait for a lost one."""
        for stream in self._streams.values():
            while stream.waiting:
                yield from self._skip_gap(stream)

    def _notice_tls(self, stream: _Stream, payload: bytes) -> None:
        if not stream.encrypted and payload.startswith(_TLS_RECORD):
            stream.encrypted = True
            self.encrypted += 1

    def _take(self, stream: _Stream, segment: Segment) -> Iterator[tuple[Segment, Framed]]:
        if stream.expected is None:
            if not begins_like_sip(segment.payload):
                return
            stream.expected = segment.sequence
        ahead = (segment.sequence - stream.expected) % _SEQUENCE
        if 0 < ahead < _WINDOW:
            stream.waiting.setdefault(segment.sequence, segment)
            if len(stream.waiting) > MAX_WAITING:
                yield from self._skip_gap(stream)
            return
        yield from self._read(stream, segment)
        while stream.expected is not None:
            found = self._next_waiting(stream)
            if found is None:
                return
            yield from self._read(stream, found)

    def _next_waiting(self, stream: _Stream) -> Segment | None:
        """The waiting segment that goes on where reading stands, if only with its last part."""
        assert stream.expected is not None
        for sequence in stream.waiting:
            if (stream.expected - sequence) % _SEQUENCE < _WINDOW:
                return stream.waiting.pop(sequence)
        return None

    def _read(self, stream: _Stream, segment: Segment) -> Iterator[tuple[Segment, Framed]]:
        """Read a segment that starts at, or before, the place where reading stands."""
        assert stream.expected is not None
        known = (stream.expected - segment.sequence) % _SEQUENCE
        if known >= _WINDOW:  # far off: another connection between the same ports
            self._lose(stream)
            if not begins_like_sip(segment.payload):
                return
            stream.expected, known = segment.sequence, 0
        payload = segment.payload[known:]
        if not payload:
            return
        if stream.framer.is_idle and not payload.strip(b"\r\n"):
            stream.expected = (stream.expected + len(payload)) % _SEQUENCE  # keep-alives
            return
        if stream.framer.is_idle and not begins_like_sip(payload):
            self._lose(stream)
            return
        stream.expected = (stream.expected + len(payload)) % _SEQUENCE
        for framed in stream.framer.feed(payload):
            yield segment, framed
            if isinstance(framed, ValueError):  # nothing after it can be framed
                self._lose(stream)
                return
        if segment.missing:
            self._lose(stream)

    def _skip_gap(self, stream: _Stream) -> Iterator[tuple[Segment, Framed]]:
        """Give up what is missing, and go on with the first segment that waits."""
        base = stream.expected or 0
        first = min(stream.waiting, key=lambda sequence: (sequence - base) % _SEQUENCE)
        segment = stream.waiting.pop(first)
        self._lose(stream)
        yield from self._take(stream, segment)

    def _lose(self, stream: _Stream) -> None:
        stream.expected = None
        stream.framer = StreamFramer()
