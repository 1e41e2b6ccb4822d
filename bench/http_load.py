"""HTTP/1.1 requests over kept TLS connections, as cheap for the asker as Python allows.

A bench of a server that spends 300 us on a request cannot be driven by a client that spends 500:
requests come as octets that are ready to be sent, and of answers only status and length are read.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Final, cast

Done = Callable[[int, bytes], None]
_LENGTH: Final = b"\r\ncontent-length: "
_CLOSE: Final = b"\r\nconnection: close"


def post(path: str, authority: str, fields: dict[str, str], body: bytes) -> bytes:
    """Return a POST request as octets."""
    lines = [f"POST {path} HTTP/1.1", f"Host: {authority}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return "\r\n".join((*lines, "\r\n")).encode("ascii") + body


class HttpLoad:
    """Some connections to one server; requests wait where all of them are busy.

    Connections that the server closes after an answer are opened anew.
    """

    def __init__(self, host: str, port: int, context: ssl.SSLContext, connections: int) -> None:
        self._host = host
        self._port = port
        self._context = context
        self._connections = connections
        self._idle: list[_Connection] = []
        self._all: set[_Connection] = set()
        self._waiting: deque[tuple[bytes, Done]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def __aenter__(self) -> HttpLoad:
        await asyncio.gather(*(self._open() for _ in range(self._connections)))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closed = True
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in list(self._all):
            connection.abort()
        await asyncio.sleep(0)  # their ends are told in the loop's next round

    def send(self, request: bytes, done: Done) -> None:
        """Send a request; `done` gets the status and the body. 0 stands for a lost connection."""
        if self._idle:
            self._idle.pop().send(request, done)
        else:
            self._waiting.append((request, done))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a request and return status and body."""
        answer: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self.send(request, lambda status, body: answer.set_result((status, body)))
        return await answer

    def ready(self, connection: _Connection) -> None:
        """Give a connection the next request, or let it wait for one."""
        if self._waiting:
            connection.send(*self._waiting.popleft())
        else:
            self._idle.append(connection)

    def lost(self, connection: _Connection) -> None:
        """Forget a connection and open another one."""
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if not self._closed:
            task = asyncio.get_running_loop().create_task(self._open())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        connection = _Connection(self)
        await loop.create_connection(lambda: connection, self._host, self._port, ssl=self._context)
        self._all.add(connection)
        self.ready(connection)


class _Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, load: HttpLoad) -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._done: Done | None = None
        self._request = b""
        self._answered = 0
        self._status = 0
        self._missing = 0
        self._closing = False
        self._parts: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self, request: bytes, done: Done) -> None:
        assert self._transport is not None
        self._done, self._request = done, request
        self._transport.write(request)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._status:
            self._parts.append(data)
            self._missing -= len(data)
        else:
            self._begin(b"".join((*self._parts, data)))
        if self._status and self._missing <= 0:
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        done, self._done = self._done, None
        self._load.lost(self)
        if done is not None and self._answered and not self._parts:
            # The server closed it for its idleness when we began to use it again.
            self._load.send(self._request, done)
        elif done is not None:
            done(0, b"")

    def _begin(self, data: bytes) -> None:
        head, end, body = data.partition(b"\r\n\r\n")
        self._parts = [body] if end else [data]
        if not end:
            return
        head = head.lower()
        _, found, length = head.partition(_LENGTH)
        self._status = int(head[9:12])
        self._missing = (int(length.split(b"\r\n", 1)[0]) if found else 0) - len(body)
        self._closing = _CLOSE in head

    def _end(self) -> None:
        done, status, body = self._done, self._status, b"".join(self._parts)
        self._done, self._status, self._parts = None, 0, []
        assert done is not None
        self._answered += 1
        done(status, body)
        if self._closing:
            self.abort()
        else:
            self._load.ready(self)
