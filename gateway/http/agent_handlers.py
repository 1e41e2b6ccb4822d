"""Handlers of the agent's interface: applications register, their domains prove it, users agree."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from discovery.number import NumberRanges, masked
from discovery.spin.agent_store import AgentStore
from discovery.spin.app_proof import AppKeys, read_proof
from discovery.spin.compact import base64url
from discovery.spin.handlers import AuditEntry, Handler, check_handler
from discovery.spin.limits import RateLimit, SlidingWindow
from discovery.spin.reason import Refusal, Refused
from gateway.agent_credentials import Kind, Principal
from gateway.http.agent_requests import (
    NOT_OURS,
    json_response,
    principal_of,
    read_object,
    services_of,
    text_member,
)
from gateway.http.problem import Problem
from gateway.spin.keeping import Keeper, KeptInMemory
from gateway.spin.kept_engines import KeptNonces

_ID_OCTETS: Final = 12
_MAX_LISTED: Final = 1000
_MAX_PER_NUMBER: Final = 32
_REGISTRATIONS: Final = RateLimit(60, 3600.0)
# Each is kept in the database for five minutes.
_NONCES: Final = RateLimit(60, 300.0)
_HANDLER_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MEMBERS: Final = frozenset({"app_id", "svc", "uri", "msp"})
_OPTIONAL: Final = frozenset({"number", "proof"})


@dataclass(frozen=True, slots=True)
class HandlerSettings:
    """What may be registered.

    numbers: those this agent answers for; domains: the provider's own, which its own applications
    need not prove; audience: the agent's name in proofs; max_handlers: registered in all.
    """

    numbers: NumberRanges
    domains: frozenset[str] = frozenset()
    audience: str = "spin-agent"
    max_handlers: int = 10_000


class HandlerRoutes:
    """`/handlers` and `/nonces`."""

    def __init__(
        self,
        store: AgentStore,
        settings: HandlerSettings,
        keys: AppKeys,
        *,
        random: Callable[[int], bytes],
        wall_clock: Callable[[], float],
        changed: Callable[[str], None],
        keeper: Keeper | None = None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._keys = keys
        self._random = random
        self._wall_clock = wall_clock
        self._changed = changed
        self._nonces = KeptNonces(random, KeptInMemory() if keeper is None else keeper)
        self._registrations = SlidingWindow(_REGISTRATIONS)
        self._issued = SlidingWindow(_NONCES)

    def add_to(self, route: web.UrlDispatcher, prefix: str) -> None:
        """Add the routes under a prefix."""
        route.add_post(f"{prefix}/nonces", self._nonce)
        route.add_post(f"{prefix}/handlers", self._add)
        route.add_get(f"{prefix}/handlers", self._list)
        route.add_get(f"{prefix}/handlers/{{id}}", self._get)
        route.add_delete(f"{prefix}/handlers/{{id}}", self._remove)
        route.add_post(f"{prefix}/handlers/{{id}}/consent", self._consent)

    async def restore(self) -> None:
        """Take up the nonces that an earlier process issued; raises StoreUnavailable."""
        await self._nonces.restore(self._wall_clock())

    async def handler_for(self, handler_id: str, principal: Principal) -> Handler:
        """Return a handler that this credential may see; 404 for any other."""
        handler = None
        if _HANDLER_ID.fullmatch(handler_id):
            handler = await self._store.handler(handler_id)
        if handler is None or not _may_see(principal, handler):
            raise Problem(404, "no such handler")
        return handler

    async def speaks_for(self, principal: Principal, number: str, msp: str) -> bool:
        """Tell whether an application may say that a number's user asks from this domain.

        The provider's own at the provider's domains; any other where it has a handler there, that
        is, where the domain has proven it and this user agreed.
        """
        if principal.kind is not Kind.APP:
            return False
        if principal.vouched and msp in self._settings.domains:
            return True
        held = await self._store.handlers_for(number, None)
        return any(
            each.active and each.msp == msp and each.app_id == principal.app_id for each in held
        )

    async def activate(self, handler: Handler, principal: Principal) -> None:
        """Note that a user agrees to a handler of theirs."""
        if not handler.active:
            await self._store.activate_handler(handler.handler_id)
            await self.record("handler agreed to", principal.number, handler)

    async def record(self, event: str, number: str, handler: Handler | None) -> None:
        """Add to the audit trail what was done for a number or prefix."""
        await self._store.record(
            AuditEntry(
                at=self._wall_clock(),
                event=event,
                outcome="done",
                caller="api",
                number=masked(number),
                services=" ".join(handler.services) if handler else "",
                handler_id=handler.handler_id if handler else None,
                owner=number,
            )
        )

    async def _nonce(self, request: web.Request) -> web.Response:
        principal = principal_of(request, Kind.APP)
        now = self._wall_clock()
        if not self._issued.take(principal.digest, now):
            raise Problem(429, "too many nonces", headers={"Retry-After": "60"})
        document: dict[str, object] = {
            "nonce": await self._nonces.issue(principal.digest, now),
            "aud": self._settings.audience,
            "expires_at": now + self._nonces.lifetime,
        }
        return json_response(document, status=201)

    async def _add(self, request: web.Request) -> web.Response:
        principal = principal_of(request, Kind.APP)
        body = await read_object(request, _MEMBERS, _OPTIONAL)
        handler = self._read(body, principal)
        # Each may make us fetch a key from whom the application names.
        if not principal.vouched and not self._registrations.take(
            principal.digest, self._wall_clock()
        ):
            raise Problem(429, "too many registrations", headers={"Retry-After": "60"})
        if not await self._speaks_for_domain(body, handler, principal):
            raise Problem(403, "msp is not a domain of this agent: proof is needed")
        if await self._store.count_handlers() >= self._settings.max_handlers:
            raise Problem(409, f"{self._settings.max_handlers} handlers are registered")
        held = [
            each
            for each in await self._store.handlers_for(handler.prefix, None)
            if each.prefix == handler.prefix
        ]
        if len(held) >= _MAX_PER_NUMBER:
            raise Problem(409, f"{_MAX_PER_NUMBER} handlers are registered for this number")
        await self._store.add_handler(handler)
        await self.record("handler added", handler.prefix, handler)
        location = f"{request.path}/{handler.handler_id}"
        return json_response(_document(handler), status=201, headers={"Location": location})

    def _read(self, body: dict[str, object], principal: Principal) -> Handler:
        prefix = principal.number
        if "number" in body:
            prefix = text_member(body, "number").removeprefix("+")
        handler = Handler(
            handler_id=base64url(self._random(_ID_OCTETS)),
            app_id=text_member(body, "app_id"),
            prefix=prefix,
            services=services_of(body["svc"]),
            template=text_member(body, "uri"),
            msp=text_member(body, "msp"),
            registered_at=self._wall_clock(),
            # The provider has agreed for its users, who may choose otherwise at any time.
            active=principal.vouched,
        )
        try:
            check_handler(handler)
        except ValueError as error:
            raise Problem(422, str(error)) from None
        if handler.app_id != principal.app_id:
            raise Problem(403, "app_id is not the one this credential was granted to")
        if not principal.covers(prefix) or not self._settings.numbers.overlaps(prefix):
            raise Problem(403, NOT_OURS)
        return handler

    async def _speaks_for_domain(
        self, body: dict[str, object], handler: Handler, principal: Principal
    ) -> bool:
        """Tell whether an application may register URIs of this domain.

        The provider answers for its own applications at its own domains. Any other shows a proof:
        whoever could register a stranger's URI would lead the user's callers to the stranger.
        """
        if "proof" not in body:
            return principal.vouched and handler.msp in self._settings.domains
        try:
            proof = read_proof(
                text_member(body, "proof"), handler, audience=self._settings.audience
            )
            now = self._wall_clock()
            if not await self._nonces.redeem(proof.nonce, principal.digest, now):
                raise Problem(403, "nonce of the proof is unknown, used or expired")
            await self._keys.verify(proof.token, msp=handler.msp, app_id=handler.app_id)
        except Refused as refused:
            if refused.reason is Refusal.CREDENTIAL_UNAVAILABLE:
                raise Problem(502, refused.detail) from None
            status = 403 if refused.reason in (Refusal.FORGED, Refusal.NOT_ALLOWED) else 422
            raise Problem(status, refused.detail or "proof is not genuine") from None
        return True

    async def _list(self, request: web.Request) -> web.Response:
        principal = principal_of(request, *Kind)
        if principal.kind is Kind.USER:
            handlers = await self._store.handlers_for(principal.number, None)
        elif principal.kind is Kind.APP:
            handlers = await self._store.handlers(
                limit=_MAX_LISTED, app_id=principal.app_id, within=principal.number
            )
        else:
            handlers = await self._store.handlers(limit=_MAX_LISTED)
        seen = [_document(handler) for handler in handlers if _may_see(principal, handler)]
        return json_response({"handlers": seen[:_MAX_LISTED]})

    async def _get(self, request: web.Request) -> web.Response:
        principal = principal_of(request, *Kind)
        return json_response(_document(await self.handler_for(request.match_info["id"], principal)))

    async def _remove(self, request: web.Request) -> web.Response:
        principal = principal_of(request, *Kind)
        handler = await self.handler_for(request.match_info["id"], principal)
        if principal.kind is Kind.USER and handler.prefix != principal.number:
            raise Problem(403, "the provider's handler: choose another as default, or a rule")
        await self._store.remove_handler(handler.handler_id)
        await self.record("handler removed", handler.prefix, handler)
        return web.Response(status=204)

    async def _consent(self, request: web.Request) -> web.Response:
        principal = principal_of(request, Kind.USER)
        handler = await self.handler_for(request.match_info["id"], principal)
        await self.activate(handler, principal)
        self._changed(principal.number)
        return web.Response(status=204)


def _may_see(principal: Principal, handler: Handler) -> bool:
    if principal.kind is Kind.OPERATOR:
        return True
    if principal.kind is Kind.USER:
        return principal.number.startswith(handler.prefix)
    return handler.app_id == principal.app_id and principal.covers(handler.prefix)


def _document(handler: Handler) -> dict[str, object]:
    return {
        "id": handler.handler_id,
        "app_id": handler.app_id,
        "number": f"+{handler.prefix}",
        "svc": [str(service) for service in handler.services],
        "uri": handler.template,
        "msp": handler.msp,
        "registered_at": handler.registered_at,
        "state": "active" if handler.active else "pending-consent",
    }
