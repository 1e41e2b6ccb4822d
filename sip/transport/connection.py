"""One TCP or TLS connection: framing, keep-alives, limits."""

import asyncio
import ssl
from collections.abc import Callable
from itertools import count
from typing import cast

from sip.flow import Address, Flow
from sip.limits import MessageLimits
from sip.parser import MalformedMessage
from sip.stream import Ping, StreamFramer
from sip.transport.domain_identity import domain_identities, proves
from sip.transport.receiver import Receiver, SendFailed
from sip.transport.settings import ListenerSettings
from sip.transport.tls import describe

_flow_ids = count(1)
_PONG = b"\r\n"


class StreamConnection(asyncio.Protocol):
    """Carries SIP messages over one connection, either way.

    `tls_name`, when given, is the domain the server's certificate has to prove before anything is
    sent or read; whether it did shows in `refusal`. `on_closed` is called once, after the flow's
    receiver was told.
    """

    __slots__ = (
        "_cut",
        "_framer",
        "_made",
        "_message_since",
        "_on_closed",
        "_receiver",
        "_settings",
        "_tls_name",
        "_transport",
        "active_at",
        "flow",
        "refusal",
    )

    def __init__(
        self,
        settings: ListenerSettings,
        receiver: Receiver,
        *,
        tls_name: str | None = None,
        on_closed: Callable[["StreamConnection"], None],
    ) -> None:
        self.flow = Flow(
            transport=settings.transport,
            local=settings.bind,
            remote=settings.bind,
            listener=settings.name,
            flow_id=next(_flow_ids),
        )
        self.refusal: SendFailed | None = None
        self.active_at = asyncio.get_running_loop().time()
        self._settings = settings
        self._receiver = receiver
        self._tls_name = tls_name
        self._on_closed = on_closed
        self._framer = StreamFramer(MessageLimits(message=settings.max_message))
        self._transport: asyncio.Transport | None = None
        self._made = False
        self._message_since: float | None = None
        self._cut = ""

    @property
    def is_open(self) -> bool:
        """Whether messages can be handed to the connection now."""
        return self._made and self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        remote = transport.get_extra_info("peername")
        local = transport.get_extra_info("sockname")
        if remote is None or local is None:  # the peer was gone before we looked
            self._transport.abort()
            return
        certificate = transport.get_extra_info("peercert")
        identities = domain_identities(certificate) if certificate else ()
        self.flow = Flow(
            transport=self._settings.transport,
            local=Address(local[0], local[1]),
            remote=Address(remote[0], remote[1]),
            listener=self._settings.name,
            flow_id=self.flow.flow_id,
            peer_names=identities,
        )
        if self._tls_name is not None and not proves(identities, self._tls_name):
            shown = ", ".join(identities) or "no SIP domain"
            self.refusal = SendFailed(
                "tls",
                f"tls: certificate of {self.flow.remote} is for {shown}, expected {self._tls_name}",
            )
            self._transport.abort()
            return
        self._made = True

    def data_received(self, data: bytes) -> None:
        if not self._made:
            return
        now = asyncio.get_running_loop().time()
        self.active_at = now
        for item in self._framer.feed(data):
            self._message_since = None
            if isinstance(item, Ping):
                self.write(_PONG)
            elif isinstance(item, MalformedMessage):
                self._receiver.malformed(item, self.flow)
                if item.fatal:
                    self.close()
                    return
            else:
                self._receiver.received(item, self.flow)
            if not self.is_open:
                return
        if self._framer.is_idle:
            self._message_since = None
        elif self._message_since is None:
            self._message_since = now

    def eof_received(self) -> bool:
        self._cut_off()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        was_made, self._made = self._made, False
        if was_made:
            reason = f"{self.flow.transport}: {self.flow.remote} closed the connection"
            if isinstance(exc, ssl.SSLError):
                # A TLS 1.3 server refuses our certificate only after the handshake.
                reason = describe(exc, self.flow.remote)
                self._receiver.dropped(reason, self.flow)
            self._receiver.closed(self.flow, self._cut or reason)
        self._on_closed(self)

    def write(self, data: bytes) -> bool:
        """Hand bytes to the connection; False where it is closed, or closed now for being slow."""
        transport = self._transport
        if not self._made or transport is None or transport.is_closing():
            return False
        transport.write(data)
        if transport.get_write_buffer_size() > self._settings.max_write_buffer:
            self.abort(f"slow: {self.flow.remote} does not read what we send")
            return False
        self.active_at = asyncio.get_running_loop().time()
        return True

    def check_timeouts(self, now: float) -> None:
        """Close the connection where a message came too slowly or nothing came at all."""
        since = self._message_since
        if since is not None and now - since > self._settings.header_timeout:
            limit = self._settings.header_timeout
            self._cut = f"slow: {self.flow.remote} did not finish a message in {limit:g} s"
            self._receiver.dropped(self._cut, self.flow)
            self._message_since = None
            self._cut_off()
            self.close()
        elif now - self.active_at > self._settings.idle_timeout:
            self.close()

    def _cut_off(self) -> None:
        """Nothing more comes: what came of a message can still be answered (400)."""
        problem = self._framer.finish() if self._made else None
        if problem is not None:
            self._receiver.malformed(problem, self.flow)

    def close(self) -> None:
        """Close after what was written has gone out."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()

    def abort(self, reason: str) -> None:
        """Close at once and report why."""
        if self._transport is not None and not self._transport.is_closing():
            self._cut = reason
            self._receiver.dropped(reason, self.flow)
            self._transport.abort()
