"""Locating the server for a SIP URI (RFC 3263 section 4).

The answer is an ordered list: every transport, target and address worth trying, best first, so
that the caller can fail over (section 4.3) without asking again. What DNS says is never trusted
with more than that: the list is bounded, and the name a TLS server has to prove is the domain of
the URI, not the one DNS led to (RFC 5922 section 4).
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Literal

from sip.dns import DnsClient, DnsUnavailable, Naptr, Srv
from sip.flow import Address, Hop, Transport
from sip.uri import SipUri

MAX_HOPS = 16
# One URI may cost at most this many questions, whatever its zone holds.
MAX_ADDRESS_LOOKUPS = 16
MAX_SERVICES = 8
MAX_TARGETS = 16
# Questions are asked one after the other: this many time-outs and the search is over.
MAX_UNANSWERED = 3

DEFAULT_PORTS: dict[Transport, int] = {"udp": 5060, "tcp": 5060, "tls": 5061}

# RFC 3263 4.1 and RFC 3401 family: which NAPTR service stands for which transport.
_NAPTR_SERVICES: dict[str, Transport] = {
    "sips+d2t": "tls",
    "sip+d2t": "tcp",
    "sip+d2u": "udp",
}
_SRV_PREFIXES: dict[Transport, str] = {
    "tls": "_sips._tcp.",
    "tcp": "_sip._tcp.",
    "udp": "_sip._udp.",
}
# Our own preference where the domain states none (section 4.1 leaves it to the client).
_PREFERENCE: tuple[Transport, ...] = ("tls", "tcp", "udp")

Cause = Literal["absent", "unavailable", "unsupported"]


class NotLocated(Exception):
    """No server is known for a URI.

    `cause` tells whether the domain has none ("absent"), DNS did not answer ("unavailable"), or
    the URI asks for a transport we do not have ("unsupported").
    """

    def __init__(self, cause: Cause, detail: str) -> None:
        super().__init__(detail)
        self.cause = cause
        self.detail = detail


@dataclass(frozen=True, slots=True)
class _Service:
    """One way to reach a domain: the SRV name to ask, and the transport it stands for."""

    transport: Transport
    srv_name: str


async def locate(
    uri: SipUri, dns: DnsClient, *, transports: frozenset[Transport], rand: Random
) -> tuple[Hop, ...]:
    """Give the places where requests for `uri` may be sent, best first (RFC 3263 4.1, 4.2).

    At most 16 hops, each address once. `transports` are those the caller can send on. Raises
    NotLocated.
    """
    host = uri.host
    target = uri.params.text("maddr") or host
    wanted = _asked_transports(uri, transports)
    if uri.port == 0:
        raise NotLocated("absent", f"uri: nothing can listen at port 0 of {host}")
    numeric = _numeric(target)
    if numeric is not None:
        transport = _first_choice(uri, wanted)
        return (_hop(transport, numeric, uri.port or DEFAULT_PORTS[transport], host),)
    search = _Search(dns, _canonical(target), host, rand)
    if uri.port is not None:
        await search.addresses(_first_choice(uri, wanted), search.target, uri.port)
        return search.result()
    if _transport_param(uri) is None:
        services = await search.services(uri, wanted)
    else:
        services = [_Service(t, _SRV_PREFIXES[t] + search.target) for t in wanted]
    if not await search.follow(services):
        transport = _first_choice(uri, wanted)
        await search.addresses(transport, search.target, DEFAULT_PORTS[transport])
    return search.result()


def order_srv(records: Iterable[Srv], rand: Random, *, limit: int = MAX_TARGETS) -> list[Srv]:
    """Order SRV records by priority, and by weighted chance within one (RFC 2782).

    Only the first `limit` are chosen: a zone of thousands costs no more than a small one.
    """
    by_priority: dict[int, list[Srv]] = {}
    for record in records:
        by_priority.setdefault(record.priority, []).append(record)
    ordered: list[Srv] = []
    for priority in sorted(by_priority):
        # Weight 0 first, so that such records have a small chance and not none.
        waiting = sorted(by_priority[priority], key=lambda record: record.weight > 0)
        total = sum(record.weight for record in waiting)
        while waiting and len(ordered) < limit:
            record = waiting.pop(_pick(waiting, rand.randint(0, total)))
            total -= record.weight
            ordered.append(record)
    return ordered


def _pick(records: Sequence[Srv], mark: int) -> int:
    running = 0
    for index, record in enumerate(records):
        running += record.weight
        if running >= mark:
            return index
    return len(records) - 1


class _Search:
    """One run of the procedure: what was found so far, and what DNS failed to tell."""

    def __init__(self, dns: DnsClient, target: str, domain: str, rand: Random) -> None:
        self.target = target
        self._dns = dns
        self._domain = domain
        self._rand = rand
        self._hops: dict[tuple[Transport, Address], Hop] = {}
        self._lookups = 0
        self._fault: DnsUnavailable | None = None
        self._unanswered = 0

    async def services(self, uri: SipUri, wanted: Sequence[Transport]) -> list[_Service]:
        """Section 4.1: NAPTR, and without it every transport's SRV name."""
        try:
            records = await self._dns.naptr(self.target)
        except DnsUnavailable as fault:
            # SRV may still answer: some resolvers and firewalls swallow NAPTR.
            self._note(fault)
            records = ()
        services = _usable_naptr(records, wanted, secure_only=uri.scheme == "sips")
        if services:
            return services
        return [_Service(t, _SRV_PREFIXES[t] + self.target) for t in _PREFERENCE if t in wanted]

    async def follow(self, services: Sequence[_Service]) -> bool:
        """Section 4.2: gather hops from SRV; False where no SRV record exists at all.

        A question that was not answered is no proof of absence: falling back to an address record
        then would let whoever can drop a packet choose plain UDP for us.
        """
        exists = False
        for service in services:
            if self._unanswered >= MAX_UNANSWERED:
                break
            try:
                records = await self._dns.srv(service.srv_name)
            except DnsUnavailable as fault:
                self._note(fault)
                continue
            exists = exists or bool(records)
            usable = [r for r in records if r.target and 0 < r.port < 65536]
            for record in order_srv(usable, self._rand):
                await self.addresses(service.transport, record.target, record.port)
        return exists or self._fault is not None

    async def addresses(self, transport: Transport, target: str, port: int) -> None:
        """Add a hop for every address of a host name."""
        if len(self._hops) >= MAX_HOPS:
            return
        numeric = _numeric(target)
        if numeric is not None:
            self._add(transport, numeric, port)
            return
        if self._lookups >= MAX_ADDRESS_LOOKUPS or self._unanswered >= MAX_UNANSWERED:
            return
        self._lookups += 1
        try:
            found = await self._dns.addresses(target)
        except DnsUnavailable as fault:
            self._note(fault)
            return
        for host in found:
            self._add(transport, host, port)

    def _note(self, fault: DnsUnavailable) -> None:
        self._fault = fault
        self._unanswered += 1

    def result(self) -> tuple[Hop, ...]:
        if self._hops:
            return tuple(self._hops.values())
        if self._fault is not None:
            raise NotLocated("unavailable", str(self._fault)) from self._fault
        raise NotLocated("absent", f"dns: {self.target} has no server for SIP")

    def _add(self, transport: Transport, host: str, port: int) -> None:
        if len(self._hops) < MAX_HOPS:
            hop = _hop(transport, host, port, self._domain)
            self._hops.setdefault((transport, hop.address), hop)


def _usable_naptr(
    records: Iterable[Naptr], wanted: Sequence[Transport], *, secure_only: bool
) -> list[_Service]:
    """The services we can use, by order and preference; only terminal "s" records count."""
    services: list[_Service] = []
    for record in sorted(records, key=lambda r: (r.order, r.preference)):
        transport = _NAPTR_SERVICES.get(record.service.lower())
        if transport is None or transport not in wanted or (secure_only and transport != "tls"):
            continue
        if record.flags.lower() != "s" or record.regexp or not record.replacement:
            continue
        service = _Service(transport, record.replacement)
        if service not in services:
            services.append(service)
        if len(services) == MAX_SERVICES:
            break
    return services


def _asked_transports(uri: SipUri, transports: frozenset[Transport]) -> tuple[Transport, ...]:
    """The transports the URI allows, of those we have; raises NotLocated for none."""
    param = _transport_param(uri)
    if param is None:
        allowed: tuple[Transport, ...] = ("tls",) if uri.scheme == "sips" else _PREFERENCE
    elif param == "tls" or (uri.scheme == "sips" and param == "tcp"):
        allowed = ("tls",)  # RFC 3261 26.2.2: transport=tls is deprecated but spoken
    elif param == "tcp":
        allowed = ("tcp",)
    elif param == "udp" and uri.scheme == "sip":
        allowed = ("udp",)
    else:
        allowed = ()
    usable = tuple(transport for transport in allowed if transport in transports)
    if not usable:
        asked = f"{uri.scheme} with transport {param}" if param else f"scheme {uri.scheme}"
        raise NotLocated("unsupported", f"uri: {asked} to {uri.host} is not spoken here")
    return usable


def _first_choice(uri: SipUri, wanted: Sequence[Transport]) -> Transport:
    """Section 4.1: without records UDP for sip and TLS for sips, unless the URI said otherwise."""
    if uri.scheme == "sip" and "udp" in wanted:
        return "udp"
    return "tcp" if "tcp" in wanted else wanted[0]


def _transport_param(uri: SipUri) -> str | None:
    param = uri.params.text("transport")
    return param.lower() if param else None


def _hop(transport: Transport, host: str, port: int, domain: str) -> Hop:
    name = _canonical(domain) if transport == "tls" else None
    return Hop(transport=transport, address=Address(host, port), tls_name=name)


def _canonical(name: str) -> str:
    return name.strip("[]").rstrip(".").lower()


@lru_cache(maxsize=4096)
def _numeric(host: str) -> str | None:
    """The plain form of a numeric host, or None for a name."""
    try:
        return str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return None
