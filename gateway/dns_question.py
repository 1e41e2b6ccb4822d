"""One question to DNS servers on its way: servers in turn, aliases followed, records read."""

import asyncio
from dataclasses import dataclass

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA
from dns.rdtypes.IN.NAPTR import NAPTR
from dns.rdtypes.IN.SRV import SRV

from sip.dns import Naptr, Srv

MAX_ALIASES = 8
_EDNS_PAYLOAD = 1232

Record = Naptr | Srv | str
"""What an answer holds: an address is its text."""


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """How to ask and how much to remember; times are in seconds.

    `timeout` is for one question, all servers, repetitions and aliases together; after `attempt`
    without an answer the next server is asked too. `failure_ttl` is how long an unanswered
    question is not asked again (RFC 2308 7). `max_questions` bounds those under way at once.
    """

    nameservers: tuple[tuple[str, int], ...]
    timeout: float = 2.0
    attempt: float = 0.7
    cache_entries: int = 10_000
    min_ttl: float = 1.0
    max_ttl: float = 3_600.0
    negative_ttl: float = 30.0
    failure_ttl: float = 1.0
    max_questions: int = 256
    families: tuple[int, ...] = (4, 6)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a question ended with: records (none: they do not exist) or who failed."""

    records: tuple[Record, ...]
    ttl: float
    fault: tuple[str, str] | None = None


class Question:
    """One question on its way: servers in turn, aliases followed."""

    def __init__(
        self, settings: DnsSettings, kind: dns.rdatatype.RdataType, *, signed: bool = False
    ) -> None:
        self._settings = settings
        self._kind = kind
        self._signed = signed
        self.asking = "no server"
        self.last_fault: tuple[str, str] | None = None

    async def resolve(self, text: str) -> Answer:
        settings = self._settings
        try:
            name = dns.name.from_text(text)
        except (dns.exception.DNSException, UnicodeError):
            return Answer((), settings.negative_ttl)
        ttl = settings.max_ttl
        for _ in range(MAX_ALIASES):
            answer = await self.ask(name)
            if answer is None:
                assert self.last_fault is not None
                return Answer((), settings.failure_ttl, self.last_fault)
            chain = answer.resolve_chaining()
            ttl = min(ttl, float(chain.minimum_ttl))
            if chain.answer is not None:
                records = tuple(map(_record, chain.answer))
                return Answer(records, max(ttl, settings.min_ttl))
            if chain.canonical_name == name or answer.rcode() == dns.rcode.NXDOMAIN:
                negative = min(max(ttl, settings.min_ttl), settings.negative_ttl)
                return Answer((), negative)
            # An authoritative server may give an alias into a zone it does not serve.
            name = chain.canonical_name
        return Answer((), settings.failure_ttl, (self.asking, "a chain of aliases"))

    async def ask(self, name: dns.name.Name) -> dns.message.QueryMessage | None:
        """Ask the servers in turn, twice each at most; None when all failed (see last_fault).

        One that is slow to answer is not given up when the next is asked: the first answer counts.
        """
        under_way: set[asyncio.Task[dns.message.QueryMessage | None]] = set()
        refused: set[tuple[str, int]] = set()
        try:
            for server in self._settings.nameservers * 2:
                if server in refused:
                    continue  # asking again helps against a lost packet, not against a refusal
                under_way.add(asyncio.ensure_future(self._try(name, server, refused)))
                answer = await _first(under_way, self._settings.attempt)
                if answer is not None:
                    return answer
            while under_way:
                answer = await _first(under_way, None)
                if answer is not None:
                    return answer
            return None
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _try(
        self, name: dns.name.Name, server: tuple[str, int], refused: set[tuple[str, int]]
    ) -> dns.message.QueryMessage | None:
        """Ask one server; notes what went wrong."""
        self.asking = place = f"nameserver {_place(*server)}"
        try:
            return await self._ask_server(name, *server)
        except (TimeoutError, dns.exception.Timeout):
            self.last_fault = (place, "no answer")
            return None
        except _Unusable as fault:
            self.last_fault = (place, str(fault))
        except dns.exception.DNSException as error:
            self.last_fault = (place, f"unusable answer ({type(error).__name__})")
        except (OSError, EOFError) as error:
            self.last_fault = (place, getattr(error, "strerror", None) or "connection closed")
        refused.add(server)
        return None

    async def _ask_server(
        self, name: dns.name.Name, server: str, port: int
    ) -> dns.message.QueryMessage:
        query = dns.message.make_query(
            name, self._kind, use_edns=0, payload=_EDNS_PAYLOAD, want_dnssec=self._signed
        )
        if self._signed:
            query.flags |= dns.flags.CD  # what does not validate elsewhere is judged here
        # ignore_*: a forged or foreign packet must not end the wait for the true answer.
        answer = await dns.asyncquery.udp(
            query,
            server,
            timeout=self._settings.timeout,
            port=port,
            ignore_unexpected=True,
            ignore_errors=True,
        )
        if answer.flags & dns.flags.TC:
            answer = await dns.asyncquery.tcp(
                query, server, timeout=self._settings.timeout, port=port
            )
        if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise _Unusable(dns.rcode.to_text(answer.rcode()))
        if not isinstance(answer, dns.message.QueryMessage):
            raise _Unusable("not an answer to a query")
        answer.resolve_chaining()
        return answer


async def _first(
    tasks: set[asyncio.Task[dns.message.QueryMessage | None]], timeout: float | None
) -> dns.message.QueryMessage | None:
    """Wait for an answer, or until a task failed; what is done leaves `tasks`."""
    done, _ = await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    tasks -= done
    return next((answer for task in done if (answer := task.result()) is not None), None)


class _Unusable(Exception):
    """A server answered, but not what was asked."""


def _record(record: dns.rdata.Rdata) -> Record:
    """Read a record once, when it comes; what nobody asks for becomes its text."""
    match record:
        case A() | AAAA():
            return str(record.address)
        case SRV():
            return Srv(record.priority, record.weight, record.port, _text(record.target))
        case NAPTR():
            return Naptr(
                order=record.order,
                preference=record.preference,
                flags=record.flags.decode("ascii", "replace"),
                service=record.service.decode("ascii", "replace"),
                regexp=record.regexp.decode("ascii", "replace"),
                replacement=_text(record.replacement),
            )
    return record.to_text()


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower() if name != dns.name.root else ""


def _place(server: str, port: int) -> str:
    return f"[{server}]:{port}" if ":" in server else f"{server}:{port}"
