"""REGISTER from own users: authenticated, for their own numbers only, kept in SQLite."""

from __future__ import annotations

import structlog

from gateway.calls.refusal import CallRefused
from gateway.identity import called_number
from gateway.listeners import Listeners
from gateway.locations import Locations
from gateway.policy.callers import CallerPolicy
from sip.digest import Authenticated, Challenged, DigestAuthenticator
from sip.endpoint import ServerTransaction
from sip.flow import Flow
from sip.message import Request
from sip.uri import SipUri

_log = structlog.get_logger("spingate.registration")


class Registration:
    """Answers REGISTER requests on access listeners."""

    def __init__(
        self,
        digest: DigestAuthenticator,
        callers: CallerPolicy,
        listeners: Listeners,
        locations: Locations,
    ) -> None:
        self._digest = digest
        self._callers = callers
        self._listeners = listeners
        self._locations = locations

    async def handle(self, transaction: ServerTransaction, flow: Flow, now: float) -> None:
        """Answer one REGISTER; `now` is in epoch seconds."""
        request = transaction.request
        try:
            number = await self._authorised_number(request, now)
        except CallRefused as refusal:
            transaction.respond(refusal.response(request))
            return
        transaction.respond(await self._locations.register(request, number, flow, now))

    async def _authorised_number(self, request: Request, now: float) -> str:
        """The number whose bindings the request may change (RFC 3261 section 10.3 steps 2 to 5)."""
        uri = request.to.uri
        if not isinstance(uri, SipUri) or not self._listeners.serves_domain(uri.host):
            raise CallRefused(404, "The address of record is not in a domain of this provider")
        result = await self._digest.check(request, proxy=False, now=now)
        if isinstance(result, Challenged):
            if result.reason not in ("absent", "stale"):
                _log.warning("registration refused", reason=result.reason)
            raise CallRefused(401, headers=result.headers)
        if not isinstance(result, Authenticated):
            raise CallRefused(result.status, result.reason)
        number = called_number(uri)
        user = self._callers.user(result.username)
        if user is None or number is None or number not in user.numbers:
            raise CallRefused(403, "The address of record is not one of the user's numbers")
        return number
