"""A listening HTTP server that strangers may reach: bounded connections, bounded in time."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.http.source_address import source_of

_HANDSHAKE_TIME: Final = 5.0
_MAX_LINE: Final = 4096
_STOP_TIME: Final = 2.0
_SERVER_LOG: Final = logging.getLogger("aiohttp.server.strangers")


class _NothingOfPeers(logging.Filter):
    """Leaves out what a peer sent that is no HTTP, which aiohttp logs with a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, HttpProcessingError)


_SERVER_LOG.addFilter(_NothingOfPeers())


@dataclass(frozen=True, slots=True)
class ListenerLimits:
    """Limits of connections; lifetime: seconds a connection lives, whatever happens on it.

    max_per_source: of an IPv4 address, or of a whole IPv6 /64, which one host may have to itself.
    receive_buffer: octets (the kernel doubles them) that one read takes, about. All chunks in them
    are read at once, 4 us each and 6 octets if small: TLS' own 256 KiB hold up the loop for 50 ms.
    """

    max_connections: int = 500
    max_per_source: int = 50
    lifetime: float = 30.0
    receive_buffer: int = 16_384


class BoundedListener(ABC):
    """Serves an application; where, says who inherits it."""

    def __init__(self, application: web.Application, limits: ListenerLimits) -> None:
        self._limits = limits
        self._runner = web.AppRunner(
            application,
            access_log=None,
            logger=_SERVER_LOG,
            handle_signals=False,
            max_line_size=_MAX_LINE,
            max_field_size=_MAX_LINE,
            auto_decompress=False,
            keepalive_timeout=5.0,
            lingering_time=1.0,
            shutdown_timeout=_STOP_TIME,
        )
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Transport] = set()
        self._sources: Counter[str] = Counter()
        self.refused_connections = 0

    async def start(self) -> None:
        """Begin to listen."""
        await self._runner.setup()
        factory = self._runner.server
        assert factory is not None

        def connection() -> asyncio.Protocol:
            return _Bounded(cast(asyncio.Protocol, factory()), self)

        self._server = await self._listen(connection)

    @abstractmethod
    async def _listen(self, connection: Callable[[], asyncio.Protocol]) -> asyncio.Server:
        """Listen, with this for each connection; raises OSError."""

    async def stop(self) -> None:
        """Stop listening, let requests under way end for two seconds, and close."""
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()
        for transport in list(self._open):
            transport.abort()

    def admit(self, transport: asyncio.Transport, source: str) -> bool:
        """Count a new connection; False where it is one too many."""
        limits = self._limits
        if len(self._open) >= limits.max_connections or (
            self._sources[source] >= limits.max_per_source
        ):
            self.refused_connections += 1
            return False
        self._open.add(transport)
        self._sources[source] += 1
        return True

    def leave(self, transport: asyncio.Transport, source: str) -> None:
        """Count a connection's end."""
        self._open.discard(transport)
        self._sources[source] -= 1
        if self._sources[source] <= 0:
            del self._sources[source]

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    @property
    def lifetime(self) -> float:
        return self._limits.lifetime


class HttpListener(BoundedListener):
    """Serves an application on one address and port.

    tls: None only for loopback. `port` is the one really bound once started (0 asks for any).
    start raises OSError where the address is taken.
    """

    def __init__(
        self,
        application: web.Application,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None,
        limits: ListenerLimits | None = None,
    ) -> None:
        super().__init__(application, limits or ListenerLimits())
        self.host = host
        self.port = port
        self._tls = tls

    async def _listen(self, connection: Callable[[], asyncio.Protocol]) -> asyncio.Server:
        server = await asyncio.get_running_loop().create_server(
            connection,
            self.host,
            self.port,
            ssl=self._tls,
            ssl_handshake_timeout=_HANDSHAKE_TIME if self._tls else None,
            backlog=128,
        )
        for bound in server.sockets:  # those of connections take it over
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._limits.receive_buffer)
        self.port = server.sockets[0].getsockname()[1]
        return server


class _Bounded(asyncio.Protocol):
    """One connection: admitted or closed at once, and ended when its lifetime is over."""

    def __init__(self, inner: asyncio.Protocol, listener: BoundedListener) -> None:
        self._inner = inner
        self._listener = listener
        self._transport: asyncio.Transport | None = None
        self._end: asyncio.TimerHandle | None = None
        self._source = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast(asyncio.Transport, transport)
        peer = stream.get_extra_info("peername")
        self._source = source_of(str(peer[0])) if peer else ""
        if not self._listener.admit(stream, self._source):
            stream.abort()
            return
        self._transport = stream
        # A slow sender of headers or body is cut here; no request of ours takes this long.
        self._end = asyncio.get_running_loop().call_later(self._listener.lifetime, stream.abort)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._transport is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._transport is not None else None

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is None:
            return
        if self._end is not None:
            self._end.cancel()
        self._listener.leave(self._transport, self._source)
        self._inner.connection_lost(exc)
