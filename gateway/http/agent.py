"""The agent's interface for applications and user sessions (/os/v1).

Loopback unless told otherwise, bearer tokens, JSON in and out, RFC 9457 problems. The provider's
token opens user sessions; a session lets applications in and is the only one that chooses for its
user; an application's token registers handlers, resolves, and has signed for, its user's number.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

import structlog
from aiohttp import web

from discovery.number import canonical_number
from discovery.spin.agent_store import AgentStore
from discovery.spin.compact import base64url
from discovery.spin.handlers import AuditEntry, StoreUnavailable, check_app_id
from discovery.spin.limits import RateLimit, SlidingWindow
from gateway.agent_credentials import Kind, Principal, SqlCredentialStore, token_digest
from gateway.http.agent_calls import CallRoutes
from gateway.http.agent_choices import ChoiceRoutes
from gateway.http.agent_handlers import HandlerRoutes, HandlerSettings
from gateway.http.agent_openapi import DESCRIPTION
from gateway.http.agent_requests import (
    MAX_LISTS,
    NOT_OURS,
    PRINCIPAL,
    json_response,
    principal_of,
    read_object,
    seconds_member,
    text_member,
)
from gateway.http.callback import bearer_of
from gateway.http.problem import Handler as HttpHandler
from gateway.http.problem import Problem, problems
from gateway.http.source_address import source_of

_log = structlog.get_logger("agent")
PREFIX: Final = "/os/v1"
_MAX_LISTED: Final = 1000
_TOKEN_OCTETS: Final = 24
_MIN_TOKEN: Final = 16
_DAY: Final = 86_400.0
_FAILED_TOKENS: Final = RateLimit(20, 60.0)


@dataclass(frozen=True, slots=True)
class AgentParts:
    """The routes of the interface and where its data lives."""

    store: AgentStore
    credentials: SqlCredentialStore
    handlers: HandlerRoutes
    choices: ChoiceRoutes
    calls: CallRoutes
    settings: HandlerSettings


class AgentApi:
    """The aiohttp side of the agent.

    token: the provider's, 16 characters at least (ValueError otherwise); kept as a hash. random
    gives unpredictable octets; wall_clock epoch seconds.
    """

    def __init__(
        self,
        parts: AgentParts,
        token: str,
        *,
        random: Callable[[int], bytes],
        wall_clock: Callable[[], float],
    ) -> None:
        if len(token) < _MIN_TOKEN:
            raise ValueError(f"the agent's token needs {_MIN_TOKEN} characters or more")
        self._parts = parts
        self._operator = Principal(Kind.OPERATOR, token_digest(token), vouched=True)
        self._random = random
        self._wall_clock = wall_clock
        self._failures = SlidingWindow(_FAILED_TOKENS)

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        application = web.Application(
            middlewares=[problems, self._authenticated], client_max_size=MAX_LISTS
        )
        route = application.router
        route.add_post(f"{PREFIX}/sessions", self._open_session)
        route.add_delete(f"{PREFIX}/sessions/{{number}}", self._end_sessions)
        route.add_post(f"{PREFIX}/apps", self._grant)
        route.add_delete(f"{PREFIX}/apps/{{app_id}}", self._revoke)
        for part in (self._parts.handlers, self._parts.choices, self._parts.calls):
            part.add_to(route, PREFIX)
        route.add_get(f"{PREFIX}/audit", self._audit)
        route.add_get(f"{PREFIX}/openapi.json", self._describe)
        application.on_cleanup.append(self._close)
        return application

    async def _close(self, _application: web.Application) -> None:
        await self._parts.calls.close()

    @web.middleware
    async def _authenticated(
        self, request: web.Request, handler: HttpHandler
    ) -> web.StreamResponse:
        try:
            if request.path != f"{PREFIX}/openapi.json":
                request[PRINCIPAL] = await self._principal(request)
            return await handler(request)
        except StoreUnavailable as error:
            _log.error("agent store unavailable", culprit=str(error))
            raise Problem(503, "the store is unavailable", headers={"Retry-After": "5"}) from None

    async def _principal(self, request: web.Request) -> Principal:
        now = self._wall_clock()
        source = source_of(request.remote)
        slowed = not self._failures.allows(source, now)
        if slowed and not _shared(source):
            raise _too_many_wrong()
        presented = bearer_of(request)
        principal: Principal | None = None
        if presented:
            # Of equal length whatever was presented, and compared in constant time; what the
            # database compares is a digest, of which a guesser controls nothing.
            digest = token_digest(presented)
            if hmac.compare_digest(digest, self._operator.digest):
                principal = self._operator
            else:
                principal = await self._parts.credentials.find(digest, now)
        if principal is None and slowed:
            raise _too_many_wrong()
        if principal is None:
            self._failures.record(source, now)
            raise Problem(401, headers={"WWW-Authenticate": "Bearer"})
        return principal

    async def _open_session(self, request: web.Request) -> web.Response:
        principal_of(request, Kind.OPERATOR)
        body = await read_object(request, frozenset({"number"}), frozenset({"lifetime"}))
        number = canonical_number(text_member(body, "number"))
        if number is None:
            raise Problem(422, "number is not a telephone number")
        if number not in self._parts.settings.numbers:
            raise Problem(403, NOT_OURS)
        lifetime = seconds_member(body, "lifetime", 30 * _DAY, least=60.0, most=366 * _DAY)
        return await self._issue(Kind.USER, number, "", vouched=False, lifetime=lifetime)

    async def _end_sessions(self, request: web.Request) -> web.Response:
        principal = principal_of(request, Kind.OPERATOR, Kind.USER)
        number = canonical_number(request.match_info["number"])
        if number is None or not principal.covers(number):
            raise Problem(404, "no such number")
        await self._parts.credentials.revoke(Kind.USER, number)
        await self._parts.handlers.record("sessions ended", number, None)
        return web.Response(status=204)

    async def _grant(self, request: web.Request) -> web.Response:
        """Let an application in: a user for the own number, the provider for any prefix."""
        principal = principal_of(request, Kind.OPERATOR, Kind.USER)
        vouched = principal.kind is Kind.OPERATOR
        needed = frozenset({"app_id", "number"} if vouched else {"app_id"})
        body = await read_object(request, needed, frozenset({"lifetime"}))
        app_id = text_member(body, "app_id")
        try:
            check_app_id(app_id)
        except ValueError as error:
            raise Problem(422, str(error)) from None
        number = principal.number
        if vouched:
            number = text_member(body, "number").removeprefix("+")
            if not (number.isascii() and number.isdigit() and len(number) <= 15):
                raise Problem(422, "number is not a number or prefix of 1 to 15 digits")
            if not self._parts.settings.numbers.overlaps(number):
                raise Problem(403, NOT_OURS)
        lifetime = seconds_member(body, "lifetime", 366 * _DAY, least=60.0, most=366 * _DAY)
        return await self._issue(Kind.APP, number, app_id, vouched=vouched, lifetime=lifetime)

    async def _issue(
        self, kind: Kind, number: str, app_id: str, *, vouched: bool, lifetime: float
    ) -> web.Response:
        token = base64url(self._random(_TOKEN_OCTETS))
        now = self._wall_clock()
        principal = Principal(kind, token_digest(token), number, app_id, vouched)
        if not await self._parts.credentials.add(principal, now, now + lifetime):
            raise Problem(409, "too many credentials are in use")
        event = "session opened" if kind is Kind.USER else "app let in"
        await self._parts.handlers.record(event, number, None)
        document: dict[str, object] = {
            "token": token,
            "number": f"+{number}",
            "expires_at": now + lifetime,
            **({"app_id": app_id} if app_id else {}),
        }
        return json_response(document, status=201)

    async def _revoke(self, request: web.Request) -> web.Response:
        """Put an application out, with its handlers for this number."""
        principal = principal_of(request, Kind.USER)
        app_id = request.match_info["app_id"]
        revoked = await self._parts.credentials.revoke(Kind.APP, principal.number, app_id)
        removed = [
            handler
            for handler in await self._parts.store.handlers_for(principal.number, None)
            if handler.app_id == app_id and handler.prefix == principal.number
        ]
        if not revoked and not removed:
            raise Problem(404, "no such app")
        for handler in removed:
            await self._parts.store.remove_handler(handler.handler_id)
        await self._parts.handlers.record("app put out", principal.number, None)
        return web.Response(status=204)

    async def _audit(self, request: web.Request) -> web.Response:
        principal = principal_of(request, Kind.OPERATOR, Kind.USER)
        number = principal.number if principal.kind is Kind.USER else None
        entries = await self._parts.store.audit(limit=_MAX_LISTED, number=number)
        return json_response({"audit": [_audit_document(entry) for entry in entries]})

    async def _describe(self, _request: web.Request) -> web.Response:
        return json_response(DESCRIPTION)


def _shared(source: str) -> bool:
    """Tell whether all applications of a host come from here: a Unix socket, or loopback.

    There, the wrong tokens of one must not shut out the others, who hold right ones.
    """
    return source in ("", "::/64") or ip_address(source.partition("/")[0]).is_loopback


def _too_many_wrong() -> Problem:
    return Problem(429, "too many wrong tokens", headers={"Retry-After": "60"})


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
