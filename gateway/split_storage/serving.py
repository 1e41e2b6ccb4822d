"""What evaluator and bucket store share: a listener, Oblivious HTTP, work done now and then."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from aiohttp import web

from discovery.directory.challenge_limits import DAY
from discovery.privacy.ohttp import OhttpGateway
from gateway.config.load import ConfigError, cannot_bind
from gateway.directory.oblivious import RotatingKeys
from gateway.ending import end_task
from gateway.http.listener import HttpListener
from gateway.http.ohttp_gateway import GATEWAY_PATH, InnerHandler, OhttpGatewayServer
from gateway.keys import derived_key

HEADERS: Final = {"Cache-Control": "no-store"}


class Encapsulated:
    """An Oblivious Gateway Resource (RFC 9458) for one name, whose keys `renew` keeps current.

    Raises ConfigError from the constructor. wall_clock gives epoch seconds.
    """

    def __init__(
        self,
        state_directory: Path,
        table: str,
        key_days: int,
        handler: InnerHandler,
        host: str,
        wall_clock: Callable[[], float],
    ) -> None:
        try:
            secret = derived_key(state_directory, f"{table} oblivious keys")
        except ConfigError as error:
            raise ConfigError(f"{table}.state_directory", error.text) from None
        self._keys = RotatingKeys(secret, key_days * DAY)
        self._wall_clock = wall_clock
        self._gateway = OhttpGateway(self._keys.at(wall_clock()))
        names = frozenset({host})
        self.server = OhttpGatewayServer(self._gateway, handler, names, wall_clock=wall_clock)

    def add_to(self, application: web.Application) -> None:
        """Add the resource to an application."""
        self.server.add_to(application)

    def described(self, url: str) -> Mapping[str, str]:
        """Return the member `ohttp` of the description of the service at `url`."""
        keys = self._gateway.keys.encode(self._wall_clock())
        return {"gateway": f"{url}{GATEWAY_PATH}", "keys": base64.b64encode(keys).decode("ascii")}

    def renew(self) -> None:
        """Bring the keys up to the present."""
        self._gateway.keys = self._keys.at(self._wall_clock())


class Serving:
    """Listens, and does `work` every so many seconds until stopped.

    `table` is the configuration's, for errors of `start`, which raises ConfigError.
    """

    def __init__(
        self,
        listener: HttpListener,
        table: str,
        work: Callable[[], Awaitable[None]],
        seconds: float,
    ) -> None:
        self.listener = listener
        self._table = table
        self._work = work
        self._seconds = seconds
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        """Listen."""
        try:
            await self.listener.start()
        except OSError as error:
            raise cannot_bind(f"{self._table}.port", error) from None
        self._stack.push_async_callback(self.listener.stop)
        task = asyncio.create_task(self._for_ever(), name=f"{self._table} sweep")
        self._stack.push_async_callback(end_task, task)

    async def stop(self) -> None:
        """Stop listening."""
        await self._stack.aclose()

    async def _for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            await self._work()
