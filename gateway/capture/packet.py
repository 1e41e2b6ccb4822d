"""From a captured frame to what UDP or TCP carries: link layers, IPv4, IPv6 and their fragments.

Strict: a header that contradicts itself makes the frame one that is not looked at.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass, field
from typing import Final

from gateway.capture.file import Frame
from gateway.capture.fragments import Fragment, Fragments

_NULL, _ETHERNET, _LOOP, _LINUX_SLL, _LINUX_SLL2 = 0, 1, 108, 113, 276
# LINKTYPE_RAW, and what DLT_RAW was called by BSDs; LINKTYPE_IPV4 and LINKTYPE_IPV6.
_RAW: Final = frozenset({12, 14, 101, 228, 229})
KNOWN_LINK_TYPES: Final = frozenset({_NULL, _ETHERNET, _LOOP, _LINUX_SLL, _LINUX_SLL2, *_RAW})
_IPV4, _IPV6 = 0x0800, 0x86DD
_VLANS: Final = frozenset({0x8100, 0x88A8, 0x9100})
_MAX_VLANS: Final = 4
_MAX_EXTENSION_HEADERS: Final = 8
_TCP, _UDP = 6, 17
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _DESTINATION = 0, 43, 44, 51, 60
_SYN, _RST, _FIN = 0x02, 0x04, 0x01


@dataclass(frozen=True, slots=True)
class Datagram:
    """What one UDP datagram carried; `missing` octets were not captured."""

    time: float
    source: str
    destination: str
    payload: bytes = field(repr=False)
    missing: int = 0


@dataclass(frozen=True, slots=True)
class Segment:
    """What one TCP segment carried; `missing` octets were not captured."""

    time: float
    source: str
    destination: str
    sequence: int
    opens: bool
    closes: bool
    payload: bytes = field(repr=False)
    missing: int = 0


@dataclass(frozen=True, slots=True)
class _Internet:
    """An IP packet whose headers are done: addresses, protocol, and what it carries."""

    source: str
    destination: str
    protocol: int
    payload: bytes
    missing: int


class PacketReader:
    """Reads frames one after the other; keeps what fragments need, within bounds."""

    def __init__(self) -> None:
        self._fragments = Fragments()

    @property
    def discarded(self) -> int:
        """How many fragmented packets never became whole, or were contradictory."""
        return self._fragments.discarded

    def read(self, frame: Frame) -> Datagram | Segment | None:
        """Return what the frame completes; None for everything that is neither UDP nor TCP."""
        try:
            packet = self._internet(frame)
            if packet is None:
                return None
            if packet.protocol == _UDP:
                return _datagram(frame.time, packet)
            return _segment(frame.time, packet) if packet.protocol == _TCP else None
        except (struct.error, IndexError):  # a header that is longer than what is left
            return None

    def _internet(self, frame: Frame) -> _Internet | None:
        data = _without_link_header(frame)
        if not data:
            return None
        if data[0] >> 4 == 4:
            return self._ipv4(frame.time, data)
        return self._ipv6(frame.time, data) if data[0] >> 4 == 6 else None

    def _ipv4(self, time: float, data: bytes) -> _Internet | None:
        length = (data[0] & 0x0F) * 4
        total, identification, flags = struct.unpack_from("!HHH", data, 2)
        protocol = data[9]
        total = total or len(data)  # 0 where the network card was to cut the packet up
        if length < 20 or total < length or len(data) < 20:
            return None
        source, destination = (str(ipaddress.IPv4Address(data[i : i + 4])) for i in (12, 16))
        payload, missing = data[length:total], max(0, total - len(data))
        start, more = (flags & 0x1FFF) * 8, bool(flags & 0x2000)
        if start or more:
            if missing:
                return None
            key = (source, destination, protocol, identification)
            whole = self._fragments.add(Fragment(time, key, start, more, payload))
            if whole is None:
                return None
            payload = whole
        return _Internet(source, destination, protocol, payload, missing)

    def _ipv6(self, time: float, data: bytes) -> _Internet | None:
        length, following = struct.unpack_from("!HB", data, 4)
        if len(data) < 40:
            return None
        source, destination = (str(ipaddress.IPv6Address(data[i : i + 16])) for i in (8, 24))
        payload = data[40 : 40 + length] if length else data[40:]
        missing = max(0, length - len(payload))
        for _ in range(_MAX_EXTENSION_HEADERS):
            if following == _FRAGMENT:
                inner, offset, identification = struct.unpack_from("!BxHI", payload)
                key = (source, destination, inner, identification)
                start, more = offset & 0xFFF8, bool(offset & 1)
                part = Fragment(time, key, start, more, payload[8:])
                whole = None if missing else self._fragments.add(part)
                if whole is None:
                    return None
                following, payload = inner, whole
            elif following in (_HOP_BY_HOP, _ROUTING, _DESTINATION):
                following, payload = payload[0], payload[(payload[1] + 1) * 8 :]
            elif following == _AUTHENTICATION:
                following, payload = payload[0], payload[(payload[1] + 2) * 4 :]
            else:
                return _Internet(source, destination, following, payload, missing)
        return None


def _without_link_header(frame: Frame) -> bytes:
    """Return the IP packet of a frame, or nothing where it carries another protocol."""
    data, link = frame.data, frame.link_type
    if link in _RAW:
        return data
    if link in (_NULL, _LOOP):  # the protocol family differs between systems; the version tells
        return data[4:]
    if link == _ETHERNET:
        return _by_protocol(data, 12)
    if link == _LINUX_SLL:
        return _by_protocol(data, 14)
    if link == _LINUX_SLL2 and len(data) > 20:
        return _by_protocol(data[:2] + data[20:], 0)  # what stands between is no protocol
    return b""


def _by_protocol(data: bytes, place: int) -> bytes:
    for _ in range(_MAX_VLANS):
        if len(data) < place + 2:
            return b""
        if _is_ip(data, place):
            return data[place + 2 :]
        if int.from_bytes(data[place : place + 2], "big") not in _VLANS:
            return b""
        place += 4
    return b""


def _is_ip(data: bytes, place: int) -> bool:
    return int.from_bytes(data[place : place + 2], "big") in (_IPV4, _IPV6)


def _datagram(time: float, packet: _Internet) -> Datagram | None:
    source, destination, length = struct.unpack_from("!HHH", packet.payload)
    length = length or len(packet.payload)
    if length < 8 or length > len(packet.payload) + packet.missing:
        return None
    payload = packet.payload[8:length]
    return Datagram(
        time,
        _endpoint(packet.source, source),
        _endpoint(packet.destination, destination),
        payload,
        max(0, length - 8 - len(payload)),
    )


def _segment(time: float, packet: _Internet) -> Segment | None:
    source, destination, sequence = struct.unpack_from("!HHI", packet.payload)
    length, flags = (packet.payload[12] >> 4) * 4, packet.payload[13]
    if length < 20 or length > len(packet.payload):
        return None
    return Segment(
        time,
        _endpoint(packet.source, source),
        _endpoint(packet.destination, destination),
        sequence,
        bool(flags & _SYN),
        bool(flags & (_RST | _FIN)),
        packet.payload[length:],
        packet.missing,
    )


def _endpoint(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
