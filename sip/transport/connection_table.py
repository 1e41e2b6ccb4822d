"""Every connection of an endpoint by flow, inbound and outbound."""

import asyncio
import contextlib

from sip.transport.connection import StreamConnection


class ConnectionTable:
    """Knows the connections that are open or being made; their makers bound their number."""

    def __init__(self) -> None:
        self._by_flow: dict[int, StreamConnection] = {}
        self._empty = asyncio.Event()

    def __len__(self) -> int:
        return len(self._by_flow)

    def add(self, connection: StreamConnection) -> None:
        """Take in a connection that is being made."""
        self._by_flow[connection.flow.flow_id] = connection

    def discard(self, connection: StreamConnection) -> None:
        """Let go of a connection that is closed, or was never made."""
        self._by_flow.pop(connection.flow.flow_id, None)
        if not self._by_flow:
            self._empty.set()

    def open(self, flow_id: int) -> StreamConnection | None:
        """Give the connection of a flow where something can be sent on it."""
        connection = self._by_flow.get(flow_id)
        return connection if connection is not None and connection.is_open else None

    def check_timeouts(self, now: float) -> None:
        """Close what is slow or idle."""
        for connection in list(self._by_flow.values()):
            connection.check_timeouts(now)

    async def close(self, patience: float) -> None:
        """Close all, those that do not close within `patience` seconds by force."""
        for connection in list(self._by_flow.values()):
            connection.close()
        self._empty.clear()
        if self._by_flow:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), patience)
        for connection in list(self._by_flow.values()):
            connection.abort("closing: the peer did not close its side")
        await asyncio.sleep(0)
