"""REGISTER from own users: authenticated, for their own numbers only, kept in SQLite."""

from __future__ import annotations

from gateway.asserted_headers import called_number
from gateway.listeners import Listeners
from gateway.locations import Locations
from gateway.policy.callers import CallerPolicy
from gateway.policy.logins import Logins
from gateway.refusal import CallRefused
from sip.endpoint import ServerTransaction
from sip.flow import Flow
from sip.message import Request
from sip.uri import SipUri


class Registration:
    """Answers REGISTER requests on access listeners."""

    def __init__(
        self,
        logins: Logins,
        callers: CallerPolicy,
        listeners: Listeners,
        locations: Locations,
    ) -> None:
        self._logins = logins
        self._callers = callers
        self._listeners = listeners
        self._locations = locations

    async def handle(self, transaction: ServerTransaction, flow: Flow, now: float) -> None:
        """Answer one REGISTER; `now` is in epoch seconds."""
        request = transaction.request
        try:
            number = await self._authorised_number(request, flow.remote.host, now)
        except CallRefused as refusal:
            transaction.respond(refusal.response(request))
            return
        transaction.respond(await self._locations.register(request, number, flow, now))

    async def _authorised_number(self, request: Request, source: str, now: float) -> str:
        """The number whose bindings the request may change (RFC 3261 section 10.3 steps 2 to 5)."""
        uri = request.to.uri
        if not isinstance(uri, SipUri) or not self._listeners.serves_domain(uri.host):
            raise CallRefused(404, "The address of record is not in a domain of this provider")
        username = await self._logins.username(request, source, now, proxy=False)
        number = called_number(uri)
        user = self._callers.user(username)
        if user is None or number is None or number not in user.numbers:
            raise CallRefused(403, "The address of record is not one of the user's numbers")
        return number
