"""Where a request is sent next, and where none may go because a stranger says so.

A peer chooses the URI its numbers are reached at, and the Contact its dialogs are continued at.
Neither may make the gateway open connections into the networks it stands in: what is sent from a
peers listener goes to public addresses only, or to those the configuration allows.
"""

from __future__ import annotations

from functools import lru_cache
from random import SystemRandom
from typing import Final

import structlog

from gateway.dns_budget import DnsBudget
from gateway.http.guard import GuardPolicy, UrlRefused, check_address
from gateway.listeners import Listeners
from sip.dns import DnsClient
from sip.flow import Hop, Transport
from sip.locate import NotLocated, locate
from sip.uri import SipUri

_ADDRESSES_KEPT: Final = 4_096
_RANDOM: Final = SystemRandom()
_log = structlog.get_logger("spingate.next_hops")


class NextHops:
    """Locates next hops (RFC 3263) and keeps those of peers out of special-purpose networks."""

    def __init__(
        self,
        dns: DnsClient,
        listeners: Listeners,
        policy: GuardPolicy,
        *,
        dns_seconds: float = 2.0,
    ) -> None:
        """`dns_seconds` is for all the questions of one search together."""
        self._dns = dns
        self._dns_seconds = dns_seconds
        self._listeners = listeners
        self._policy = policy
        self._refusal = lru_cache(maxsize=_ADDRESSES_KEPT)(self._judge)

    async def find(
        self, uri: SipUri, listener: str, transports: frozenset[Transport]
    ) -> tuple[Hop, ...]:
        """Return the hops for a URI from a listener, best first; raises NotLocated."""
        dns = DnsBudget(self._dns, self._dns_seconds)
        found = await locate(uri, dns, transports=transports, rand=_RANDOM)
        if self._listeners.role_of(listener) == "peers":
            found = tuple(hop for hop in found if self._permitted(hop, uri))
            if not found:
                raise NotLocated("absent", f"uri: {uri.host} has no public address")
        return tuple(
            Hop(hop.transport, hop.address, listener, hop.tls_name, hop.flow) for hop in found
        )

    def _permitted(self, hop: Hop, uri: SipUri) -> bool:
        refusal = self._refusal(hop.address.host)
        if refusal is None:
            return True
        _log.warning("next hop refused", culprit=uri.host, address=hop.address.host, reason=refusal)
        return False

    def _judge(self, address: str) -> str | None:
        """Why an address is not to be connected to, or None."""
        try:
            check_address(address, self._policy)
        except UrlRefused as refused:
            return str(refused)
        return None
