"""Where invitations by reference are fetched: `GET /r/{id}` on the callback server."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from aiohttp import web

from discovery.spin.handlers import StoreUnavailable
from discovery.spin.limits import RateLimit, SlidingWindow
from discovery.spin.reference import MEDIA_TYPE
from gateway.http.problem import Problem
from gateway.http.source_address import source_of
from gateway.spin.kept_engines import KeptReferences

_log = structlog.get_logger("spin")


class ReferenceServer:
    """Gives each invitation a few times; an unknown, expired or worn-out id looks the same."""

    def __init__(
        self,
        references: KeptReferences,
        wall_clock: Callable[[], float],
        *,
        per_source: RateLimit | None = None,
    ) -> None:
        self._references = references
        self._wall_clock = wall_clock
        self._sources = SlidingWindow(per_source or RateLimit(120, 60.0))

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the route."""
        router.add_get("/r/{id}", self._get, allow_head=False)

    async def _get(self, request: web.Request) -> web.Response:
        now = self._wall_clock()
        if not self._sources.take(source_of(request.remote), now):
            raise Problem(429, "too many requests", headers={"Retry-After": "60"})
        try:
            token = await self._references.fetch(request.match_info["id"][:64], now)
        except StoreUnavailable as error:
            _log.error("reference not given", culprit=str(error))
            raise Problem(503, "the store is unavailable", headers={"Retry-After": "5"}) from None
        if token is None:
            raise Problem(404, "no such invitation")
        return web.Response(
            body=token.encode("ascii"),
            content_type=MEDIA_TYPE,
            headers={"Cache-Control": "no-store"},
        )
