"""All listeners of an endpoint and the connections between them and the world.

Connections are pooled by (transport, TLS name, address, listener): one that was made for a name is
never used for another, even where both live at one address (the lesson of CVE-2020-15260).
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from secrets import token_hex

from sip.flow import Address, Flow, Hop, Transport
from sip.transport.connection import StreamConnection
from sip.transport.connection_table import ConnectionTable
from sip.transport.connector import connect
from sip.transport.listener import StreamListener
from sip.transport.receiver import Receiver, SendFailed
from sip.transport.settings import ListenerSettings
from sip.transport.tls import client_context, server_context
from sip.transport.udp import UdpListener

_SWEEP_INTERVAL = 1.0
_CLOSE_TIME = 1.0

PoolKey = tuple[Transport, str | None, Address, str]


class TransportSet:
    """Opens, keeps and closes everything SIP travels on.

    Raises ValueError for listeners of one name and for TLS without a certificate, OSError
    (ssl.SSLError) for certificate files that cannot be used.
    """

    def __init__(
        self,
        listeners: Sequence[ListenerSettings],
        receiver: Receiver,
        *,
        max_waiting: int = 10_000,
    ) -> None:
        names = [settings.name for settings in listeners]
        if len(set(names)) != len(names):
            raise ValueError("listeners: two have one name")
        self._receiver = receiver
        self._max_waiting = max_waiting
        self._waiting: set[asyncio.Task[None]] = set()
        self._connections = ConnectionTable()
        self._pool: dict[PoolKey, StreamConnection] = {}
        self._connecting: dict[PoolKey, asyncio.Task[StreamConnection]] = {}
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._udp: dict[str, UdpListener] = {}
        self._streams: dict[str, StreamListener] = {}
        self._settings = {settings.name: settings for settings in listeners}
        self._sweeping: asyncio.TimerHandle | None = None
        # Flow tokens outlive the process in a registrar's store; its connections do not.
        self._incarnation = token_hex(8)
        for settings in listeners:
            self._add(settings)

    def _add(self, settings: ListenerSettings) -> None:
        if settings.transport == "udp":
            self._udp[settings.name] = UdpListener(settings, self._receiver)
            return
        context = None
        if settings.transport == "tls":
            if settings.tls is None:
                raise ValueError(f"listener {settings.name}: tls needs a certificate")
            context = server_context(settings.tls)
            self._contexts[settings.name] = client_context(settings.tls)
        self._streams[settings.name] = StreamListener(
            settings, self._receiver, context, self._connections
        )

    async def start(self) -> None:
        """Bind every listener; raises OSError, having closed what was bound."""
        try:
            for datagrams in self._udp.values():
                await datagrams.start()
            for streams in self._streams.values():
                await streams.start()
        except OSError:
            await self.stop()
            raise
        self._sweep()

    async def stop_accepting(self) -> None:
        """Accept no new connections; what is open goes on."""
        for streams in self._streams.values():
            await streams.stop()

    async def stop(self) -> None:
        """Close everything."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        await self.stop_accepting()
        tasks = [*self._waiting, *self._connecting.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for datagrams in self._udp.values():
            datagrams.stop()
        await self._connections.close(_CLOSE_TIME)

    def bound(self, listener: str) -> Address:
        """Give the address a listener is bound to."""
        if listener in self._udp:
            return self._udp[listener].bound
        return self._streams[listener].bound

    def sent_by(self, listener: str) -> Address:
        """Give what a listener advertises in Via and Record-Route."""
        advertised = self._settings[listener].sent_by
        return Address(advertised.host, advertised.port or self.bound(listener).port)

    def sibling(self, hop: Hop, transport: Transport) -> str | None:
        """Give the listener of another transport at the address a hop would be sent from."""
        try:
            host = self._listener_for(hop).bind.host
        except SendFailed:
            return None
        for settings in self._settings.values():
            if settings.transport == transport and settings.bind.host == host:
                return settings.name
        return None

    @property
    def connection_count(self) -> int:
        """How many connections are open or being made, inbound and outbound."""
        return len(self._connections)

    def flow_to(self, hop: Hop) -> Flow:
        """Describe the flow a hop would use, whether or not it is open; raises SendFailed."""
        if hop.flow is not None:
            return hop.flow
        settings = self._listener_for(hop)
        return Flow(hop.transport, self.bound(settings.name), hop.address, settings.name)

    def ready_flow(self, hop: Hop) -> Flow | None:
        """Give the flow to a hop where one is ready; None where `connect` has to make it.

        Raises SendFailed where there is no way: a flow that is gone, no listener that fits.
        """
        if hop.flow is not None:
            if not self.is_open(hop.flow):
                raise SendFailed(
                    "transport",
                    f"{hop.flow.transport}: the connection of {hop.flow.remote} is gone",
                )
            return hop.flow
        settings = self._listener_for(hop)
        if hop.transport == "udp":
            return self._udp[settings.name].flow_to(hop.address.host, hop.address.port)
        connection = self._pool.get(_pool_key(hop, settings))
        return connection.flow if connection is not None and connection.is_open else None

    async def connect(self, hop: Hop) -> Flow:
        """Open a connection to a hop, or share the one being opened; raises SendFailed."""
        settings = self._listener_for(hop)
        key = _pool_key(hop, settings)
        task = self._connecting.get(key)
        if task is None:
            task = asyncio.ensure_future(self._open(key, hop, settings))
            self._connecting[key] = task
            task.add_done_callback(lambda done: self._connected(key, done))
        # One caller giving up must not take the connection from the others.
        return (await asyncio.shield(task)).flow

    def open(self, hop: Hop, then: Callable[[Flow | SendFailed], None]) -> Callable[[], None]:
        """Connect, and call `then` with the flow or the failure; never before this returns.

        Calling what is returned gives up waiting. At most `max_waiting` wait at once.
        """
        loop = asyncio.get_running_loop()
        if len(self._waiting) >= self._max_waiting:
            failure = SendFailed("transport", "our own limit of requests that wait to connect")
            return loop.call_soon(then, failure).cancel
        task = asyncio.ensure_future(self._open_for(hop, then))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)
        return lambda: None if task.done() else _cancel(task)

    async def _open_for(self, hop: Hop, then: Callable[[Flow | SendFailed], None]) -> None:
        try:
            result: Flow | SendFailed = await self.connect(hop)
        except SendFailed as failure:
            result = failure
        then(result)

    async def _open(self, key: PoolKey, hop: Hop, settings: ListenerSettings) -> StreamConnection:
        def forget(closed: StreamConnection) -> None:
            self._connections.discard(closed)
            if self._pool.get(key) is closed:
                del self._pool[key]

        connection = StreamConnection(
            settings, self._receiver, tls_name=hop.tls_name, on_closed=forget
        )
        if len(self._connections) >= 2 * settings.max_connections:
            raise SendFailed("transport", "our own limit of connections is reached")
        self._connections.add(connection)
        try:
            await connect(connection, hop, settings, self._contexts.get(settings.name))
        except BaseException:
            self._connections.discard(connection)
            raise
        self._pool[key] = connection
        return connection

    def _connected(self, key: PoolKey, done: asyncio.Task[StreamConnection]) -> None:
        self._connecting.pop(key, None)
        if not done.cancelled():
            done.exception()  # whoever waited has it; a failure nobody waits for is no error

    def is_open(self, flow: Flow) -> bool:
        """Tell whether something can be sent on a flow."""
        if flow.transport == "udp":
            return flow.listener in self._udp
        return self._connection(flow) is not None

    def write(self, flow: Flow, data: bytes) -> None:
        """Send bytes on a flow; raises SendFailed where it is gone or its peer does not read."""
        if flow.transport == "udp":
            listener = self._udp.get(flow.listener)
            if listener is None:
                raise SendFailed("transport", f"udp: listener {flow.listener} does not exist")
            listener.write(data, flow.remote)
            return
        connection = self._connection(flow)
        if connection is None or not connection.write(data):
            raise SendFailed(
                "transport", f"{flow.transport}: the connection of {flow.remote} is gone"
            )

    def _connection(self, flow: Flow) -> StreamConnection | None:
        """The open connection of a flow, which may be remembered from before a restart.

        Numbers of connections begin anew then: another peer's must not be taken for it.
        """
        connection = self._connections.open(flow.flow_id)
        if connection is None or connection.flow.remote != flow.remote:
            return None
        return connection

    def flow_token(self, flow: Flow) -> str:
        """Name a flow in one word, for `flow_of` later (a registrar stores it, RFC 5626 5.2)."""
        connection = f"{flow.flow_id}.{self._incarnation}" if flow.flow_id else "0"
        return "|".join((flow.transport, str(flow.remote), connection, flow.listener))

    def flow_of(self, token: str) -> Flow | None:
        """Give the flow a token names; None where it is gone, or the token is not ours."""
        transport, _, rest = token.partition("|")
        remote, _, rest = rest.partition("|")
        connection, _, listener = rest.partition("|")
        if transport == "udp":
            host, _, port = remote.rpartition(":")
            if listener not in self._udp or not (port.isascii() and port.isdigit()):
                return None
            return self._udp[listener].flow_to(host.strip("[]"), int(port))
        flow_id, _, incarnation = connection.partition(".")
        if incarnation != self._incarnation or not (flow_id.isascii() and flow_id.isdigit()):
            return None
        known = self._connections.open(int(flow_id))
        return known.flow if known is not None else None

    def _listener_for(self, hop: Hop) -> ListenerSettings:
        """Choose the listener to send from: the one asked for, else the first that fits."""
        for settings in self._settings.values():
            if (
                settings.transport == hop.transport
                and hop.listener in (None, settings.name)
                and (":" in settings.bind.host) == (":" in hop.address.host)
            ):
                return settings
        family = "IPv6" if ":" in hop.address.host else "IPv4"
        where = f"listener {hop.listener}" if hop.listener else "a listener"
        raise SendFailed("transport", f"no {where} for {hop.transport} over {family} is configured")

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._connections.check_timeouts(loop.time())
        self._sweeping = loop.call_later(_SWEEP_INTERVAL, self._sweep)


def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()


def _pool_key(hop: Hop, settings: ListenerSettings) -> PoolKey:
    return hop.transport, hop.tls_name, hop.address, settings.name
