"""The log over HTTP (c2sp.org/tlog-tiles): checkpoint, tiles and entries, all of them files.

To be mounted under the log's prefix: `application.add_subapp("/log", log_application(log))`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Final

import structlog
from aiohttp import web

from discovery.log.reason import LogRefused
from discovery.log.tiles import MAX_LEVEL, Bundle, Tile, parse_index_path
from gateway.directory_log.store import LogCorrupted, LogStore
from gateway.http.problem import Problem, problems

_log = structlog.get_logger("directory_log")
_SECONDS: Final = "public, max-age=2"
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_ABSENT: Final = {"Cache-Control": "no-store"}
_MAX_PATH: Final = 40
_LEVEL: Final = re.compile("0|[1-9][0-9]?")
# Answers are at most 17 kB; so many are read from the disk at the same time, the others wait.
_AT_ONCE: Final = 16


def log_application(store: LogStore) -> web.Application:
    """Return the application that serves what is published of a log."""
    served = _Served(store)
    application = web.Application(middlewares=[problems], client_max_size=1)
    application.router.add_get("/checkpoint", served.checkpoint)
    application.router.add_get("/tile/entries/{place:.+}", served.entries)
    application.router.add_get("/tile/{level:[0-9]{1,2}}/{place:.+}", served.tile)
    return application


class LogFiles:
    """The same by its path (`/checkpoint`, `/tile/...`), for requests that come another way."""

    def __init__(self, store: LogStore) -> None:
        self._store = store
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def read(self, path: str) -> tuple[str, bytes]:
        """Return media type and content. Raises Problem: 404, 503."""
        if path == "/checkpoint":
            return "text/plain", _checkpoint(self._store)
        if len(path) > 2 * _MAX_PATH or not path.startswith("/tile/"):
            raise Problem(404, headers=_ABSENT)
        level, _, place = path.removeprefix("/tile/").partition("/")
        read = _reader(self._store, level, place)
        async with self._free:
            return "application/octet-stream", await _read(read)


class _Served:
    def __init__(self, store: LogStore) -> None:
        self._store = store
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def checkpoint(self, _request: web.Request) -> web.Response:
        return web.Response(
            body=_checkpoint(self._store),
            content_type="text/plain",
            charset="utf-8",
            headers={"Cache-Control": _SECONDS},
        )

    async def tile(self, request: web.Request) -> web.Response:
        match = request.match_info
        return await self._answer(_reader(self._store, match["level"], match["place"]))

    async def entries(self, request: web.Request) -> web.Response:
        return await self._answer(_reader(self._store, "entries", request.match_info["place"]))

    async def _answer(self, read: Callable[[], bytes | None]) -> web.Response:
        async with self._free:
            data = await _read(read)
        return web.Response(
            body=data,
            content_type="application/octet-stream",
            headers={"Cache-Control": _FOR_EVER, "X-Content-Type-Options": "nosniff"},
        )


def _checkpoint(store: LogStore) -> bytes:
    published = store.published
    if published is None:
        raise Problem(404, "nothing is published yet", headers=_ABSENT)
    return str(published.note).encode()


def _reader(store: LogStore, level: str, place: str) -> Callable[[], bytes | None]:
    """Return what reads a tile of a level, or entries. Raises Problem: 404."""
    index, width = _place(place)
    if level == "entries":
        bundle = Bundle(index, width)
        return lambda: store.read_bundle(bundle)
    if not _LEVEL.fullmatch(level) or int(level) > MAX_LEVEL:
        raise Problem(404, headers=_ABSENT)
    tile = Tile(int(level), index, width)
    return lambda: store.read_tile(tile)


async def _read(read: Callable[[], bytes | None]) -> bytes:
    try:
        data = await asyncio.to_thread(read)
    except (OSError, LogCorrupted) as error:
        _log.error("log unreadable", detail=str(error))
        raise Problem(503, "the log cannot be read") from None
    if data is None:
        raise Problem(404, "not in the published tree", headers=_ABSENT)
    return data


def _place(text: str) -> tuple[int, int]:
    try:
        if len(text) > _MAX_PATH:
            raise Problem(404, headers=_ABSENT)
        return parse_index_path(text)
    except LogRefused:
        raise Problem(404, headers=_ABSENT) from None
