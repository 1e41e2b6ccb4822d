"""A small authoritative DNS server on loopback whose misbehaviour can be chosen by name."""

import asyncio
import struct
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

Zone = Mapping[tuple[str, str], Sequence[str]]


@dataclass
class DnsServer:
    """Serves `zone`; `asked` counts questions, the sets of names choose what goes wrong."""

    zone: Zone
    ttl: int = 60
    silent: set[str] = field(default_factory=set)
    silent_kinds: set[str] = field(default_factory=set)
    servfail: set[str] = field(default_factory=set)
    truncated: set[str] = field(default_factory=set)
    wrong_id_first: set[str] = field(default_factory=set)
    only_wrong_id: set[str] = field(default_factory=set)
    delay: dict[str, float] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    over_tcp: Counter[str] = field(default_factory=Counter)
    port: int = 0

    def answer(self, query: dns.message.Message, *, tcp: bool) -> dns.message.Message:
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True)
        kind = dns.rdatatype.to_text(question.rdtype)
        response = dns.message.make_response(query)
        if name in self.servfail:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif name in self.truncated and not tcp:
            response.flags |= dns.flags.TC
        elif (name, kind) in self.zone:
            self._add(response, name, kind)
        elif (name, "CNAME") in self.zone:
            self._add(response, name, "CNAME")
        elif not any(known == name for known, _ in self.zone):
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response

    def _add(self, response: dns.message.Message, name: str, kind: str) -> None:
        records = self.zone[name, kind]
        response.answer.append(dns.rrset.from_text(name + ".", self.ttl, "IN", kind, *records))


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self.server = server
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not every loop's datagram transport is an asyncio.DatagramTransport by class.
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        name = query.question[0].name.to_text(omit_final_dot=True)
        server = self.server
        server.asked[name] += 1
        kind = dns.rdatatype.to_text(query.question[0].rdtype)
        if name in server.silent or kind in server.silent_kinds:
            return
        wire = server.answer(query, tcp=False).to_wire()
        if name in server.wrong_id_first or name in server.only_wrong_id:
            self._send(struct.pack("!H", (query.id + 1) & 0xFFFF) + wire[2:], addr)
        if name not in server.only_wrong_id:
            loop = asyncio.get_running_loop()
            loop.call_later(server.delay.get(name, 0.0), self._send, wire, addr)

    def _send(self, wire: bytes, addr: tuple[str, int]) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.sendto(wire, addr)


@asynccontextmanager
async def serving(server: DnsServer, host: str = "127.0.0.1") -> AsyncIterator[DnsServer]:
    """Serve over UDP and TCP on the same free port."""

    async def over_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = struct.unpack("!H", await reader.readexactly(2))[0]
        query = dns.message.from_wire(await reader.readexactly(length))
        server.over_tcp[query.question[0].name.to_text(omit_final_dot=True)] += 1
        wire = server.answer(query, tcp=True).to_wire()
        writer.write(struct.pack("!H", len(wire)) + wire)
        await writer.drain()
        writer.close()

    loop = asyncio.get_running_loop()
    stream = await asyncio.start_server(over_tcp, host, 0)
    server.port = stream.sockets[0].getsockname()[1]
    datagram, _ = await loop.create_datagram_endpoint(
        lambda: _Udp(server), local_addr=(host, server.port)
    )
    try:
        yield server
    finally:
        datagram.close()
        stream.close()
        await stream.wait_closed()
