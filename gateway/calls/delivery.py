"""Where a call to an own number goes: the user's registered contacts, else a configured route."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.calls.targets import MediaTerms, Route
from gateway.config.base import NumberSet
from gateway.config.sip import Route as RouteSettings
from gateway.listeners import Listeners
from gateway.locations import Locations
from gateway.policy.callers import CallerPolicy
from gateway.refusal import CallRefused
from sip.flow import Transport
from sip.uri import SipUri, parse_uri


@dataclass(frozen=True, slots=True)
class Reached:
    """Where an own number is reached: its routes, its media, its dialect of verdicts by name."""

    routes: list[Route]
    media: MediaTerms
    verstat: str | None = None


class Delivery:
    """Finds the routes to own numbers; `hosts` are those that configured routes lead to."""

    def __init__(
        self,
        locations: Locations,
        callers: CallerPolicy,
        listeners: Listeners,
        routes: Sequence[RouteSettings],
    ) -> None:
        self._locations = locations
        self._callers = callers
        self._listeners = listeners
        self._routes = [(NumberSet(route.numbers), route) for route in routes]

        self.hosts = frozenset(
            uri.host.lower()
            for route in routes
            if isinstance(uri := parse_uri(route.uri.replace("{number}", "0")), SipUri)
        )

    async def find(self, number: str, called_as: str) -> Reached:
        """Return the routes to an own number and what its device is offered and told.

        `called_as` is the Request-URI: a sips: one is delivered over TLS alone (RFC 3261 section
        26.2.2). Raises CallRefused: 480 where the user is known but has no device registered that
        may be called so, 404 else.
        """
        found = await self._find(number)
        if called_as[:5].lower() == "sips:":
            found = replace(found, routes=[r for r in found.routes if r.transports == {"tls"}])
            if not found.routes:
                raise CallRefused(480, "No device of the user can be reached securely")
        return found

    async def _find(self, number: str) -> Reached:
        owner = self._callers.owner(number)
        if owner is not None:
            routes = await self._registered(number)
            if routes:
                media = MediaTerms(owner.media, owner.behind_nat, _host(routes[0]))
                return Reached(routes, media, owner.verstat)
        for numbers, route in self._routes:
            if number in numbers:
                routes = [self._configured(route, number)]
                return Reached(routes, MediaTerms(route.media), route.verstat)
        if owner is not None:
            raise CallRefused(480, "The user has no device registered")
        raise CallRefused(404, "No user of this provider has the number")

    async def _registered(self, number: str) -> list[Route]:
        routes = []
        for location in await self._locations.find(number):
            uri, flow = parse_uri(location.contact_uri), location.flow
            if isinstance(uri, SipUri):
                hop = self._listeners.hop(flow)
                transports = frozenset({flow.transport})
                routes.append(Route(uri, flow.listener, transports, (hop,), location.q))
        return routes

    def _configured(self, route: RouteSettings, number: str) -> Route:
        uri = parse_uri(route.uri.replace("{number}", number))
        assert isinstance(uri, SipUri)  # checked when the configuration was loaded
        transport = _transport(uri)
        listener = self._listeners.for_sending("access", transport)
        if listener is None:
            raise CallRefused(500, f"No access listener speaks {transport}")
        return Route(uri, listener, frozenset({transport}))


def _transport(uri: SipUri) -> Transport:
    named = (uri.params.get("transport") or "").lower()
    if named == "tcp":
        return "tcp"
    return "tls" if named == "tls" or uri.scheme == "sips" else "udp"


def _host(route: Route) -> str:
    return route.hops[0].address.host
