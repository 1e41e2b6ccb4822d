"""Connections that are kept end after an answer, before the listener's lifetime cuts them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final

from aiohttp import web

# Well before ListenerLimits.lifetime, so that a request under way is never cut.
RETIRED_AFTER: Final = 20.0
_GONE_AFTER: Final = 60.0
_MAX_CONNECTIONS: Final = 10_000


class ConnectionAges:
    """Tells when the connection a request came on was first used; bounded to 10,000 of them.

    seconds: after which a connection is closed by the next answer.
    """

    def __init__(self, seconds: float = RETIRED_AFTER) -> None:
        self._seconds = seconds
        # By the peer's address and port: transports of every loop have it, and no more.
        self._first: OrderedDict[object, float] = OrderedDict()

    def retire(self, request: web.Request, response: web.Response) -> web.Response:
        """Have the connection closed after this answer if it is old; return the answer."""
        now, transport = asyncio.get_running_loop().time(), request.transport
        peer = transport.get_extra_info("peername") if transport is not None else None
        if now - self._first.setdefault(peer, now) >= self._seconds:
            # A port used again before we forgot it costs that connection one handshake.
            del self._first[peer]
            response.force_close()
        while len(self._first) > _MAX_CONNECTIONS:
            self._first.popitem(last=False)
        return response

    def forget_old(self) -> None:
        """Forget connections that a listener has cut by now."""
        since = asyncio.get_running_loop().time() - _GONE_AFTER
        for peer in [peer for peer, first in self._first.items() if first <= since]:
            del self._first[peer]
