"""The agent's interface for applications and user sessions: handlers, defaults, audit (/os/v1).

Loopback unless told otherwise, one bearer token, JSON in and out, RFC 9457 problems.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog
from aiohttp import web

from discovery.model import Service
from discovery.number import NumberRanges, canonical_number, masked
from discovery.spin.compact import base64url
from discovery.spin.handlers import (
    AgentStore,
    AuditEntry,
    Handler,
    StoreUnavailable,
    check_handler,
)
from discovery.spin.limits import RateLimit, SlidingWindow
from discovery.spin.strict_json import MalformedJson, parse_json_object
from gateway.http.agent_openapi import DESCRIPTION
from gateway.http.callback import bearer_of
from gateway.http.problem import Handler as HttpHandler
from gateway.http.problem import Problem, problems

_log = structlog.get_logger("agent")
_PREFIX: Final = "/os/v1"
_MAX_BODY: Final = 8192
_MAX_DEPTH: Final = 4
_MAX_LISTED: Final = 1000
_BODY_TIME: Final = 5.0
_ID_OCTETS: Final = 12
_MIN_TOKEN: Final = 16
_HANDLER_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HANDLER_MEMBERS: Final = frozenset({"app_id", "number", "svc", "uri", "msp"})
_DEFAULT_MEMBERS: Final = frozenset({"number", "handler"})
_NOT_OURS: Final = "not a number of this agent"
_FAILED_TOKENS: Final = RateLimit(20, 60.0)


@dataclass(frozen=True, slots=True)
class AgentApiSettings:
    """What may be registered.

    numbers: those this agent answers for; domains: those handlers may name, any where empty;
    max_handlers: registered in all.
    """

    numbers: NumberRanges
    domains: frozenset[str] = frozenset()
    max_handlers: int = 10_000


class AgentApi:
    """The aiohttp side of the agent.

    token: what callers present, 16 characters at least (ValueError otherwise); kept as a hash.
    random gives octets of chance for identifiers; wall_clock epoch seconds.
    """

    def __init__(
        self,
        store: AgentStore,
        settings: AgentApiSettings,
        token: str,
        *,
        random: Callable[[int], bytes],
        wall_clock: Callable[[], float],
    ) -> None:
        if len(token) < _MIN_TOKEN:
            raise ValueError(f"the agent's token needs {_MIN_TOKEN} characters or more")
        self._store = store
        self._settings = settings
        self._token_digest = _digest(token)
        self._random = random
        self._wall_clock = wall_clock
        self._failures = SlidingWindow(_FAILED_TOKENS)

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        application = web.Application(
            middlewares=[problems, self._authenticated], client_max_size=_MAX_BODY
        )
        route = application.router
        route.add_post(f"{_PREFIX}/handlers", self._add_handler)
        route.add_get(f"{_PREFIX}/handlers", self._list_handlers)
        route.add_get(f"{_PREFIX}/handlers/{{id}}", self._get_handler)
        route.add_delete(f"{_PREFIX}/handlers/{{id}}", self._remove_handler)
        route.add_put(f"{_PREFIX}/defaults/{{svc}}", self._set_default)
        route.add_get(f"{_PREFIX}/audit", self._audit)
        route.add_get(f"{_PREFIX}/openapi.json", self._describe)
        return application

    @web.middleware
    async def _authenticated(
        self, request: web.Request, handler: HttpHandler
    ) -> web.StreamResponse:
        if request.path != f"{_PREFIX}/openapi.json":
            self._check_token(request)
        try:
            return await handler(request)
        except StoreUnavailable as error:
            _log.error("agent store unavailable", culprit=str(error))
            raise Problem(503, "the store is unavailable", headers={"Retry-After": "5"}) from None

    def _check_token(self, request: web.Request) -> None:
        now = self._wall_clock()
        source = request.remote or ""
        if not self._failures.allows(source, now):
            raise Problem(429, "too many wrong tokens", headers={"Retry-After": "60"})
        presented = bearer_of(request)
        # Of equal length whatever was presented, and compared in constant time.
        if presented is None or not hmac.compare_digest(_digest(presented), self._token_digest):
            self._failures.record(source, now)
            raise Problem(401, headers={"WWW-Authenticate": "Bearer"})

    async def _add_handler(self, request: web.Request) -> web.Response:
        body = await _object(request, _HANDLER_MEMBERS)
        handler = Handler(
            handler_id=base64url(self._random(_ID_OCTETS)),
            app_id=_text(body, "app_id"),
            prefix=_text(body, "number").removeprefix("+"),
            services=_services(body["svc"]),
            template=_text(body, "uri"),
            msp=_text(body, "msp"),
            registered_at=self._wall_clock(),
        )
        try:
            check_handler(handler, self._settings.domains)
        except ValueError as error:
            raise Problem(422, str(error)) from None
        if not self._settings.numbers.overlaps(handler.prefix):
            raise Problem(403, _NOT_OURS)
        if await self._store.count_handlers() >= self._settings.max_handlers:
            raise Problem(409, f"{self._settings.max_handlers} handlers are registered")
        await self._store.add_handler(handler)
        await self._record("handler added", handler.prefix, handler)
        location = f"{_PREFIX}/handlers/{handler.handler_id}"
        return _json(_handler_document(handler), status=201, headers={"Location": location})

    async def _list_handlers(self, _request: web.Request) -> web.Response:
        handlers = await self._store.handlers(limit=_MAX_LISTED)
        return _json({"handlers": [_handler_document(handler) for handler in handlers]})

    async def _get_handler(self, request: web.Request) -> web.Response:
        return _json(_handler_document(await self._handler(request.match_info["id"])))

    async def _remove_handler(self, request: web.Request) -> web.Response:
        handler = await self._handler(request.match_info["id"])
        await self._store.remove_handler(handler.handler_id)
        await self._record("handler removed", handler.prefix, handler)
        return web.Response(status=204)

    async def _set_default(self, request: web.Request) -> web.Response:
        try:
            service = Service(request.match_info["svc"])
        except ValueError:
            raise Problem(404, "no such service") from None
        body = await _object(request, _DEFAULT_MEMBERS)
        number = canonical_number(_text(body, "number"))
        if number is None:
            raise Problem(422, "number is not a telephone number")
        if number not in self._settings.numbers:
            raise Problem(403, _NOT_OURS)
        if body["handler"] is None:
            await self._store.remove_default(number, service)
            await self._record("default removed", number, None)
            return web.Response(status=204)
        handler = await self._handler(_text(body, "handler"))
        if not handler.serves(number, service):
            raise Problem(422, "handler does not serve this number and service")
        await self._store.set_default(number, service, handler.handler_id)
        await self._record("default set", number, handler)
        return web.Response(status=204)

    async def _audit(self, _request: web.Request) -> web.Response:
        entries = await self._store.audit(limit=_MAX_LISTED)
        return _json({"audit": [_audit_document(entry) for entry in entries]})

    async def _describe(self, _request: web.Request) -> web.Response:
        return _json(DESCRIPTION)

    async def _handler(self, handler_id: str) -> Handler:
        handler = None
        if _HANDLER_ID.fullmatch(handler_id):
            handler = await self._store.handler(handler_id)
        if handler is None:
            raise Problem(404, "no such handler")
        return handler

    async def _record(self, event: str, number: str, handler: Handler | None) -> None:
        await self._store.record(
            AuditEntry(
                at=self._wall_clock(),
                event=event,
                outcome="done",
                caller="api",
                number=masked(number),
                services=" ".join(handler.services) if handler else "",
                handler_id=handler.handler_id if handler else None,
            )
        )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


async def _object(request: web.Request, members: frozenset[str]) -> dict[str, object]:
    """Read a JSON object with exactly these members."""
    if request.content_type != "application/json" or "Content-Encoding" in request.headers:
        raise Problem(415, "send application/json, not compressed")
    try:
        async with asyncio.timeout(_BODY_TIME):
            body = await request.read()
    except TimeoutError:
        raise Problem(408) from None
    try:
        document = parse_json_object(body, max_depth=_MAX_DEPTH)
    except MalformedJson as error:
        raise Problem(400, str(error)) from None
    if set(document) != members:
        raise Problem(422, f"members are exactly {', '.join(sorted(members))}")
    return document


def _text(document: dict[str, object], member: str) -> str:
    value = document[member]
    if not isinstance(value, str):
        raise Problem(422, f"{member} is not text")
    return value


def _services(value: object) -> tuple[Service, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= len(Service):
        raise Problem(422, "svc is not a list of services")
    try:
        return tuple(Service(item) for item in value)
    except ValueError:
        raise Problem(422, "a service is not voice, video or im") from None


def _handler_document(handler: Handler) -> dict[str, object]:
    return {
        "id": handler.handler_id,
        "app_id": handler.app_id,
        "number": f"+{handler.prefix}",
        "svc": [str(service) for service in handler.services],
        "uri": handler.template,
        "msp": handler.msp,
        "registered_at": handler.registered_at,
    }


def _audit_document(entry: AuditEntry) -> dict[str, object]:
    return {
        "at": entry.at,
        "event": entry.event,
        "outcome": entry.outcome,
        "caller": entry.caller,
        "number": entry.number,
        "svc": entry.services,
        "handler": entry.handler_id,
    }


def _json(
    document: dict[str, object], *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    return web.Response(
        status=status,
        body=json.dumps(document, separators=(",", ":")).encode(),
        content_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )
