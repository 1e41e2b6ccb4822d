"""An authoritative name server for the demo's domains, over UDP and TCP on loopback.

It knows only what it was given: foreign names are REFUSED, so that a demo never reaches
the real DNS. `trouble` makes it as slow, silent or broken as a test wants it.
"""

import asyncio
import random
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

MAX_CHAIN = 8
MAX_TCP_CONNECTIONS = 64
TCP_IDLE = 10.0
NEGATIVE_TTL = 5


@dataclass(frozen=True, slots=True)
class Record:
    """One resource record: `data` in master-file form, names in it absolute; `ttl` in seconds."""

    name: str
    kind: str
    data: str
    ttl: int = 60


@dataclass(slots=True)
class Trouble:
    """How the server misbehaves: `delay` in seconds, the others as shares (0 to 1) of queries."""

    delay: float = 0.0
    drop: float = 0.0
    servfail: float = 0.0
    truncate: float = 0.0
    rand: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311


class Zones:
    """The records of some domains, and the answer to any query about them.

    `origins` are the domains it is authoritative for. Raises ValueError for a record outside
    of them, or one that does not parse.
    """

    def __init__(self, origins: Iterable[str], records: Iterable[Record] = ()) -> None:
        self._origins = sorted((_absolute(origin) for origin in origins), key=len, reverse=True)
        self._sets: dict[tuple[dns.name.Name, dns.rdatatype.RdataType], dns.rrset.RRset] = {}
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Add one record; raises ValueError."""
        name = _absolute(record.name)
        if self._origin_of(name) is None:
            raise ValueError(f"{record.name} is in none of this server's domains")
        try:
            kind = dns.rdatatype.from_text(record.kind)
            rdata = dns.rdata.from_text(dns.rdataclass.IN, kind, record.data)
        except dns.exception.DNSException as error:
            raise ValueError(f"{record.name} {record.kind} {record.data!r}: {error}") from None
        found = self._sets.setdefault((name, kind), dns.rrset.RRset(name, dns.rdataclass.IN, kind))
        found.add(rdata, record.ttl)

    def remove(self, name: str, kind: str | None = None) -> None:
        """Forget all records of a name, or those of one type."""
        for key in [key for key in self._sets if key[0] == _absolute(name)]:
            if kind is None or key[1] == dns.rdatatype.from_text(kind):
                del self._sets[key]

    def answer(self, query: dns.message.Message) -> dns.message.Message:
        """The response RFC 1034 section 4.3.2 asks of an authoritative server."""
        response = dns.message.make_response(query)
        if query.opcode() != dns.opcode.QUERY or len(query.question) != 1:
            response.set_rcode(dns.rcode.NOTIMP)
            return response
        question = query.question[0]
        if self._origin_of(question.name) is None:
            response.set_rcode(dns.rcode.REFUSED)
            return response
        response.flags |= dns.flags.AA
        self._follow(question.name, question.rdtype, response)
        self._add_addresses(response)
        return response

    def _follow(
        self, name: dns.name.Name, kind: dns.rdatatype.RdataType, response: dns.message.Message
    ) -> None:
        for _ in range(MAX_CHAIN):
            found = self._sets.get((name, kind))
            if found is not None:
                response.answer.append(found)
                return
            alias = self._sets.get((name, dns.rdatatype.CNAME))
            if alias is None:
                break
            response.answer.append(alias)
            name = alias[0].target
            if self._origin_of(name) is None:
                return
        origin = self._origin_of(name)
        assert origin is not None
        if not self._exists(name):
            response.set_rcode(dns.rcode.NXDOMAIN)
        response.authority.append(_soa(origin))

    def _exists(self, name: dns.name.Name) -> bool:
        """Also where only names below it have records (an empty non-terminal, RFC 8020)."""
        return name in self._origins or any(known.is_subdomain(name) for known, _ in self._sets)

    def _add_addresses(self, response: dns.message.Message) -> None:
        """RFC 2782 and 3403: the addresses and services an answer names, as additional data."""
        for rrset in list(response.answer):
            targets = [
                getattr(rdata, "target", None) or getattr(rdata, "replacement", None)
                for rdata in rrset
                if rrset.rdtype in (dns.rdatatype.SRV, dns.rdatatype.NAPTR)
            ]
            for target in filter(None, targets):
                for kind in (dns.rdatatype.SRV, dns.rdatatype.A, dns.rdatatype.AAAA):
                    found = self._sets.get((target, kind))
                    if found is not None and found not in response.additional:
                        response.additional.append(found)

    def _origin_of(self, name: dns.name.Name) -> dns.name.Name | None:
        return next((origin for origin in self._origins if name.is_subdomain(origin)), None)


class NameServer:
    """The zones on one address, over UDP and TCP on the same port.

    `queries` counts what was asked, by "name type", for tests of caches.
    """

    def __init__(self, zones: Zones, host: str, port: int, *, trouble: Trouble | None = None):
        self.zones = zones
        self.host = host
        self.port = port
        self.trouble = trouble or Trouble()
        self.queries: dict[str, int] = {}
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._delayed: set[asyncio.TimerHandle] = set()

    async def start(self) -> None:
        """Open both sockets (port 0: the same free port for both); raises OSError."""
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self), local_addr=(self.host, self.port)
        )
        self.port = self._udp.get_extra_info("sockname")[1]
        try:
            self._tcp = await asyncio.start_server(self._serve, self.host, self.port)
        except OSError:
            self._udp.close()
            raise

    async def stop(self) -> None:
        """Close everything; safe to repeat."""
        if self._udp is not None:
            self._udp.close()
        for handle in self._delayed:
            handle.cancel()
        self._delayed.clear()
        if self._tcp is not None:
            self._tcp.close()
            for writer in list(self._connections):
                writer.close()
            await self._tcp.wait_closed()
        self._udp = self._tcp = None

    def respond(self, data: bytes, *, limit: int | None = None) -> bytes | None:
        """The answer to one query on the wire; None where none is due. `limit` as over UDP."""
        try:
            query = dns.message.from_wire(data, ignore_trailing=True)
        except dns.exception.DNSException:
            return None
        if query.flags & dns.flags.QR:
            return None
        trouble = self.trouble
        if trouble.rand.random() < trouble.drop:
            return None
        if query.question:
            asked = query.question[0]
            key = f"{asked.name} {dns.rdatatype.to_text(asked.rdtype)}"
            if key in self.queries or len(self.queries) < 10_000:
                self.queries[key] = self.queries.get(key, 0) + 1
        if trouble.rand.random() < trouble.servfail:
            response = dns.message.make_response(query)
            response.set_rcode(dns.rcode.SERVFAIL)
            return response.to_wire()
        response = self.zones.answer(query)
        if limit is None:
            return response.to_wire(max_size=65535)
        if trouble.rand.random() < trouble.truncate:
            return _truncated(query)
        try:
            size = max(limit, query.payload) if query.edns >= 0 else limit
            return response.to_wire(max_size=size)
        except dns.exception.TooBig:
            return _truncated(query)

    def answer_datagram(self, data: bytes, source: tuple[str, int]) -> None:
        """Answer one datagram, now or after the configured delay."""
        response = self.respond(data, limit=512)
        if response is None or self._udp is None:
            return
        if not self.trouble.delay:
            self._udp.sendto(response, source)
            return
        loop = asyncio.get_running_loop()
        handle = loop.call_later(self.trouble.delay, self._send_late, response, source)
        self._delayed = {late for late in self._delayed if late.when() > loop.time()}
        self._delayed.add(handle)

    def _send_late(self, response: bytes, source: tuple[str, int]) -> None:
        if self._udp is not None:
            self._udp.sendto(response, source)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= MAX_TCP_CONNECTIONS:
            writer.close()
            return
        self._connections.add(writer)
        try:
            while True:
                async with asyncio.timeout(TCP_IDLE):
                    size = int.from_bytes(await reader.readexactly(2), "big")
                    data = await reader.readexactly(size)
                response = self.respond(data)
                await asyncio.sleep(self.trouble.delay)
                if response is None:
                    break
                writer.write(len(response).to_bytes(2, "big") + response)
                await writer.drain()
        except (asyncio.IncompleteReadError, TimeoutError, ConnectionError):
            pass
        finally:
            self._connections.discard(writer)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._server.answer_datagram(data, addr)


def sip_records(
    domain: str, targets: Iterable[tuple[str, str, int]], *, transport: str = "tls"
) -> list[Record]:
    """RFC 3263 records of a provider: NAPTR and SRV for `transport`, targets in given order.

    Each target is (host name, address, port); the first has the lowest SRV priority.
    """
    service, label = {
        "tls": ("SIPS+D2T", "_sips._tcp"),
        "tcp": ("SIP+D2T", "_sip._tcp"),
        "udp": ("SIP+D2U", "_sip._udp"),
    }[transport]
    records = [Record(domain, "NAPTR", f'50 50 "s" "{service}" "" {label}.{domain}.')]
    for priority, (host, address, port) in enumerate(targets, start=10):
        records.append(Record(f"{label}.{domain}", "SRV", f"{priority} 0 {port} {host}."))
        records.append(Record(host, "AAAA" if ":" in address else "A", address))
    return records


def _absolute(name: str) -> dns.name.Name:
    return dns.name.from_text(name)


def _soa(origin: dns.name.Name) -> dns.rrset.RRset:
    soa = f"ns.{origin} hostmaster.{origin} 1 3600 600 86400 {NEGATIVE_TTL}"
    return dns.rrset.from_text(origin, NEGATIVE_TTL, "IN", "SOA", soa)


def _truncated(query: dns.message.Message) -> bytes:
    response = dns.message.make_response(query)
    response.flags |= dns.flags.TC | dns.flags.AA
    return response.to_wire()
