"""A UDP and TCP listener that answers queries about published numbers."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol, cast

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import structlog

from discovery.enum.naptr import Rule
from discovery.enum.publishing.zone import PublishedZone, reply_to
from gateway.enum_server.response_rate import Allowance, ResponseRate
from gateway.http.source_address import source_of
from gateway.metrics import Exposition

_log = structlog.get_logger("enum_server")
_MAX_QUERY: Final = 1_232
_PLAIN_UDP: Final = 512
_EDNS_UDP: Final = 1_232


class NumbersUnavailable(Exception):
    """The numbers cannot be looked up now; the message names the culprit, no number."""


class PublishedNumbers(Protocol):
    """Where the rules of opted-in numbers come from."""

    async def rules(self, number: str) -> tuple[Rule, ...]:
        """Return the rules of a number (digits); none where it is not published.

        Raises NumbersUnavailable.
        """
        ...


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Address, port (0: a free one) and limits; times in seconds.

    max_under_way: queries being answered over UDP; max_queries: of one connection.
    """

    address: str
    port: int
    lookup_timeout: float = 1.0
    max_under_way: int = 1_000
    max_connections: int = 200
    max_per_source: int = 20
    idle: float = 10.0
    max_queries: int = 100
    responses_per_second: float = 50.0
    responses_burst: float = 200.0


@dataclass(slots=True)
class _Open:
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    per_source: Counter[str] = field(default_factory=Counter)


class EnumServer:
    """Serves one zone. `counts` says how many queries ended how, by a closed list of words."""

    def __init__(
        self,
        zone: PublishedZone,
        numbers: PublishedNumbers,
        settings: ServerSettings,
        *,
        wall_clock: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._zone = zone
        self._numbers = numbers
        self._settings = settings
        self._wall_clock = wall_clock
        self._clock = clock
        self._rate = ResponseRate(
            per_second=settings.responses_per_second, burst=settings.responses_burst
        )
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self._open = _Open()
        self._under_way: set[asyncio.Task[None]] = set()
        self.port = settings.port
        self.counts: Counter[str] = Counter()

    @property
    def suffix(self) -> str:
        """The domain of the tree."""
        return self._zone.tree.suffix

    @property
    def ds(self) -> tuple[str, ...]:
        """The DS records that others pin, the signing key's first."""
        return self._zone.ds()

    def measure(self, exposition: Exposition) -> None:
        """Add how questions ended."""
        exposition.counts(
            "enum_questions",
            "Questions over DNS, by outcome",
            ("outcome",),
            lambda: {(outcome,): count for outcome, count in self.counts.items()},
        )

    async def start(self) -> None:
        """Open both sockets; raises OSError."""
        loop = asyncio.get_running_loop()
        settings = self._settings
        self._tcp = await asyncio.start_server(self._connected, settings.address, settings.port)
        self.port = self._tcp.sockets[0].getsockname()[1]
        try:
            self._udp, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(self), local_addr=(settings.address, self.port)
            )
        except OSError:
            self._tcp.close()
            raise

    async def stop(self) -> None:
        """Close everything; safe to repeat."""
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()
        for writer in list(self._open.writers):
            writer.close()
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        if self._tcp is not None:
            await self._tcp.wait_closed()
        self._udp = self._tcp = None

    # --- UDP -----------------------------------------------------------------------------------

    def datagram(self, data: bytes, source: tuple[str, int]) -> None:
        """Take one datagram; answers are sent when they are ready."""
        allowance = self._rate.take(source[0], self._clock())
        if allowance is Allowance.NOTHING or len(self._under_way) >= self._settings.max_under_way:
            self.counts["dropped"] += 1
            return
        query = self._read(data)
        if query is None:
            return
        if allowance is Allowance.TRUNCATED:
            self.counts["rate limited"] += 1
            self._send(truncated(query), source)
            return
        task = asyncio.get_running_loop().create_task(self._answer_datagram(query, source))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _answer_datagram(self, query: dns.message.Message, source: tuple[str, int]) -> None:
        wire = datagram_of(await self._respond(query), query)
        if wire is None:
            self.counts["truncated"] += 1
            wire = truncated(query)
        self._send(wire, source)

    def _send(self, wire: bytes, source: tuple[str, int]) -> None:
        if self._udp is not None and not self._udp.is_closing():
            self._udp.sendto(wire, source)

    # --- TCP -----------------------------------------------------------------------------------

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held, settings = self._open, self._settings
        peer = writer.get_extra_info("peername")
        source = source_of(str(peer[0]) if peer else None)
        full = len(held.writers) >= settings.max_connections
        if full or held.per_source[source] >= settings.max_per_source:
            self.counts["connection refused"] += 1
            writer.close()
            return
        held.writers.add(writer)
        held.per_source[source] += 1
        try:
            await self._serve(reader, writer)
        except (asyncio.IncompleteReadError, TimeoutError, ConnectionError):
            pass
        finally:
            held.writers.discard(writer)
            held.per_source[source] -= 1
            if not held.per_source[source]:
                del held.per_source[source]
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(self._settings.max_queries):
            async with asyncio.timeout(self._settings.idle):
                size = int.from_bytes(await reader.readexactly(2), "big")
                if size > _MAX_QUERY:
                    return
                query = self._read(await reader.readexactly(size))
                if query is None:
                    return
                response = await self._respond(query)
                wire = response.to_wire(max_size=65_535)
                writer.write(len(wire).to_bytes(2, "big") + wire)
                await writer.drain()

    # --- both ----------------------------------------------------------------------------------

    def _read(self, data: bytes) -> dns.message.Message | None:
        query = read_query(data)
        if query is None:
            self.counts["malformed"] += 1
        return query

    async def _respond(self, query: dns.message.Message) -> dns.message.Message:
        number = self._zone.number_asked(query)
        rules: tuple[Rule, ...] = ()
        if number is not None:
            try:
                async with asyncio.timeout(self._settings.lookup_timeout):
                    rules = await self._numbers.rules(number)
            except (NumbersUnavailable, TimeoutError) as error:
                _log.warning("not answered", culprit=str(error) or "lookup: no answer in time")
                self.counts["failed"] += 1
                response = reply_to(query)
                response.set_rcode(dns.rcode.SERVFAIL)
                return response
        response = self._zone.answer(query, rules, self._wall_clock())
        refused = response.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)
        self.counts["refused" if refused else "found" if response.answer else "absent"] += 1
        return response


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: EnumServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._server.datagram(data, addr)


def read_query(data: bytes) -> dns.message.Message | None:
    """Read a query; None for what gets no answer: nonsense, and answers."""
    try:
        query = dns.message.from_wire(data) if len(data) <= _MAX_QUERY else None
    except (dns.exception.DNSException, ValueError):
        return None
    return None if query is None or query.flags & dns.flags.QR else query


def datagram_of(response: dns.message.Message, query: dns.message.Message) -> bytes | None:
    """Write a response to a query over UDP; None where it is longer than the asker takes."""
    limit = min(max(query.payload, _PLAIN_UDP), _EDNS_UDP) if query.edns >= 0 else _PLAIN_UDP
    try:
        return response.to_wire(max_size=limit)
    except dns.exception.TooBig:
        return None


def truncated(query: dns.message.Message) -> bytes:
    """The shortest answer there is: the header, the question, and the wish for TCP."""
    response = reply_to(query)
    response.flags |= dns.flags.TC
    return response.to_wire()
