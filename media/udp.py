"""The sockets of media, and the one place that reads them.

All media sockets of a process hang on one epoll object, and only that object on the event loop:
under load one turn of the loop serves a batch of packets, which costs a tenth less CPU a packet
than a loop callback for each (bench/media_relay.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import select
import socket
from collections.abc import Callable
from typing import Final

from media.ice_values import Address

MAX_DATAGRAM: Final = 2048
"""Bytes read of one datagram; the rest of a longer one is cut off, and it fails its checks."""
BATCH: Final = 128
"""Sockets served in one turn of the event loop, so that signalling is never starved."""
RECEIVE_BUFFER: Final = 64 * 1024
"""Bytes the kernel may queue for one socket: what a flood at one port can hold of memory."""

Receive = Callable[[bytes, Address], None]
"""Called with each datagram and its source (numeric host, port)."""


class UdpPoller:
    """Reads all media sockets of one event loop; made in and used from its thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._readers: dict[int, Callable[[], None]] = {}
        loop.add_reader(self._epoll.fileno(), self._ready)

    def __len__(self) -> int:
        return len(self._readers)

    def add(self, fd: int, read: Callable[[], None]) -> None:
        """Calls `read` whenever the socket can be read, once a datagram."""
        self._readers[fd] = read
        self._epoll.register(fd, select.EPOLLIN)

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


def _ignore(_data: bytes, _source: Address) -> None:
    """Takes what comes before anybody wants it."""


class MediaSocket:
    """One UDP socket: bound when made, read until closed; datagrams go to `receive`.

    Raises `OSError` from the constructor where the address cannot be bound.
    """

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
        self.port: int = self._socket.getsockname()[1]
        self.peer: Address | None = None
        self.unsent = 0
        self.receive: Receive = _ignore
        self._recvfrom = self._socket.recvfrom
        self._send = self._socket.send
        self._sendto = self._socket.sendto
        self._cut = family == socket.AF_INET6
        self._poller = poller
        poller.add(self._socket.fileno(), self._read)

    def connect(self, peer: Address) -> None:
        """Lets the kernel take from and send to one address only, from now on.

        What it queued from others before is still handed over, source and all. Where there is
        no route the socket stays as it was.
        """
        if peer != self.peer:
            with contextlib.suppress(OSError):
                self._socket.connect(peer)
                self.peer = peer

    def send(self, data: bytes, destination: Address | None) -> None:
        """Sends one datagram now or never: media is not queued. Failures are counted."""
        try:
            if destination == self.peer:
                self._send(data)
            elif destination is not None:
                self._sendto(data, destination)
        except OSError:
            # Full buffer, ICMP unreachable from before, no route, closed: lost like any packet.
            self.unsent += 1

    def close(self) -> None:
        """Idempotent."""
        if self._socket.fileno() >= 0:
            self._poller.remove(self._socket.fileno())
            self._socket.close()

    def _read(self) -> None:
        try:
            data, source = self._recvfrom(MAX_DATAGRAM)
        except OSError:
            return  # nothing there after all, or an ICMP error of something we sent
        self.receive(data, (source[0], source[1]) if self._cut else source)


def busy(error: OSError) -> bool:
    """Whether another program holds the port, so that another port may do."""
    return error.errno in (errno.EADDRINUSE, errno.EACCES)
