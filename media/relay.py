"""The path that nearly every packet takes, in one function and one buffer.

What it does is `Direction.rtp` of media/bridge.py, between `recv` and `send`. A Python call, an
object or a copy less is what decides how many calls a core carries, so this one function is long,
and everything rare is left to `otherwise`, which judges the datagram in full.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Protocol

from media.ice_values import Address
from media.leg import Leg
from media.srtp import CONTENTS, LENGTH, MAX_PACKET, PROTECT, UNPROTECT, WORKSPACE, rejection

Receive = Callable[[bytes, Address], None]
"""Takes a datagram and its source (numeric host, port)."""

_FIXED = struct.Struct("!BBHII")


class DatagramSocket(Protocol):
    """What the relay needs of a socket; `peer` is set while the kernel vouches for the source."""

    peer: Address | None
    unsent: int

    @property
    def recv_into(self) -> Callable[[memoryview], int]:
        """Reads one datagram from `peer`; raises OSError where there is none."""
        ...

    @property
    def recvfrom_into(self) -> Callable[[memoryview], tuple[int, Address]]:
        """The same with the source of the datagram."""
        ...

    @property
    def send_to_peer(self) -> Callable[[memoryview], int]:
        """Sends to `peer`; raises OSError."""
        ...

    @property
    def send_to(self) -> Callable[[memoryview, Address], int]:
        """Sends to any address; raises OSError."""
        ...


def reader(
    came_from: Leg,
    goes_to: Leg,
    intake: DatagramSocket,
    outlet: DatagramSocket,
    *,
    otherwise: Receive,
    clock: Callable[[], float],
) -> Callable[[], bool]:
    """Makes the function that reads one datagram from `intake` and sends it on from `outlet`.

    It relays the next packet of a stream that `came_from` knows, from the address it knows.
    Headers with CSRCs or padding are left to `otherwise`, and those with an extension unless
    libsrtp checks its length. The function returns False where there was nothing to read.
    """
    recv_into, recvfrom_into = intake.recv_into, intake.recvfrom_into
    send_to_peer, send_to = outlet.send_to_peer, outlet.send_to
    streams, connectivity = came_from.streams, goes_to.connectivity
    secure_in, secure_out = came_from.protected, goes_to.protected
    extended = 0x90 if secure_in else 0x80
    room, contents, unpack = CONTENTS[:MAX_PACKET], CONTENTS, _FIXED.unpack_from
    workspace, length = WORKSPACE, LENGTH

    def read() -> bool:
        source = intake.peer
        try:
            if source is None:
                size, source = recvfrom_into(room)
            else:
                size = recv_into(room)
        except OSError:
            return False  # nothing there after all, or an ICMP error of something we sent
        first, second, sequence_number, timestamp, ssrc = unpack(contents)
        stream, destination = streams.get(ssrc), connectivity.destination
        inbound, outbound = came_from.inbound, goes_to.outbound
        if (
            not 12 <= size < MAX_PACKET
            or (first != 0x80 and first != extended)
            or 191 < second < 224
            or stream is None
            or destination is None
            or (source is not came_from.source and source != came_from.source)
            or (secure_in and inbound is None)
            or (secure_out and outbound is None)
        ):
            otherwise(bytes(contents[:size]), source)
            return True
        length[0] = size
        if inbound is not None:
            status = UNPROTECT(inbound.context, workspace, length)
            if status:
                came_from.drop(rejection(status))
                return True
        stream.update(second, sequence_number, timestamp, size, clock())
        if outbound is not None:
            status = PROTECT(outbound.context, workspace, length)
            if status:
                goes_to.drop(rejection(status))
                return True
        size = length[0]
        goes_to.packets_out += 1
        goes_to.bytes_out += size
        try:
            if destination is outlet.peer or destination == outlet.peer:
                send_to_peer(contents[:size])
            else:
                send_to(contents[:size], destination)
        except OSError:
            outlet.unsent += 1  # lost, as UDP may lose it anywhere
        return True

    return read
