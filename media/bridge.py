"""Joins two legs: packet by packet, without decoding and without queues.

datagram -> demux -> admit source -> unprotect -> count -> protect -> datagram
"""

from __future__ import annotations

from typing import NamedTuple

from media.ice_values import Address
from media.leg import Leg


class Rtcp(NamedTuple):
    """An RTCP datagram and where it goes; `own_port`: from the RTCP port, not multiplexed."""

    data: bytes
    destination: Address
    own_port: bool


class Direction:
    """What happens to the packets that come from one leg and go to the other."""

    __slots__ = ("_accept", "_emit", "_from", "_to", "_to_connectivity")

    def __init__(self, came_from: Leg, goes_to: Leg) -> None:
        self._from, self._to = came_from, goes_to
        self._accept = came_from.accept
        self._emit = goes_to.emit
        self._to_connectivity = goes_to.connectivity

    def rtp(self, data: bytes, source: Address, now: float) -> bytes | None:
        """Returns the datagram for the other leg's destination; None where it was dropped.

        Header and payload pass unchanged: both sides agreed on the same payload types.
        """
        packet = self._accept(data, source, now)
        if packet is None:
            return None
        if self._to_connectivity.destination is None:
            self._to.drop("no destination")
            return None
        return self._emit(packet)

    def rtcp(self, data: bytes, source: Address) -> Rtcp | None:
        """The same for RTCP, which may change between a port of its own and RTP's."""
        packet = self._from.accept_rtcp(data, source)
        if packet is None:
            return None
        destination = self._to_connectivity.rtcp_destination
        if destination is None:
            self._to.drop("no destination")
            return None
        datagram = self._to.emit_rtcp(packet)
        if datagram is None:
            return None
        return Rtcp(datagram, destination, destination != self._to_connectivity.destination)
