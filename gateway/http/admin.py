"""The operator's HTTP interface: metrics and state, on a listener of its own, by bearer token."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from gateway.http.admin_body import read_object
from gateway.http.admin_openapi import description
from gateway.http.problem import Problem, problems

Discover = Callable[[str, str, str], Awaitable[dict[str, Any]]]
StateReader = Callable[[], list[dict[str, Any]]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_MAX_QUESTION: Final = 1_024


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
    GET /healthz, GET /openapi.json, and further `routes`.

    Everything but /healthz needs `Authorization: Bearer` with the token. /healthz is 503 where
    `health` says anything but "ok".
    """
    routes = list(routes)
    document = description(state, cache=any("/cache/" in route.path for route in routes))
    application = _application(token, exposition, document, health)
    application.router.add_get("/v1/{name}", _show(state))
    application.router.add_post("/v1/discover", _look_up(discover))
    application.router.add_routes(routes)
    return application


def service_application(
    token: str, exposition: Callable[[], bytes], health: Callable[[], str]
) -> web.Application:
    """Return the application of a service beside the gateway: GET /metrics, /healthz and
    /openapi.json, as `admin_application` has them."""
    return _application(token, exposition, description((), discover=False), health)


def _application(
    token: str,
    exposition: Callable[[], bytes],
    document: dict[str, object],
    health: Callable[[], str],
) -> web.Application:
    application = web.Application(middlewares=[problems, _authorised(token)])
    application.router.add_get("/metrics", _metrics(exposition))
    application.router.add_get("/healthz", _tell_health(health))
    application.router.add_get("/openapi.json", _describe(document))
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
            raise Problem(404)
        return web.json_response({request.match_info["name"]: reader()})

    return show


def _look_up(discover: Discover) -> Handler:
    async def look_up(request: web.Request) -> web.Response:
        asked = await read_object(request, _MAX_QUESTION)
        texts = [asked.get(name) for name in ("number", "service", "from")]
        if not all(isinstance(text, str) for text in texts):
            raise Problem(400, "number, service and from are texts")
        try:
            return web.json_response(await discover(*map(str, texts)))
        except ValueError as error:
            raise Problem(400, str(error)) from None

    return look_up


def _tell_health(health: Callable[[], str]) -> Handler:
    async def tell_health(_request: web.Request) -> web.Response:
        status = health()
        return web.json_response({"status": status}, status=200 if status == "ok" else 503)

    return tell_health


def _describe(document: dict[str, object]) -> Handler:
    async def describe(_request: web.Request) -> web.Response:
        return web.json_response(document)

    return describe
