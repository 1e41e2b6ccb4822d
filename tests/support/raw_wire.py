"""Sockets that speak SIP octet by octet: what arrives is kept, what is sent is up to the test."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from sip.flow import Address, Transport
from sip.message import Request, Response
from sip.parser import MalformedMessage, parse_datagram
from sip.stream import Framed, StreamFramer

GENEROUS = 15.0


@dataclass(frozen=True)
class Arrival:
    """One message as it came, and the way back to whoever sent it."""

    message: Framed
    reply: Callable[[bytes], None]
    source: Address


class Inbox:
    """Everything that arrived: `taken` by tests one at a time, `seen` for ever."""

    def __init__(self) -> None:
        self.waiting: list[Arrival] = []
        self.seen: list[Arrival] = []
        self._changed = asyncio.Event()

    def put(self, arrival: Arrival) -> None:
        self.waiting.append(arrival)
        self.seen.append(arrival)
        self._changed.set()

    async def take(self, wanted: Callable[[Framed], bool], timeout: float = GENEROUS) -> Arrival:
        """Return the first arrival that fits and forget it; fails saying what came instead."""
        try:
            async with asyncio.timeout(timeout):
                while True:
                    for arrival in self.waiting:
                        if wanted(arrival.message):
                            self.waiting.remove(arrival)
                            return arrival
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            came = [start_line(arrival.message) for arrival in self.waiting]
            raise AssertionError(f"it never came; waiting are {came}") from None

    def requests(self, method: str) -> list[Request]:
        """Every request of a method that ever came, repetitions included."""
        came = (arrival.message for arrival in self.seen)
        return [each for each in came if isinstance(each, Request) and each.method == method]


class Wire:
    """One end of a conversation with a gateway."""

    def __init__(self, transport: Transport, local: Address, inbox: Inbox) -> None:
        self.transport = transport
        self.local = local
        self.inbox = inbox
        self.closed_by_peer = asyncio.Event()

    def send(self, data: bytes) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


class StreamWire(Wire):
    """A TCP or TLS connection."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        inbox: Inbox | None = None,
    ) -> None:
        transport: Transport = "tls" if writer.get_extra_info("ssl_object") else "tcp"
        super().__init__(
            transport, Address(*writer.get_extra_info("sockname")[:2]), inbox or Inbox()
        )
        self._source = Address(*writer.get_extra_info("peername")[:2])
        self._writer = writer
        self._task = asyncio.create_task(self._read(reader))

    @classmethod
    async def open(
        cls, to: Address, host: str, *, tls: ssl.SSLContext | None = None, name: str | None = None
    ) -> Self:
        """Connect to a gateway from an address of ours."""
        reader, writer = await asyncio.open_connection(
            to.host, to.port, ssl=tls, server_hostname=name, local_addr=(host, 0)
        )
        return cls(reader, writer)

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def close(self) -> None:
        self._task.cancel()
        self._writer.close()
        with suppress(OSError, ssl.SSLError):
            await self._writer.wait_closed()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        framer = StreamFramer()
        with suppress(OSError):
            while data := await reader.read(65536):
                for framed in framer.feed(data):
                    self.inbox.put(Arrival(framed, self.send, self._source))
        self.closed_by_peer.set()


class DatagramWire(Wire, asyncio.DatagramProtocol):
    """A UDP socket; `peer` is whom `send` writes to."""

    def __init__(self, local: Address, peer: Address | None, inbox: Inbox | None = None) -> None:
        super().__init__("udp", local, inbox or Inbox())
        self.peer = peer

    @classmethod
    async def open(cls, local: Address, peer: Address | None = None) -> Self:
        """Bind an address of ours (port 0: any)."""
        wire = cls(local, peer)
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: wire, local_addr=(local.host, local.port)
        )
        wire._transport = transport
        wire.local = Address(*transport.get_extra_info("sockname")[:2])
        return wire

    _transport: asyncio.DatagramTransport

    def send(self, data: bytes) -> None:
        assert self.peer is not None, "nobody to send to"
        self.send_to(data, self.peer)

    def send_to(self, data: bytes, peer: Address) -> None:
        self._transport.sendto(data, (peer.host, peer.port))

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        source = Address(*addr[:2])
        try:
            message: Framed = parse_datagram(data)
        except MalformedMessage as malformed:
            message = malformed
        self.inbox.put(Arrival(message, lambda back: self.send_to(back, source), source))

    async def close(self) -> None:
        self._transport.close()


class WireServer:
    """Accepts TCP or TLS connections; all their messages come into one inbox."""

    def __init__(self, local: Address, tls: ssl.SSLContext | None = None) -> None:
        self.local = local
        self.inbox = Inbox()
        self.accepted = 0
        self._tls = tls
        self._wires: list[StreamWire] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._accept, self.local.host, self.local.port, ssl=self._tls
        )
        self.local = Address(*self._server.sockets[0].getsockname()[:2])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for wire in self._wires:
            await wire.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._wires.append(StreamWire(reader, writer, self.inbox))


def start_line(message: Framed) -> str:
    """What a failed expectation shows of a message."""
    if isinstance(message, Request):
        return f"{message.method} {message.request_uri}"
    if isinstance(message, Response):
        return f"{message.status_code} {message.reason_phrase} ({message.headers.get('CSeq')})"
    return repr(message)
