"""The connecting side of TCP and TLS: time limits, and who is to blame when it fails."""

import asyncio
import contextlib
import socket
import ssl

from sip.flow import Hop
from sip.transport.connection import StreamConnection
from sip.transport.receiver import SendFailed
from sip.transport.settings import ListenerSettings
from sip.transport.tls import describe

_SHUTDOWN_TIMEOUT = 2.0
_WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound


async def connect(
    connection: StreamConnection,
    hop: Hop,
    settings: ListenerSettings,
    context: ssl.SSLContext | None,
) -> None:
    """Connect to a hop's address, over TLS where it says so; raises SendFailed.

    A TLS server has to prove `hop.tls_name`; without one there is nothing it could prove.
    """
    if context is not None and not hop.tls_name:
        raise SendFailed("tls", f"tls: no domain is known that {hop.address} could prove")
    connected = await _connect_tcp(hop, settings)
    loop = asyncio.get_running_loop()
    try:
        await loop.create_connection(
            lambda: connection,
            sock=connected,
            ssl=context,
            server_hostname=hop.tls_name if context is not None else None,
            ssl_handshake_timeout=settings.connect_timeout if context is not None else None,
            ssl_shutdown_timeout=_SHUTDOWN_TIMEOUT if context is not None else None,
        )
    except (OSError, EOFError, ValueError) as error:
        # ValueError: a name that cannot stand in SNI.
        connected.close()
        raise SendFailed("tls" if context else "transport", describe(error, hop.address)) from error
    except asyncio.CancelledError:
        connected.close()
        raise
    if connection.refusal is not None:
        raise connection.refusal
    if not connection.is_open:
        raise SendFailed("transport", f"{hop.transport}: {hop.address} closed the connection")


async def _connect_tcp(hop: Hop, settings: ListenerSettings) -> socket.socket:
    address = hop.address
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    loop = asyncio.get_running_loop()
    try:
        connecting = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise SendFailed("transport", f"tcp: this process is out of files: {error}") from error
    try:
        connecting.setblocking(False)
        with contextlib.suppress(OSError):
            connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if settings.bind.host not in _WILDCARDS:
            # Peers know us by the address we listen at.
            connecting.bind((settings.bind.host, 0))
        async with asyncio.timeout(settings.connect_timeout):
            await loop.sock_connect(connecting, (address.host, address.port))
    except (OSError, ValueError, OverflowError) as error:
        connecting.close()
        raise SendFailed("transport", _reason(error, hop, settings)) from error
    except asyncio.CancelledError:
        connecting.close()
        raise
    return connecting


def _reason(error: Exception, hop: Hop, settings: ListenerSettings) -> str:
    if isinstance(error, TimeoutError):
        return f"tcp: {hop.address} did not answer in {settings.connect_timeout:g} s"
    if isinstance(error, ConnectionRefusedError):
        return f"tcp: {hop.address} refused the connection"
    return f"tcp: {hop.address}: {getattr(error, 'strerror', None) or error}"
