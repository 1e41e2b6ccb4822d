"""The two file formats of packet captures: pcap and pcapng (draft-ietf-opsawg-pcap and -pcapng).

A capture comes from whoever has trouble, so that nothing in it is believed: every length is held
against a limit before anything is read by it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Final

MAX_PACKET: Final = 262_144  # what libpcap allows at most
_MAX_BLOCK: Final = 1_048_576
_MAX_INTERFACES: Final = 1_024
_PCAP_MAGIC: Final = {
    b"\xd4\xc3\xb2\xa1": ("<", 1e-6),
    b"\xa1\xb2\xc3\xd4": (">", 1e-6),
    b"\x4d\x3c\xb2\xa1": ("<", 1e-9),
    b"\xa1\xb2\x3c\x4d": (">", 1e-9),
}
_SECTION_HEADER: Final = b"\x0a\x0d\x0d\x0a"
_BYTE_ORDERS: Final = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
_INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _ENHANCED_PACKET = 1, 2, 3, 6
_TIME_RESOLUTION, _TIME_OFFSET = 9, 14
_FINEST_DECIMAL, _FINEST_BINARY = 20, 64
_END_OF_TIME: Final = 253_402_300_800.0  # the year 10,000, which no calendar here knows
_GZIP: Final = b"\x1f\x8b"
LINK_TYPE_MASK: Final = 0xFFFF  # the rest of the word tells the length of a frame check sequence


class MalformedCapture(ValueError):
    """The octets are no capture, or one that is damaged from here on; the message says how."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One captured frame: epoch seconds, LINKTYPE_ number, its octets, its length on the wire.

    The time is 0 where the file does not tell it, or tells one that cannot be.
    """

    time: float
    link_type: int
    data: bytes = field(repr=False)
    original_length: int


def is_capture(beginning: bytes) -> bool:
    """Whether a file that begins with these octets, at least four, is a capture."""
    return beginning[:4] in _PCAP_MAGIC or beginning[:4] == _SECTION_HEADER


def read_frames(file: BinaryIO) -> Iterator[Frame]:
    """Read the frames of a pcap or pcapng file one by one.

    Frames are at most 262,144 octets. Raises MalformedCapture, perhaps after many good frames: a
    capture that was interrupted ends in the middle of one.
    """
    magic = file.read(4)
    if magic in _PCAP_MAGIC:
        yield from _pcap(file, *_PCAP_MAGIC[magic])
    elif magic == _SECTION_HEADER:
        yield from _Pcapng(file).frames()
    elif magic[:2] == _GZIP:
        raise MalformedCapture("it is compressed: unpack it with gunzip first")
    else:
        raise MalformedCapture("neither a pcap nor a pcapng file")


def _pcap(file: BinaryIO, order: str, unit: float) -> Iterator[Frame]:
    header = _exactly(file, 20, "the file header")
    _, _, _, _, _, link = struct.unpack(f"{order}HHiIII", header)
    record = struct.Struct(f"{order}IIII")
    while head := file.read(record.size):
        if len(head) < record.size:
            raise MalformedCapture("it ends inside a packet")
        seconds, fraction, captured, original = record.unpack(head)
        if captured > MAX_PACKET:
            raise MalformedCapture(f"a packet of {captured} octets")
        data = _exactly(file, captured, "a packet")
        yield Frame(seconds + fraction * unit, link & LINK_TYPE_MASK, data, original)


@dataclass(frozen=True, slots=True)
class _Interface:
    link_type: int
    snap_length: int
    unit: float = 1e-6
    offset: int = 0


class _Pcapng:
    """Reads block after block; each section has its own byte order and interfaces."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._order = "<"
        self._interfaces: list[_Interface] = []

    def frames(self) -> Iterator[Frame]:
        self._section()
        while kind := self._file.read(4):
            if len(kind) < 4:
                raise MalformedCapture("it ends inside a block")
            if kind == _SECTION_HEADER:
                self._section()
                continue
            frame = self._block(self._number(kind))
            if frame is not None:
                yield frame

    def _section(self) -> None:
        rest = _exactly(self._file, 8, "a section header")
        order = _BYTE_ORDERS.get(rest[4:])
        if order is None:
            raise MalformedCapture("a section of unknown byte order")
        self._order = order
        self._interfaces.clear()
        length = self._number(rest[:4])
        if not 28 <= length <= _MAX_BLOCK or length % 4:
            raise MalformedCapture(f"a section header of {length} octets")
        self._skip(length - 12)

    def _block(self, kind: int) -> Frame | None:
        length = self._number(_exactly(self._file, 4, "a block"))
        if length < 12 or length % 4:
            raise MalformedCapture(f"a block of {length} octets")
        if kind not in (_INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _ENHANCED_PACKET):
            self._skip(length - 8)
            return None
        if length > _MAX_BLOCK:
            raise MalformedCapture(f"a block of {length} octets")
        body = _exactly(self._file, length - 12, "a block")
        if self._number(_exactly(self._file, 4, "a block")) != length:
            raise MalformedCapture("a block whose two lengths differ")
        if kind == _INTERFACE:
            self._add_interface(body)
            return None
        return self._simple(body) if kind == _SIMPLE_PACKET else self._packet(kind, body)

    def _packet(self, kind: int, body: bytes) -> Frame:
        if len(body) < 20:
            raise MalformedCapture("a packet block without its fields")
        form = "HHIIII" if kind == _OLD_PACKET else "IIIII"
        number, *others = struct.unpack_from(self._order + form, body)
        high, low, captured, original = others[-4:]
        interface = self._interface(number)
        data = _captured(body[20:], captured)
        time = ((high << 32) | low) * interface.unit + interface.offset
        return Frame(time if 0 <= time < _END_OF_TIME else 0.0, interface.link_type, data, original)

    def _simple(self, body: bytes) -> Frame:
        """A packet without time or interface: it is the first one's, and its time is 0."""
        if len(body) < 4:
            raise MalformedCapture("a packet block without its fields")
        interface = self._interface(0)
        original = self._number(body[:4])
        captured = min(original, interface.snap_length or original)
        return Frame(0.0, interface.link_type, _captured(body[4:], captured), original)

    def _interface(self, number: int) -> _Interface:
        if number >= len(self._interfaces):
            raise MalformedCapture(f"a packet of interface {number}, which is not described")
        return self._interfaces[number]

    def _add_interface(self, body: bytes) -> None:
        if len(body) < 8 or len(self._interfaces) >= _MAX_INTERFACES:
            raise MalformedCapture("an interface description that cannot be used")
        link, _, snap_length = struct.unpack_from(f"{self._order}HHI", body)
        unit, offset = 1e-6, 0
        for code, value in self._options(body[8:]):
            if code == _TIME_RESOLUTION and len(value) == 1:
                unit = _resolution(value[0])
            elif code == _TIME_OFFSET and len(value) == 8:
                (offset,) = struct.unpack(f"{self._order}q", value)
        self._interfaces.append(_Interface(link, snap_length, unit, offset))

    def _options(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        place = 0
        while place + 4 <= len(data):
            code, length = struct.unpack_from(f"{self._order}HH", data, place)
            if code == 0:
                return
            if place + 4 + length > len(data):
                raise MalformedCapture("an option that is longer than its block")
            yield code, data[place + 4 : place + 4 + length]
            place += 4 + length + -length % 4

    def _number(self, octets: bytes) -> int:
        (value,) = struct.unpack(f"{self._order}I", octets)
        return int(value)

    def _skip(self, length: int) -> None:
        while length:
            step = min(length, 65_536)
            _exactly(self._file, step, "a block")
            length -= step


def _resolution(value: int) -> float:
    exponent = value & 0x7F
    binary = bool(value & 0x80)
    if exponent > (_FINEST_BINARY if binary else _FINEST_DECIMAL):
        raise MalformedCapture("a time resolution that cannot be")
    return float((2 if binary else 10) ** -exponent)


def _captured(data: bytes, length: int) -> bytes:
    if length > min(len(data), MAX_PACKET):
        raise MalformedCapture(f"a packet of {length} octets in a block of {len(data)}")
    return data[:length]


def _exactly(file: BinaryIO, length: int, what: str) -> bytes:
    data = file.read(length)
    if len(data) < length:
        raise MalformedCapture(f"it ends inside {what}")
    return data
