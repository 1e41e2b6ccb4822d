"""From a number to URIs: the cache, then the sources in order, each within its time.

Sources that stand together are asked at once and their answers merged, the best assured first
(discovery.ranking); an answer assured less than its service requires does not end the search, one
that is final does, whatever others found.
Equal questions under way are asked once. What was found is kept by the cache; what was not found
is not asked again for a short while, so that a redialling caller sends no second text message.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from discovery.cache import CacheKey, MappingCache
from discovery.model import Assurance, FoundUri, Outcome, Resolution, Service, SourceOutcome
from discovery.number import canonical_number, masked
from discovery.ranking import is_enough, rank
from discovery.sources import Source, SourceAnswer

_log = structlog.get_logger("resolution")
CACHE: Final = "cache"


@dataclass(frozen=True, slots=True)
class ResolverLimits:
    """Times in seconds.

    budget: for all sources together; negative: how long a number not found is not asked for
    again; share_answers: whether what one caller's question found serves other callers' calls;
    unshared: callers (digits) for whom maps may be sealed, who neither give nor take it;
    required: the assurance a service's URIs need at least, `signed` where it is not named;
    max_under_way: different questions at once; max_negative: numbers not found remembered.
    """

    budget: float = 30.0
    negative: float = 10.0
    share_answers: bool = True
    unshared: Container[str] = frozenset()
    required: Mapping[Service, Assurance] = field(default_factory=dict)
    max_under_way: int = 2000
    max_negative: int = 10_000


@dataclass(frozen=True, slots=True)
class TimedSource:
    """A source and the seconds it gets; `together` with others in a row that say so.

    personal: what it finds depends on who asks, and is kept for them alone.
    """

    source: Source
    budget: float
    together: bool = False
    personal: bool = False


@dataclass(frozen=True, slots=True)
class _Question:
    number: str
    service: Service
    caller: str


@dataclass(slots=True)
class _UnderWay:
    task: asyncio.Task[Resolution]
    asked: list[SourceOutcome] = field(default_factory=list)


class Resolver:
    """Answers questions; every method is to be called on one event loop.

    cache: None to do without. wall_clock gives epoch seconds.
    """

    def __init__(
        self,
        sources: Sequence[TimedSource],
        cache: MappingCache | None,
        *,
        wall_clock: Callable[[], float],
        limits: ResolverLimits | None = None,
    ) -> None:
        self._stages = _stages(sources)
        self._cache = cache
        self._wall_clock = wall_clock
        self._limits = limits or ResolverLimits()
        self._under_way: dict[_Question, _UnderWay] = {}
        self._not_found: OrderedDict[_Question, tuple[float, Resolution]] = OrderedDict()

    async def resolve(
        self, number: str, service: Service, *, caller: str, budget: float | None = None
    ) -> Resolution:
        """Find URIs for a number (E.164, with or without plus) on behalf of a caller.

        budget: seconds this caller waits at most; others who ask the same are not affected. Never
        raises for what a source does; an answer without URIs says in `asked` why.
        """
        digits = canonical_number(number)
        if digits is None:
            outcome = SourceOutcome("number", Outcome.REFUSED, "not an E.164 number", 0.0)
            return Resolution("", service, (), (outcome,))
        question = _Question(digits, service, canonical_number(caller) or "")
        known = self._known(question)
        if known is not None:
            return known
        held = self._under_way.get(question) or self._start(question)
        if held is None:
            outcome = SourceOutcome("resolution", Outcome.UNAVAILABLE, "too many under way", 0.0)
            return Resolution(digits, service, (), (outcome,))
        patience = self._limits.budget if budget is None else min(budget, self._limits.budget)
        try:
            async with asyncio.timeout(patience):
                # One caller giving up must not take the answer from the others.
                return await asyncio.shield(held.task)
        except TimeoutError:
            outcome = SourceOutcome(
                "resolution", Outcome.NO_ANSWER, f"nothing within {patience:g} s", patience
            )
            return Resolution(digits, service, (), (*held.asked, outcome))

    def learn(self, number: str, caller: str, uris: tuple[FoundUri, ...]) -> None:
        """Keep a personal answer that came when nobody waited for it any more."""
        for service in {uri.service for uri in uris}:
            chosen = tuple(uri for uri in uris if uri.service is service)
            self._keep(_Question(number, service, caller), chosen, personal=True)

    def forget(self, number: str, service: Service, *, caller: str = "") -> None:
        """Drop what is known, for instance because the called side did not know the number."""
        digits = canonical_number(number)
        if digits is not None and self._cache is not None:
            question = _Question(digits, service, canonical_number(caller) or "")
            for personal in (False, True):
                self._cache.forget(self._key(question, personal=personal))

    def forget_number(self, number: str, *, caller: str = "") -> None:
        """Drop what is known of a number for all services: it led to somebody else."""
        for service in Service:
            self.forget(number, service, caller=caller)

    def apart(self, sources: Sequence[TimedSource]) -> Resolver:
        """Return one with the same limits and other sources, that shares and keeps nothing."""
        return Resolver(sources, None, wall_clock=self._wall_clock, limits=self._limits)

    async def close(self) -> None:
        """Give up every question under way."""
        tasks = [held.task for held in self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _known(self, question: _Question) -> Resolution | None:
        now = self._wall_clock()
        if self._cache is not None:
            required = self._required(question.service)
            for personal in (True, False):
                held = self._cache.get(self._key(question, personal=personal), now)
                uris = tuple(uri for uri in held if is_enough(uri.assurance, required))
                if uris:
                    hit = SourceOutcome(CACHE, Outcome.FOUND, "", 0.0)
                    return Resolution(question.number, question.service, uris, (hit,))
        until, resolution = self._not_found.get(question, (0.0, None))
        # Further off it lies only where the clock was set back.
        return resolution if now < until <= now + self._limits.negative else None

    def _start(self, question: _Question) -> _UnderWay | None:
        if len(self._under_way) >= self._limits.max_under_way:
            return None
        asked: list[SourceOutcome] = []
        task = asyncio.create_task(self._ask(question, asked), name="resolve")
        held = self._under_way[question] = _UnderWay(task, asked)
        task.add_done_callback(lambda _: self._under_way.pop(question, None))
        return held

    async def _ask(self, question: _Question, asked: list[SourceOutcome]) -> Resolution:
        if self._cache is not None:
            asked.append(SourceOutcome(CACHE, Outcome.NOT_FOUND, "", 0.0))
        started = time.monotonic()
        for stage in self._stages:
            left = self._limits.budget - (time.monotonic() - started)
            answers = await self._ask_stage(stage, question, left, asked)
            if any(answer.final for answer in answers):
                break
            usable = self._usable(answers, question)
            if usable:
                personal = any(
                    timed.personal and answer.uris
                    for timed, answer in zip(stage, answers, strict=True)
                )
                self._keep(question, usable, personal=personal)
                return Resolution(question.number, question.service, usable, tuple(asked))
        resolution = Resolution(question.number, question.service, (), tuple(asked))
        _log.info("not found", number=masked(question.number), asked=resolution.asked_text())
        self._remember_not_found(question, resolution)
        return resolution

    async def _ask_stage(
        self,
        stage: tuple[TimedSource, ...],
        question: _Question,
        left: float,
        asked: list[SourceOutcome],
    ) -> list[SourceAnswer]:
        if len(stage) == 1:
            found = [await self._ask_one(stage[0], question, left)]
        else:
            found = await asyncio.gather(*(self._ask_one(timed, question, left) for timed in stage))
        for timed, (answer, seconds) in zip(stage, found, strict=True):
            detail = answer.detail or self._too_weak(answer, question.service)
            asked.append(SourceOutcome(timed.source.name, answer.outcome, detail, seconds))
        return [answer for answer, _ in found]

    async def _ask_one(
        self, timed: TimedSource, question: _Question, left: float
    ) -> tuple[SourceAnswer, float]:
        patience = max(min(timed.budget, left), 0.0)
        started = time.monotonic()
        try:
            async with asyncio.timeout(patience):
                answer = await timed.source.find(
                    question.number, question.service, caller=question.caller
                )
        except TimeoutError:
            answer = SourceAnswer(Outcome.NO_ANSWER, f"nothing within {patience:.3g} s")
        return answer, time.monotonic() - started

    def _required(self, service: Service) -> Assurance:
        return self._limits.required.get(service, Assurance.SIGNED)

    def _usable(self, answers: Iterable[SourceAnswer], question: _Question) -> tuple[FoundUri, ...]:
        found = (uri for answer in answers for uri in answer.uris)
        required = self._required(question.service)
        return rank(found, question.number, question.service, required)

    def _too_weak(self, answer: SourceAnswer, service: Service) -> str:
        """Say so where a source found something that policy does not take."""
        required = self._required(service)
        held = [uri.assurance for uri in answer.uris if uri.service is service]
        if not held or any(is_enough(assurance, required) for assurance in held):
            return ""
        return f"{max(held, key=lambda each: each.strength)} only, {required} is required"

    def _keep(
        self, question: _Question, uris: tuple[FoundUri, ...], *, personal: bool = False
    ) -> None:
        self._not_found.pop(question, None)
        if self._cache is not None:
            self._cache.put(self._key(question, personal=personal), uris, self._wall_clock())

    def _remember_not_found(self, question: _Question, resolution: Resolution) -> None:
        if self._limits.negative <= 0:
            return
        self._not_found[question] = (self._wall_clock() + self._limits.negative, resolution)
        self._not_found.move_to_end(question)
        while len(self._not_found) > self._limits.max_negative:
            self._not_found.popitem(last=False)

    def _key(self, question: _Question, *, personal: bool) -> CacheKey:
        limits = self._limits
        shared = limits.share_answers and not personal and question.caller not in limits.unshared
        caller = "" if shared else question.caller
        return CacheKey(question.number, question.service, caller)


def _stages(sources: Sequence[TimedSource]) -> tuple[tuple[TimedSource, ...], ...]:
    """Put sources that stand together and follow each other into one stage."""
    stages: list[list[TimedSource]] = []
    for timed in sources:
        if stages and timed.together and stages[-1][-1].together:
            stages[-1].append(timed)
        else:
            stages.append([timed])
    return tuple(map(tuple, stages))
