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
from dataclasses import replace
from functools import lru_cache
from typing import TypeVar

import dns.message
import dns.name
import dns.rdatatype
import dns.resolver

from gateway.dns_question import Answer, DnsSettings, Question, Record
from sip.dns import DnsUnavailable, Naptr, Srv

__all__ = ["DnsResolver", "DnsSettings", "system_nameservers"]

_ADDRESS_KINDS = ((4, "A"), (6, "AAAA"))

_R = TypeVar("_R", Naptr, Srv, str)


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
        self._under_way: dict[tuple[str, str], asyncio.Task[Answer]] = {}
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
        question = Question(settings, kind, signed=True)
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

    def _known(self, name: str, kind: str) -> Answer | None:
        return self._cache.get(_question_key(name, kind), self._clock())

    async def _answer(self, name: str, kind: str) -> Answer:
        return self._known(name, kind) or await self._ask_once(_question_key(name, kind))

    async def _records(self, name: str, kind: str) -> tuple[Record, ...]:
        answer = await self._answer(name, kind)
        if answer.fault is not None:
            raise _unavailable(name, kind, answer)
        return answer.records

    async def _ask_once(self, key: tuple[str, str]) -> Answer:
        task = self._under_way.get(key)
        if task is None:
            if len(self._under_way) >= self._settings.max_questions:
                limit = f"{self._settings.max_questions} questions under way already"
                return Answer((), 0.0, ("our own limit", limit))
            task = asyncio.ensure_future(self._ask(key))
            self._under_way[key] = task
            task.add_done_callback(lambda _: self._under_way.pop(key, None))
        # One caller giving up must not take the answer from the others.
        return await asyncio.shield(task)

    async def _ask(self, key: tuple[str, str]) -> Answer:
        question = Question(self._settings, dns.rdatatype.from_text(key[1]))
        try:
            async with asyncio.timeout(self._settings.timeout):
                answer = await question.resolve(key[0])
        except TimeoutError:
            culprit, detail = question.last_fault or (question.asking, "no answer")
            if detail == "no answer":
                detail = f"no answer in {self._settings.timeout:g} s"
            answer = Answer((), self._settings.failure_ttl, (culprit, detail))
        self._cache.put(key, answer, self._clock() + answer.ttl)
        return answer


class _Cache:
    """Answers by question until they expire; the least recently used goes first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: OrderedDict[tuple[str, str], tuple[Answer, float]] = OrderedDict()

    def get(self, key: tuple[str, str], now: float) -> Answer | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        answer, expires_at = entry
        if expires_at <= now:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return answer

    def put(self, key: tuple[str, str], answer: Answer, expires_at: float) -> None:
        self._entries[key] = (answer, expires_at)
        self._entries.move_to_end(key)
        if len(self._entries) > self._limit:
            self._entries.popitem(last=False)


def _only(records: Sequence[Record], kind: type[_R]) -> tuple[_R, ...]:
    return tuple(record for record in records if isinstance(record, kind))


def _question_key(name: str, kind: str) -> tuple[str, str]:
    return name.rstrip(".").lower(), kind


def _unavailable(name: str, kind: str, answer: Answer) -> DnsUnavailable:
    assert answer.fault is not None
    return DnsUnavailable(f"{_question_key(name, kind)[0]} {kind}", *answer.fault)


@lru_cache(maxsize=4096)
def _numeric(name: str) -> str | None:
    """The plain form of a numeric name, or None for any other."""
    try:
        return str(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        return None
