"""The log over HTTP (c2sp.org/tlog-tiles): checkpoint, tiles and entries, all of them files.

To be mounted under the log's prefix: `application.add_subapp("/log", log_application(log))`.
"""

from __future__ import annotations

import asyncio
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


class _Served:
    def __init__(self, store: LogStore) -> None:
        self._store = store
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def checkpoint(self, _request: web.Request) -> web.Response:
        published = self._store.published
        if published is None:
            raise Problem(404, "nothing is published yet", headers=_ABSENT)
        return web.Response(
            body=str(published.note).encode(),
            content_type="text/plain",
            charset="utf-8",
            headers={"Cache-Control": _SECONDS},
        )

    async def tile(self, request: web.Request) -> web.Response:
        index, width = _place(request)
        text = request.match_info["level"]
        if str(int(text)) != text or int(text) > MAX_LEVEL:
            raise Problem(404, headers=_ABSENT)
        tile = Tile(int(text), index, width)
        return await self._answer(lambda: self._store.read_tile(tile))

    async def entries(self, request: web.Request) -> web.Response:
        bundle = Bundle(*_place(request))
        return await self._answer(lambda: self._store.read_bundle(bundle))

    async def _answer(self, read: Callable[[], bytes | None]) -> web.Response:
        try:
            async with self._free:
                data = await asyncio.to_thread(read)
        except (OSError, LogCorrupted) as error:
            _log.error("log unreadable", detail=str(error))
            raise Problem(503, "the log cannot be read") from None
        if data is None:
            raise Problem(404, "not in the published tree", headers=_ABSENT)
        return web.Response(
            body=data,
            content_type="application/octet-stream",
            headers={"Cache-Control": _FOR_EVER, "X-Content-Type-Options": "nosniff"},
        )


def _place(request: web.Request) -> tuple[int, int]:
    text = request.match_info["place"]
    try:
        if len(text) > _MAX_PATH:
            raise Problem(404, headers=_ABSENT)
        return parse_index_path(text)
    except LogRefused:
        raise Problem(404, headers=_ABSENT) from None
