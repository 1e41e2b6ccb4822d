"""The sockets of media, and the one place that reads them.

All media sockets of a process hang on one epoll object, and only that object on the event loop:
under load one turn of the loop serves a batch of packets, which costs a tenth less CPU a packet
than a loop callback for each (bench/media_relay.py).
"""

from __future__ import annotations

import asyncio
import errno
import select
import socket
from collections.abc import Callable
from typing import Final

from media.ice_values import Address
from media.srtp import MAX_PACKET

BATCH: Final = 128
"""Sockets served in one turn of the event loop, so that signalling is never starved."""
RECEIVE_BUFFER: Final = 64 * 1024
"""Bytes the kernel may queue for one socket: what a flood at one port can hold of memory."""
MAX_QUEUED: Final = 1024
"""More datagrams than the kernel can have queued in such a buffer (twice its size, 256 B each)."""


class UdpPoller:
    """Reads all media sockets of one event loop; made in and used from its thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._readers: dict[int, Callable[[], object]] = {}
        loop.add_reader(self._epoll.fileno(), self._ready)

    def __len__(self) -> int:
        return len(self._readers)

    def add(self, fd: int, read: Callable[[], object]) -> None:
        """Calls `read` whenever the socket can be read, once a datagram; replaces one before."""
        if fd not in self._readers:
            self._epoll.register(fd, select.EPOLLIN)
        self._readers[fd] = read

    def remove(self, fd: int) -> None:
        """Stops reading the socket; to be called before it is closed."""
        if self._readers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def close(self) -> None:
        """Leaves the event loop; the sockets stay their owners'."""
        self._loop.remove_reader(self._epoll.fileno())
        self._readers.clear()
        self._epoll.close()

    def _ready(self) -> None:
        readers = self._readers
        for fd, _ in self._epoll.poll(0, BATCH):
            read = readers.get(fd)
            if read is not None:  # else closed by a datagram of this very batch
                read()


class MediaSocket:
    """One UDP socket: bound when made, read until closed.

    Raises `OSError` from the constructor where the address cannot be bound.
    """

    __slots__ = (
        "_poller",
        "_read",
        "_socket",
        "peer",
        "recv_into",
        "recvfrom_into",
        "send_to",
        "send_to_peer",
        "unsent",
    )

    def __init__(self, poller: UdpPoller, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setblocking(False)
            if family == socket.AF_INET6:
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            self._socket.bind((host, port))
        except OSError:
            self._socket.close()
            raise
        self.peer: Address | None = None
        self.unsent = 0
        self.recv_into: Callable[[memoryview], int] = self._socket.recv_into
        self.recvfrom_into: Callable[[memoryview], tuple[int, Address]] = (
            self._socket.recvfrom_into if family == socket.AF_INET else self._recvfrom_into_v6
        )
        self.send_to_peer: Callable[[bytes | memoryview], int] = self._socket.send
        self.send_to: Callable[[bytes | memoryview, Address], int] = self._socket.sendto
        self._poller = poller
        self._read: Callable[[], bool] | None = None

    def read_by(self, read: Callable[[], bool]) -> None:
        """Has the poller call `read` for each datagram; it returns False where there is none."""
        self._read = read
        if self._socket.fileno() >= 0:
            self._poller.add(self._socket.fileno(), read)

    def connect(self, peer: Address) -> None:
        """Lets the kernel take from and send to one address only, from now on.

        What it queued from others before is read first, each with its source. Where there is no
        route the socket stays as it was.
        """
        if peer == self.peer:
            return
        self.peer = None
        try:
            self._socket.connect(peer)
        except OSError:
            return
        for _ in range(MAX_QUEUED):
            if self._read is None or not self._read():
                break
        self.peer = peer

    def send(self, data: bytes, destination: Address | None) -> None:
        """Sends one datagram now or never: media is not queued. Failures are counted."""
        try:
            if destination is not None and destination == self.peer:
                self.send_to_peer(data)
            elif destination is not None:
                self.send_to(data, destination)
        except OSError:
            # Full buffer, ICMP unreachable from before, no route, closed: lost like any packet.
            self.unsent += 1

    def close(self) -> None:
        """Idempotent."""
        if self._socket.fileno() >= 0:
            self._poller.remove(self._socket.fileno())
            self._socket.close()

    def _recvfrom_into_v6(self, room: memoryview) -> tuple[int, Address]:
        size, source = self._socket.recvfrom_into(room)
        return size, (source[0], source[1])


def reader(intake: MediaSocket, receive: Callable[[bytes, Address], None]) -> Callable[[], bool]:
    """Makes the function that reads one datagram and hands it to `receive`: for RTCP ports."""
    room = bytearray(MAX_PACKET)

    def read() -> bool:
        try:
            size, source = intake.recvfrom_into(memoryview(room))
        except OSError:
            return False
        receive(bytes(room[:size]), source)
        return True

    return read


def busy(error: OSError) -> bool:
    """Whether another program holds the port, so that another port may do."""
    return error.errno in (errno.EADDRINUSE, errno.EACCES)
