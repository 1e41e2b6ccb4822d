"""The DNS resolver: dnspython on the event loop, with own servers, time limit and cache.

The system's resolver is not asked: it lives in a thread pool of a few threads, where six slow
names stall every other call. Here a question costs at most `timeout` seconds, equal questions
under way are asked once, and both the questions and the cache are bounded.
"""

import asyncio
import contextlib
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeVar

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.resolver
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA
from dns.rdtypes.IN.NAPTR import NAPTR
from dns.rdtypes.IN.SRV import SRV

from sip.dns import DnsUnavailable, Naptr, Srv

MAX_ALIASES = 8
_ADDRESS_KINDS = ((4, "A"), (6, "AAAA"))
_EDNS_PAYLOAD = 1232

Record = Naptr | Srv | str
"""What an answer holds: an address is its text."""
_R = TypeVar("_R", Naptr, Srv, str)


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
class _Answer:
    """What a question ended with: records (none: they do not exist) or who failed."""

    records: tuple[Record, ...]
    ttl: float
    fault: tuple[str, str] | None = None


def system_nameservers(path: str = "/etc/resolv.conf") -> tuple[tuple[str, int], ...]:
    """Give the servers of a resolv.conf; the local host's where it names none."""
    resolver = dns.resolver.Resolver(configure=False)
    with contextlib.suppress(dns.resolver.NoResolverConfiguration):
        resolver.read_resolv_conf(path)
    servers = tuple((str(server), resolver.port) for server in resolver.nameservers)
    return servers or (("127.0.0.1", 53),)


class DnsResolver:
    """Answers NAPTR, SRV and address questions; a DnsClient of sip.dns.

    Every method raises DnsUnavailable, which names the culprit; an empty tuple means that the
    records do not exist. `clock` gives seconds that never go back.
    """

    def __init__(
        self, settings: DnsSettings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if not settings.nameservers:
            raise ValueError("nameservers: at least one is needed")
        self._settings = settings
        self._clock = clock
        self._cache = _Cache(settings.cache_entries)
        families = settings.families
        self._address_kinds = [kind for family, kind in _ADDRESS_KINDS if family in families]
        self._under_way: dict[tuple[str, str], asyncio.Task[_Answer]] = {}
        self._signed_under_way = 0

    async def naptr(self, name: str) -> tuple[Naptr, ...]:
        """Ask for NAPTR records (RFC 3403), in no particular order."""
        return _only(await self._records(name, "NAPTR"), Naptr)

    async def srv(self, name: str) -> tuple[Srv, ...]:
        """Ask for SRV records (RFC 2782), in no particular order."""
        return _only(await self._records(name, "SRV"), Srv)

    async def addresses(self, name: str) -> tuple[str, ...]:
        """Ask for A and AAAA records at once; a numeric name is its own address.

        Where one family answers and the other does not, what was found counts.
        """
        numeric = _numeric(name)
        if numeric is not None:
            return (numeric,)
        known = [self._known(name, kind) for kind in self._address_kinds]
        answers = [answer for answer in known if answer is not None]
        if len(answers) < len(known):  # each call asks: what is known needs no tasks
            answers = await asyncio.gather(
                *(self._answer(name, kind) for kind in self._address_kinds)
            )
        found = [host for answer in answers for host in _only(answer.records, str)]
        faults = [answer for answer in answers if answer.fault is not None]
        if faults and not found:
            raise _unavailable(name, self._address_kinds[answers.index(faults[0])], faults[0])
        return tuple(found)

    async def signed_message(
        self,
        name: dns.name.Name,
        kind: dns.rdatatype.RdataType,
        nameservers: tuple[tuple[str, int], ...] = (),
    ) -> dns.message.QueryMessage:
        """Ask for records with their signatures (DO and CD, RFC 4035 4.9.1); neither cached nor
        validated here.

        nameservers: other servers than the usual ones. Raises DnsUnavailable, also for an answer
        other than NOERROR and NXDOMAIN.
        """
        settings = replace(self._settings, nameservers=nameservers or self._settings.nameservers)
        text = f"{name.to_text(omit_final_dot=True)} {dns.rdatatype.to_text(kind)}"
        if self._signed_under_way >= settings.max_questions:
            limit = f"{settings.max_questions} questions under way already"
            raise DnsUnavailable(text, "our own limit", limit)
        question = _Question(settings, kind, signed=True)
        self._signed_under_way += 1
        try:
            async with asyncio.timeout(settings.timeout):
                answer = await question.ask(name)
        except TimeoutError:
            answer = None
        finally:
            self._signed_under_way -= 1
        if answer is None:
            raise DnsUnavailable(text, *(question.last_fault or (question.asking, "no answer")))
        return answer

    async def close(self) -> None:
        """Give up every question under way."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _known(self, name: str, kind: str) -> _Answer | None:
        return self._cache.get(_question_key(name, kind), self._clock())

    async def _answer(self, name: str, kind: str) -> _Answer:
        return self._known(name, kind) or await self._ask_once(_question_key(name, kind))

    async def _records(self, name: str, kind: str) -> tuple[Record, ...]:
        answer = await self._answer(name, kind)
        if answer.fault is not None:
            raise _unavailable(name, kind, answer)
        return answer.records

    async def _ask_once(self, key: tuple[str, str]) -> _Answer:
        task = self._under_way.get(key)
        if task is None:
            if len(self._under_way) >= self._settings.max_questions:
                limit = f"{self._settings.max_questions} questions under way already"
                return _Answer((), 0.0, ("our own limit", limit))
            task = asyncio.ensure_future(self._ask(key))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        # One caller giving up must not take the answer from the others.
        return await asyncio.shield(task)

    async def _ask(self, key: tuple[str, str]) -> _Answer:
        question = _Question(self._settings, dns.rdatatype.from_text(key[1]))
        try:
            async with asyncio.timeout(self._settings.timeout):
                answer = await question.resolve(key[0])
        except TimeoutError:
            culprit, detail = question.last_fault or (question.asking, "no answer")
            if detail == "no answer":
                detail = f"no answer in {self._settings.timeout:g} s"
            answer = _Answer((), self._settings.failure_ttl, (culprit, detail))
        self._cache.put(key, answer, self._clock() + answer.ttl)
        return answer


class _Question:
    """One question on its way: servers in turn, aliases followed."""

    def __init__(
        self, settings: DnsSettings, kind: dns.rdatatype.RdataType, *, signed: bool = False
    ) -> None:
        self._settings = settings
        self._kind = kind
        self._signed = signed
        self.asking = "no server"
        self.last_fault: tuple[str, str] | None = None

    async def resolve(self, text: str) -> _Answer:
        settings = self._settings
        try:
            name = dns.name.from_text(text)
        except (dns.exception.DNSException, UnicodeError):
            return _Answer((), settings.negative_ttl)
        ttl = settings.max_ttl
        for _ in range(MAX_ALIASES):
            answer = await self.ask(name)
            if answer is None:
                assert self.last_fault is not None
                return _Answer((), settings.failure_ttl, self.last_fault)
            chain = answer.resolve_chaining()
            ttl = min(ttl, float(chain.minimum_ttl))
            if chain.answer is not None:
                records = tuple(map(_record, chain.answer))
                return _Answer(records, max(ttl, settings.min_ttl))
            if chain.canonical_name == name or answer.rcode() == dns.rcode.NXDOMAIN:
                negative = min(max(ttl, settings.min_ttl), settings.negative_ttl)
                return _Answer((), negative)
            # An authoritative server may give an alias into a zone it does not serve.
            name = chain.canonical_name
        return _Answer((), settings.failure_ttl, (self.asking, "a chain of aliases"))

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


class _Cache:
    """Answers by question until they expire; the least recently used goes first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: OrderedDict[tuple[str, str], tuple[_Answer, float]] = OrderedDict()

    def get(self, key: tuple[str, str], now: float) -> _Answer | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        answer, expires_at = entry
        if expires_at <= now:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return answer

    def put(self, key: tuple[str, str], answer: _Answer, expires_at: float) -> None:
        self._entries[key] = (answer, expires_at)
        self._entries.move_to_end(key)
        if len(self._entries) > self._limit:
            self._entries.popitem(last=False)


def _only(records: Sequence[Record], kind: type[_R]) -> tuple[_R, ...]:
    return tuple(record for record in records if isinstance(record, kind))


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


def _question_key(name: str, kind: str) -> tuple[str, str]:
    return name.rstrip(".").lower(), kind


def _unavailable(name: str, kind: str, answer: _Answer) -> DnsUnavailable:
    assert answer.fault is not None
    return DnsUnavailable(f"{_question_key(name, kind)[0]} {kind}", *answer.fault)


@lru_cache(maxsize=4096)
def _numeric(name: str) -> str | None:
    """The plain form of a numeric name, or None for any other."""
    try:
        return str(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        return None


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower() if name != dns.name.root else ""


def _place(server: str, port: int) -> str:
    return f"[{server}]:{port}" if ":" in server else f"{server}:{port}"
