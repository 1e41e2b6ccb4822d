"""The resolver: order, time, one question at a time, and what is remembered."""

from __future__ import annotations

import asyncio

import pytest

from discovery.cache import MappingCache
from discovery.model import Assurance, FoundUri, Outcome, Service
from discovery.sources import SourceAnswer
from gateway.resolution import Resolver, ResolverLimits, TimedSource
from tests.support.spin_passports import ALICE, BOB

URI = FoundUri(
    Service.VOICE,
    f"sip:+{BOB}@beta.example;user=phone",
    "beta.example",
    10,
    Assurance.SIGNED,
    1000.0,
)
NOTHING = SourceAnswer(Outcome.NOT_FOUND)


class FakeSource:
    """Gives one answer, after the event where there is one; remembers its questions."""

    def __init__(
        self, name: str, answer: SourceAnswer, *, after: asyncio.Event | None = None
    ) -> None:
        self.name = name
        self.answer = answer
        self.after = after
        self.asked: list[tuple[str, Service, str]] = []

    async def find(self, number: str, service: Service, *, caller: str) -> SourceAnswer:
        self.asked.append((number, service, caller))
        if self.after is not None:
            await self.after.wait()
        return self.answer


class Scene:
    """A resolver over sources, with a clock that stands still."""

    def __init__(
        self,
        *sources: FakeSource,
        budget: float = 5.0,
        limits: ResolverLimits | None = None,
        cached: bool = True,
    ) -> None:
        self.now = 0.0
        self.cache = MappingCache(max_lifetime=600) if cached else None
        self.resolver = Resolver(
            [TimedSource(source, budget) for source in sources],
            self.cache,
            wall_clock=lambda: self.now,
            limits=limits,
        )


def found(uri: FoundUri = URI) -> SourceAnswer:
    return SourceAnswer(Outcome.FOUND, "", (uri,))


async def test_what_was_found_comes_from_the_cache_the_second_time() -> None:
    source = FakeSource("spin", found())
    scene = Scene(source)
    first = await scene.resolver.resolve(f"+{BOB}", Service.VOICE, caller=f"+{ALICE}")
    second = await scene.resolver.resolve(BOB, Service.VOICE, caller=ALICE)
    assert first.uris == (URI,)
    assert first.asked_text() == "cache: not found; spin: found"
    assert second.asked_text() == "cache: found"
    assert source.asked == [(BOB, Service.VOICE, ALICE)]
    scene.now = 601
    await scene.resolver.resolve(BOB, Service.VOICE, caller=ALICE)
    assert len(source.asked) == 2


async def test_other_callers_share_the_answer_only_if_they_may() -> None:
    for share, questions in ((True, 1), (False, 2)):
        source = FakeSource("spin", found())
        scene = Scene(source, limits=ResolverLimits(share_answers=share))
        for caller in (ALICE, "14155550101"):
            assert (await scene.resolver.resolve(BOB, Service.VOICE, caller=caller)).found
        assert len(source.asked) == questions


async def test_sources_are_asked_in_order_until_one_knows() -> None:
    first, second, third = (
        FakeSource("directory", NOTHING),
        FakeSource("spin", found()),
        FakeSource("enum", found()),
    )
    resolution = await Scene(first, second, third).resolver.resolve(
        BOB, Service.VOICE, caller=ALICE
    )
    assert resolution.asked_text() == "cache: not found; directory: not found; spin: found"
    assert third.asked == []


async def test_a_slow_source_gets_its_time_and_not_more() -> None:
    slow = FakeSource("spin", found(), after=asyncio.Event())
    second = FakeSource("enum", found())
    scene = Scene(slow, second, budget=0.05)
    resolution = await scene.resolver.resolve(BOB, Service.VOICE, caller=ALICE)
    assert resolution.found
    assert [o.outcome for o in resolution.asked] == [
        Outcome.NOT_FOUND,
        Outcome.NO_ANSWER,
        Outcome.FOUND,
    ]


async def test_all_sources_together_get_the_budget() -> None:
    slow = [FakeSource(name, found(), after=asyncio.Event()) for name in ("a", "b", "c")]
    scene = Scene(*slow, budget=0.06, limits=ResolverLimits(budget=0.1))
    resolution = await scene.resolver.resolve(BOB, Service.VOICE, caller=ALICE)
    assert not resolution.found
    assert sum(o.seconds for o in resolution.asked[:3]) < 0.5


async def test_equal_questions_are_asked_once_and_different_ones_apart() -> None:
    gate = asyncio.Event()
    source = FakeSource("spin", found(), after=gate)
    scene = Scene(source)
    questions = [(BOB, ALICE)] * 5 + [(BOB, "14155550101"), ("12125550199", ALICE)]
    waiting = [
        asyncio.create_task(scene.resolver.resolve(number, Service.VOICE, caller=caller))
        for number, caller in questions
    ]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gate.set()
    assert all(resolution.found for resolution in await asyncio.gather(*waiting))
    assert len(source.asked) == 3


async def test_one_caller_giving_up_takes_nothing_from_the_others() -> None:
    gate = asyncio.Event()
    source = FakeSource("spin", found(), after=gate)
    scene = Scene(source)
    patient = asyncio.create_task(scene.resolver.resolve(BOB, Service.VOICE, caller=ALICE))
    hasty = asyncio.create_task(scene.resolver.resolve(BOB, Service.VOICE, caller=ALICE))
    short = await scene.resolver.resolve(BOB, Service.VOICE, caller=ALICE, budget=0.01)
    assert not short.found
    assert short.asked_text().endswith("resolution: no answer (nothing within 0.01 s)")
    hasty.cancel()
    await asyncio.sleep(0)
    gate.set()
    assert (await patient).found


async def test_a_number_not_found_is_not_asked_for_again_for_a_while() -> None:
    source = FakeSource("spin", NOTHING)
    scene = Scene(source, limits=ResolverLimits(negative=10))
    for now in (0.0, 9.0):
        scene.now = now
        resolution = await scene.resolver.resolve(BOB, Service.VOICE, caller=ALICE)
        assert resolution.asked_text() == "cache: not found; spin: not found"
    assert len(source.asked) == 1
    scene.now = 10.0
    await scene.resolver.resolve(BOB, Service.VOICE, caller=ALICE)
    assert len(source.asked) == 2


async def test_a_clock_that_was_set_back_denies_no_number_for_long() -> None:
    source = FakeSource("spin", NOTHING)
    scene = Scene(source)
    scene.now = 100_000.0
    await scene.resolver.resolve(BOB, Service.VOICE, caller=ALICE)
    scene.now = 50_000.0
    await scene.resolver.resolve(BOB, Service.VOICE, caller=ALICE)
    assert len(source.asked) == 2


async def test_numbers_not_found_are_remembered_within_a_bound() -> None:
    source = FakeSource("spin", NOTHING)
    scene = Scene(source, limits=ResolverLimits(max_negative=2))
    for number in ("12125550101", "12125550102", "12125550103", "12125550101"):
        await scene.resolver.resolve(number, Service.VOICE, caller=ALICE)
    assert len(source.asked) == 4


async def test_an_answer_that_came_late_is_there_for_the_next_call() -> None:
    source = FakeSource("spin", NOTHING)
    scene = Scene(source)
    await scene.resolver.resolve(BOB, Service.VOICE, caller=ALICE)
    scene.resolver.learn(BOB, ALICE, (URI,))
    (uri,) = (await scene.resolver.resolve(BOB, Service.VOICE, caller=ALICE)).uris
    assert (uri.uri, uri.expires_at) == (URI.uri, 600.0)
    scene.resolver.forget(f"+{BOB}", Service.VOICE, caller=ALICE)
    assert not (await scene.resolver.resolve(BOB, Service.VOICE, caller=ALICE)).found


@pytest.mark.parametrize("assurance", ["sms"])
async def test_what_nobody_signed_is_neither_used_nor_kept(assurance: str) -> None:
    unsigned = FoundUri(
        Service.VOICE, "sip:x@beta.example", "beta.example", 1, Assurance(assurance), 1e9
    )
    source = FakeSource("spin", found(unsigned))
    scene = Scene(source, limits=ResolverLimits(negative=0))
    for _ in range(2):
        assert not (await scene.resolver.resolve(BOB, Service.VOICE, caller=ALICE)).found
    assert len(source.asked) == 2


async def test_without_a_cache_every_call_asks() -> None:
    source = FakeSource("spin", found())
    scene = Scene(source, cached=False)
    for _ in range(2):
        resolution = await scene.resolver.resolve(BOB, Service.VOICE, caller=ALICE)
        assert resolution.asked_text() == "spin: found"
    assert len(source.asked) == 2


async def test_what_is_no_number_is_refused_at_once() -> None:
    resolution = await Scene().resolver.resolve("bob", Service.VOICE, caller=ALICE)
    assert resolution.asked_text() == "number: refused (not an E.164 number)"


async def test_questions_under_way_are_bounded_and_can_be_given_up() -> None:
    source = FakeSource("spin", found(), after=asyncio.Event())
    scene = Scene(source, limits=ResolverLimits(max_under_way=1))
    first = asyncio.create_task(scene.resolver.resolve(BOB, Service.VOICE, caller=ALICE))
    await asyncio.sleep(0)
    second = await scene.resolver.resolve("12125550199", Service.VOICE, caller=ALICE)
    assert second.asked_text() == "resolution: unavailable (too many under way)"
    await scene.resolver.close()
    with pytest.raises(asyncio.CancelledError):
        await first


def _assured(host: str, assurance: Assurance, expires_at: float = 1000.0) -> FoundUri:
    return FoundUri(Service.VOICE, f"sip:+{BOB}@{host}", host, 10, assurance, expires_at)


def _together(*sources: FakeSource, required: Assurance = Assurance.SIGNED) -> Scene:
    scene = Scene(limits=ResolverLimits(required={Service.VOICE: required}))
    scene.resolver = Resolver(
        [TimedSource(source, 0.2, together=source.name != "spin") for source in sources],
        scene.cache,
        wall_clock=lambda: scene.now,
        limits=ResolverLimits(required={Service.VOICE: required}),
    )
    return scene


async def test_sources_together_are_merged_the_best_assured_first() -> None:
    signed = _assured("signed.example", Assurance.SIGNED)
    dnssec = _assured("dnssec.example", Assurance.DNSSEC)
    logged = _assured("logged.example", Assurance.LOGGED)
    directory = FakeSource("directory", SourceAnswer(Outcome.FOUND, "", (signed, logged)))
    enum, spin = FakeSource("enum", found(dnssec)), FakeSource("spin", found())
    scene = _together(directory, enum, spin)
    first = await scene.resolver.resolve(BOB, Service.VOICE, caller=ALICE)
    assert first.uris == (logged, dnssec, signed)
    assert spin.asked == []
    again = await scene.resolver.resolve(BOB, Service.VOICE, caller=ALICE)
    assert [uri.msp for uri in again.uris] == ["logged.example", "dnssec.example", "signed.example"]


async def test_one_of_them_being_slow_does_not_take_the_others_answer() -> None:
    slow = FakeSource("directory", found(), after=asyncio.Event())
    scene = _together(slow, FakeSource("enum", found(_assured("e.example", Assurance.DNSSEC))))
    resolution = await scene.resolver.resolve(BOB, Service.VOICE, caller=ALICE)
    assert [uri.msp for uri in resolution.uris] == ["e.example"]
    assert [o.outcome for o in resolution.asked[1:]] == [Outcome.NO_ANSWER, Outcome.FOUND]


async def test_an_answer_assured_too_little_does_not_end_the_search() -> None:
    spin = FakeSource("spin", found(_assured("s.example", Assurance.SIGNED)))
    enum = FakeSource("enum", found(_assured("e.example", Assurance.DNSSEC)))
    scene = _together(spin, enum, required=Assurance.DNSSEC)
    resolution = await scene.resolver.resolve(BOB, Service.VOICE, caller=ALICE)
    assert [uri.msp for uri in resolution.uris] == ["e.example"]
    assert resolution.asked[1].detail == "signed only, dnssec is required"


async def test_the_cache_gives_nothing_that_is_assured_too_little() -> None:
    enum = FakeSource("enum", NOTHING)
    scene = _together(enum, required=Assurance.LOGGED)
    scene.resolver.learn(BOB, ALICE, (_assured("e.example", Assurance.DNSSEC),))
    resolution = await scene.resolver.resolve(BOB, Service.VOICE, caller=ALICE)
    assert not resolution.found
    assert len(enum.asked) == 1


async def test_a_mapping_is_not_used_beyond_its_own_lifetime() -> None:
    enum = FakeSource("enum", found(_assured("e.example", Assurance.DNSSEC, expires_at=30.0)))
    scene = _together(enum)
    for now, questions in ((0.0, 1), (29.0, 1), (30.0, 2)):
        scene.now = now
        await scene.resolver.resolve(BOB, Service.VOICE, caller=ALICE)
        assert len(enum.asked) == questions


async def test_what_depends_on_who_asks_is_kept_for_whoever_asked() -> None:
    source = FakeSource("spin", found())
    cache = MappingCache(max_lifetime=600)
    resolver = Resolver([TimedSource(source, 5.0, personal=True)], cache, wall_clock=lambda: 0.0)
    for caller in (ALICE, "14155550101", ALICE):
        resolution = await resolver.resolve(BOB, Service.VOICE, caller=caller)
        assert resolution.found
    assert resolution.asked_text() == "cache: found"
    assert [caller for _, _, caller in source.asked] == [ALICE, "14155550101"]
    resolver.forget(BOB, Service.VOICE, caller=ALICE)
    assert len(cache) == 1
    resolver.learn(BOB, ALICE, (URI,))
    assert len(cache) == 2
