"""The own listeners by name and role, and which URIs mean this gateway."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from gateway.calls.route_token import PARAMETER
from gateway.config.root import Provider
from gateway.config.sip import Listen
from sip.flow import Address, Flow, Hop, Transport
from sip.host import canonical_host
from sip.uri import SipUri

Role = Literal["access", "peers"]


class Listeners:
    """Looks listeners up by name, role and transport."""

    def __init__(self, provider: Provider, listeners: Sequence[Listen]) -> None:
        self._by_name = {listener.name: listener for listener in listeners}
        self._domains = {provider.domain, *provider.further_domains}
        self._addresses = {
            (canonical_host(host), listener.port)
            for listener in listeners
            for host in (
                listener.address,
                listener.advertise or listener.address,
                *self._domains,
            )
        }

    def role(self, flow: Flow) -> Role:
        """Return the role of the listener a flow belongs to."""
        return self._by_name[flow.listener].role

    def has(self, name: str) -> bool:
        """Whether there is a listener of that name."""
        return name in self._by_name

    def role_of(self, name: str) -> Role:
        """Return the role of a listener."""
        return self._by_name[name].role

    def for_sending(self, role: Role, transport: Transport) -> str | None:
        """Return the name of the first listener of a role that speaks a transport."""
        for listener in self._by_name.values():
            if listener.role == role and listener.transport == transport:
                return listener.name
        return None

    def transports(self, role: Role) -> frozenset[Transport]:
        """Return the transports that listeners of a role speak."""
        return frozenset(each.transport for each in self._by_name.values() if each.role == role)

    def sent_by(self, name: str) -> Address:
        """Return the address others reach a listener at."""
        listener = self._by_name[name]
        return Address(listener.advertise or listener.address, listener.port)

    def serves_domain(self, host: str) -> bool:
        """Whether requests for a domain are ours to answer."""
        return canonical_host(host) in self._domains

    def is_ours(self, uri: SipUri) -> bool:
        """Whether a URI names this gateway itself: one of its listeners or domains."""
        host = canonical_host(uri.host)
        if host in self._domains and uri.port is None:
            return True
        secure = uri.scheme == "sips" or (uri.params.text("transport") or "").lower() == "tls"
        port = uri.port or (5061 if secure else 5060)
        return (host, port) in self._addresses

    def record_route(self, name: str, token: str) -> str:
        """Return the Record-Route value of a listener with a sealed token (RFC 5658)."""
        listener = self._by_name[name]
        return f"<sip:{self.sent_by(name)};transport={listener.transport};lr;{PARAMETER}={token}>"

    @staticmethod
    def hop(flow: Flow) -> Hop:
        """Return the hop that follows a flow back: the connection, or the datagram's source."""
        return Hop(flow.transport, flow.remote, flow.listener, None, flow)
