"""TLS towards an SMSC for a client that speaks plain SMPP only, over a connection inside this host.

    client -> 127.0.0.1 (one connection, then closed to others) -> TLS, checked -> SMSC

The TLS connection is made first: whoever cannot prove its name is never sent an octet.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Coroutine
from typing import Final

_CHUNK: Final = 16_384
_LOOPBACK: Final = "127.0.0.1"


class TunnelFailed(Exception):
    """The SMSC was not reached over TLS; the message says why."""


class TlsTunnel:
    """One connection; open it for each bind and close it afterwards.

    context: trust anchors, and our certificate where the SMSC wants one; timeout in seconds, for
    the connection and the handshake together, and again for the client to come.
    """

    def __init__(self, host: str, port: int, context: ssl.SSLContext, *, timeout: float) -> None:
        self._host = host
        self._port = port
        self._context = context
        self._timeout = timeout
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._met = False

    async def open(self) -> tuple[str, int]:
        """Connect, and return where the client finds the tunnel; raises TunnelFailed."""
        try:
            async with asyncio.timeout(self._timeout):
                reader, writer = await asyncio.open_connection(
                    self._host, self._port, ssl=self._context
                )
        except TimeoutError:
            raise TunnelFailed(f"no TLS within {self._timeout:g} s") from None
        except ssl.SSLCertVerificationError as error:
            raise TunnelFailed(f"certificate: {error.verify_message}") from None
        except ssl.SSLError as error:
            raise TunnelFailed(f"TLS: {error.reason or 'handshake failed'}") from None
        except OSError as error:
            raise TunnelFailed(error.strerror or type(error).__name__) from None
        self._writers.append(writer)

        async def meet(from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
            if self._met:
                to_client.close()
                return
            self._met = True
            assert self._server is not None
            self._server.close()
            self._writers.append(to_client)
            self._start(_pump(from_client, writer))
            self._start(_pump(reader, to_client))

        self._server = await asyncio.start_server(meet, _LOOPBACK, 0, backlog=1)
        self._start(self._wait_for_client())
        address: tuple[str, int] = self._server.sockets[0].getsockname()
        return address[0], address[1]

    async def close(self) -> None:
        """End both sides; safe to repeat."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        self._writers.clear()

    async def _wait_for_client(self) -> None:
        await asyncio.sleep(self._timeout)
        if not self._met and self._server is not None:
            self._server.close()

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name="smpp tls")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Carry octets one way until either end is over; then the other end hears of it."""
    try:
        while octets := await source.read(_CHUNK):
            sink.write(octets)
            await sink.drain()
    except OSError:
        pass  # the end that is still there learns it from the close
    finally:
        sink.close()
