"""The operator's HTTP interface: metrics and state, on a listener of its own, by bearer token."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware

Discover = Callable[[str, str, str], Awaitable[dict[str, Any]]]
StateReader = Callable[[], list[dict[str, Any]]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def admin_application(
    token: str,
    exposition: Callable[[], bytes],
    state: dict[str, StateReader],
    discover: Discover,
    *,
    routes: Iterable[web.RouteDef] = (),
    health: Callable[[], str] = lambda: "ok",
) -> web.Application:
    """Return the application: GET /metrics, GET /v1/NAME for each state, POST /v1/discover,
    GET /healthz, and further `routes`.

    Everything but /healthz needs `Authorization: Bearer` with the token. /healthz is 503 where
    `health` says anything but "ok".
    """
    application = web.Application(middlewares=[_authorised(token)], client_max_size=1_024)
    application.router.add_get("/metrics", _metrics(exposition))
    application.router.add_get("/v1/{name}", _show(state))
    application.router.add_post("/v1/discover", _look_up(discover))
    application.router.add_get("/healthz", _tell_health(health))
    application.router.add_routes(routes)
    return application


def _authorised(token: str) -> Middleware:
    expected = f"Bearer {token}".encode()

    @web.middleware
    async def authorised(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.getall("Authorization", [])
        open_to_all = request.path == "/healthz"
        if not open_to_all and (
            len(given) != 1
            or not hmac.compare_digest(given[0].encode(errors="surrogateescape"), expected)
        ):
            return web.Response(status=401, headers={"WWW-Authenticate": "Bearer"})
        return await handler(request)

    return authorised


def _metrics(exposition: Callable[[], bytes]) -> Handler:
    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(
            body=exposition(), headers={"Content-Type": "text/plain; version=0.0.4"}
        )

    return metrics


def _show(state: dict[str, StateReader]) -> Handler:
    async def show(request: web.Request) -> web.Response:
        reader = state.get(request.match_info["name"])
        if reader is None:
            raise web.HTTPNotFound
        return web.json_response({request.match_info["name"]: reader()})

    return show


def _look_up(discover: Discover) -> Handler:
    async def look_up(request: web.Request) -> web.Response:
        try:
            asked = await request.json()
            number, service, sender = asked["number"], asked["service"], asked["from"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return _problem("the body is an object with number, service and from")
        if not all(isinstance(text, str) for text in (number, service, sender)):
            return _problem("number, service and from are texts")
        try:
            return web.json_response(await discover(number, service, sender))
        except ValueError as error:
            return _problem(str(error))

    return look_up


def _tell_health(health: Callable[[], str]) -> Handler:
    async def tell_health(_request: web.Request) -> web.Response:
        status = health()
        return web.json_response({"status": status}, status=200 if status == "ok" else 503)

    return tell_health


def _problem(detail: str) -> web.Response:
    """A refusal by RFC 9457."""
    return web.json_response(
        {"type": "about:blank", "title": "Bad Request", "status": 400, "detail": detail},
        status=400,
        content_type="application/problem+json",
    )
