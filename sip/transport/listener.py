"""The accepting side of TCP and TLS: caps before handshakes, and no death by lack of files."""

import asyncio
import contextlib
import errno
import socket
import ssl
from collections import Counter

from sip.flow import Address, Flow
from sip.transport.connection import StreamConnection
from sip.transport.connection_table import ConnectionTable
from sip.transport.receiver import Receiver
from sip.transport.settings import ListenerSettings
from sip.transport.tls import describe

_BACKLOG = 512
# Out of files or memory: others need time to give some back; the backlog keeps the callers.
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_PAUSE = 0.2
_SHUTDOWN_TIMEOUT = 2.0


class StreamListener:
    """Accepts connections at one address and counts them by source.

    The cap counts connections from the moment they are accepted, so that a TLS handshake that is
    never finished takes a place too.
    """

    def __init__(
        self,
        settings: ListenerSettings,
        receiver: Receiver,
        context: ssl.SSLContext | None,
        connections: ConnectionTable,
    ) -> None:
        self.settings = settings
        self.bound = settings.bind
        self._receiver = receiver
        self._context = context
        self._connections = connections
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._handshakes: set[asyncio.Task[None]] = set()
        self._by_source: Counter[str] = Counter()
        self._inbound = 0

    async def start(self) -> None:
        """Bind and accept; raises OSError where the address cannot be bound."""
        self._socket = bind_socket(self.settings, socket.SOCK_STREAM)
        self._socket.listen(_BACKLOG)
        name = self._socket.getsockname()
        self.bound = Address(name[0], name[1])
        self._accepting = asyncio.ensure_future(self._accept(self._socket))

    async def stop(self) -> None:
        """Accept no more; connections that are made stay."""
        tasks = [task for task in (self._accepting, *self._handshakes) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, peer = await loop.sock_accept(listening)
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._receiver.dropped("accept: this process is out of files", self._flow())
                    await asyncio.sleep(_PAUSE)
                continue
            source = peer[0]
            flow = self._flow(Address(source, peer[1]))
            if self._inbound >= self.settings.max_connections:
                self._receiver.dropped("accept: too many connections", flow)
                accepted.close()
            elif self._by_source[source] >= self.settings.max_connections_per_source:
                self._receiver.dropped("accept: too many connections from one source", flow)
                accepted.close()
            else:
                self._admit(accepted, source, flow)

    def _admit(self, accepted: socket.socket, source: str, flow: Flow) -> None:
        self._inbound += 1
        self._by_source[source] += 1
        with contextlib.suppress(OSError):
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = asyncio.ensure_future(self._handshake(accepted, source, flow))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _handshake(self, accepted: socket.socket, source: str, flow: Flow) -> None:
        """Turn an accepted socket into a connection; gives its place back if that fails."""
        taken = True

        def release(connection: StreamConnection) -> None:
            nonlocal taken
            self._connections.discard(connection)
            if taken:
                taken = False
                self._inbound -= 1
                self._by_source[source] -= 1
                if not self._by_source[source]:
                    del self._by_source[source]

        connection = StreamConnection(self.settings, self._receiver, on_closed=release)
        self._connections.add(connection)
        loop = asyncio.get_running_loop()
        tls = self._context is not None
        try:
            await loop.connect_accepted_socket(
                lambda: connection,
                accepted,
                ssl=self._context,
                ssl_handshake_timeout=self.settings.header_timeout if tls else None,
                ssl_shutdown_timeout=_SHUTDOWN_TIMEOUT if tls else None,
            )
        except (OSError, EOFError) as error:
            release(connection)
            self._receiver.dropped(describe(error, flow.remote), flow)
        except asyncio.CancelledError:
            release(connection)
            accepted.close()
            raise

    def _flow(self, remote: Address | None = None) -> Flow:
        settings = self.settings
        return Flow(settings.transport, self.bound, remote or self.bound, settings.name)


def bind_socket(settings: ListenerSettings, kind: socket.SocketKind) -> socket.socket:
    """Make a non-blocking socket bound to a listener's address; raises OSError."""
    bind = settings.bind
    family = socket.AF_INET6 if ":" in bind.host else socket.AF_INET
    bound = socket.socket(family, kind)
    try:
        bound.setblocking(False)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if settings.reuse_port:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((bind.host, bind.port))
    except OSError:
        bound.close()
        raise
    return bound
