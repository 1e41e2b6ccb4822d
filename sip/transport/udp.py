"""UDP: one socket a listener, a datagram a message (RFC 3261 18)."""

import asyncio
import contextlib
import socket
from typing import cast

from sip.flow import Address, Flow
from sip.limits import MessageLimits
from sip.parser import MalformedMessage, parse_datagram
from sip.transport.listener import bind_socket
from sip.transport.receiver import Receiver, SendFailed
from sip.transport.settings import ListenerSettings

_RECEIVE_BUFFER = 4 * 1024 * 1024
_MAX_DATAGRAM = 65_507
_FLOWS_KEPT = 8_192


class UdpListener(asyncio.DatagramProtocol):
    """Receives and sends on one bound socket, so that answers come back to the same port."""

    def __init__(self, settings: ListenerSettings, receiver: Receiver) -> None:
        self.settings = settings
        self.bound = settings.bind
        self._receiver = receiver
        self._limits = MessageLimits(message=settings.max_message)
        self._transport: asyncio.DatagramTransport | None = None
        # Peers send from the same few addresses again and again.
        self._flows: dict[tuple[str, int], Flow] = {}

    async def start(self) -> None:
        """Bind; raises OSError where the address cannot be bound."""
        bound = bind_socket(self.settings, socket.SOCK_DGRAM)
        with contextlib.suppress(OSError):
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        name = bound.getsockname()
        self.bound = Address(name[0], name[1])
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, sock=bound)

    def stop(self) -> None:
        """Close the socket."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not every loop's datagram transport is an asyncio.DatagramTransport by class.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if len(data) <= 4 and not data.strip(b"\r\n\0"):
            return  # keep-alive of a NATed client (RFC 5626 has STUN for it, phones send CRLF)
        flow = self.flow_to(addr[0], addr[1])
        try:
            message = parse_datagram(data, self._limits)
        except MalformedMessage as error:
            self._receiver.malformed(error, flow)
            return
        self._receiver.received(message, flow)

    def error_received(self, exc: Exception) -> None:
        """ICMP says that a peer is not there: its transaction will time out (RFC 3261 18.4)."""

    def flow_to(self, host: str, port: int) -> Flow:
        """Give the flow between this socket and a peer's address."""
        flow = self._flows.get((host, port))
        if flow is None:
            if len(self._flows) >= _FLOWS_KEPT:
                self._flows.clear()
            flow = Flow("udp", self.bound, Address(host, port), self.settings.name)
            self._flows[host, port] = flow
        return flow

    def write(self, data: bytes, to: Address) -> None:
        """Send a datagram; raises SendFailed where that is impossible."""
        transport = self._transport
        if transport is None or transport.is_closing():
            raise SendFailed("transport", f"udp: listener {self.settings.name} is closed")
        if len(data) > _MAX_DATAGRAM:
            raise SendFailed("transport", f"udp: a message of {len(data)} bytes fits no datagram")
        waiting = cast(asyncio.WriteTransport, transport).get_write_buffer_size()
        if waiting > self.settings.max_write_buffer:
            raise SendFailed("transport", "udp: this host cannot send as fast as it should")
        try:
            transport.sendto(data, (to.host, to.port))
        except (OSError, ValueError) as error:
            raise SendFailed("transport", f"udp: {to}: {error}") from error
