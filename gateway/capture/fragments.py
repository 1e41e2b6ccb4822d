"""Putting IP fragments together (RFC 791 section 3.2, RFC 8200 section 4.5), within bounds.

Fragments that overlap make the whole packet void, in IPv4 as RFC 5722 wants it in IPv6: there is no
telling which of the two contents the receiver saw. A fragment that merely came twice does no harm.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

MAX_PACKETS: Final = 1_024
MAX_FRAGMENTS: Final = 256
MAX_SIZE: Final = 65_535
_SECONDS: Final = 60.0

Key = tuple[str, str, int, int]


@dataclass(frozen=True, slots=True)
class Fragment:
    """One fragment: of which packet, where it starts, whether more follow."""

    time: float
    key: Key
    start: int
    more: bool
    payload: bytes = field(repr=False)


@dataclass(slots=True)
class _Packet:
    since: float
    parts: dict[int, bytes] = field(default_factory=dict)
    size: int | None = None


class Fragments:
    """Fragments whose packets are not whole yet; the oldest packet goes when there are too many."""

    def __init__(self) -> None:
        self._packets: OrderedDict[Key, _Packet] = OrderedDict()
        self.discarded = 0

    def add(self, fragment: Fragment) -> bytes | None:
        """Take a fragment; returns the payload of the packet it completes."""
        packet = self._packets.get(fragment.key)
        if packet is not None and abs(fragment.time - packet.since) > _SECONDS:
            self._discard(fragment.key)
            packet = None
        if packet is None:
            if len(self._packets) >= MAX_PACKETS:
                self._discard(next(iter(self._packets)))
            packet = self._packets[fragment.key] = _Packet(fragment.time)
        if not _accept(packet, fragment):
            self._discard(fragment.key)
            return None
        whole = _whole(packet)
        if whole is not None:
            del self._packets[fragment.key]
        return whole

    def _discard(self, key: Key) -> None:
        del self._packets[key]
        self.discarded += 1


def _accept(packet: _Packet, fragment: Fragment) -> bool:
    """Add a fragment where it contradicts nothing: only the last may end off an 8-octet border."""
    start, payload = fragment.start, fragment.payload
    end = start + len(payload)
    if packet.parts.get(start) == payload and (fragment.more or packet.size == end):
        return True
    if not payload or end > MAX_SIZE or len(packet.parts) >= MAX_FRAGMENTS:
        return False
    if fragment.more and len(payload) % 8:
        return False
    if any(start < at + len(part) and at < end for at, part in packet.parts.items()):
        return False
    if not fragment.more:
        if packet.size is not None:
            return False
        packet.size = end
    packet.parts[start] = payload
    furthest = max(at + len(part) for at, part in packet.parts.items())
    return packet.size is None or furthest <= packet.size


def _whole(packet: _Packet) -> bytes | None:
    if packet.size is None or sum(map(len, packet.parts.values())) != packet.size:
        return None
    return b"".join(packet.parts[start] for start in sorted(packet.parts))
