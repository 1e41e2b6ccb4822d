"""What survives the end of the process: over a real database, with engines made anew."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from discovery.model import Service
from discovery.number import NumberRanges
from discovery.spin.agent import Agent, AgentPolicy
from discovery.spin.answer import AnswerStatus, parse_answer
from discovery.spin.carriage import to_parts, to_text
from discovery.spin.handlers import Handler, StoreUnavailable
from discovery.spin.networks import Carriage, Network, Networks
from discovery.spin.pending import PendingInvitations
from discovery.spin.reason import Refusal, Refused
from discovery.spin.reference import MAX_FETCHES, References
from discovery.spin.rules import Condition, Contact, Rule, Use
from gateway.sms.message import esm_class, incoming_sms
from gateway.spin.keeping import Keeper, Kept, KeptInMemory, Kind, SqlKeeper
from gateway.spin.kept_engines import (
    KeptInvitations,
    KeptNetworks,
    KeptNonces,
    KeptReferences,
)
from gateway.spin.terminating import SpinTerminator, TerminatingSettings
from tests.support.spin_passports import (
    ALICE,
    BOB,
    NOW,
    KeySigner,
    KeyVerifier,
    invitation_claims,
)
from tests.unit.gateway.spin.test_terminating import FakePoster, MemoryStore

pytestmark = pytest.mark.real
ALPHA = KeySigner(ALICE, "spin.alpha.example")
DAY = 86_400.0
AT_BETA = "mimi://beta.example/u/{number}"
WIRE = Handler("h1", "wire", "1212555", (Service.IM,), AT_BETA, "beta.example", 1.0)


def chance() -> itertools.count[int]:
    return itertools.count(1)


def random_of(counter: itertools.count[int]) -> Callable[[int], bytes]:
    return lambda count: next(counter).to_bytes(count, "big")


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    made = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'spingate.db'}")
    await SqlKeeper(made).create_tables()
    yield made
    await made.dispose()


@pytest.mark.parametrize("kind", ["sql", "memory"])
async def test_an_entry_is_added_once_and_leaves_when_its_time_is_over(
    engine: AsyncEngine, kind: str
) -> None:
    keeper: Keeper = SqlKeeper(engine) if kind == "sql" else KeptInMemory()
    assert await keeper.add(Kind.INVITATION, Kept("a", NOW + 10))
    assert not await keeper.add(Kind.INVITATION, Kept("a", NOW + 20))
    assert await keeper.add(Kind.NONCE, Kept("a", NOW + 20, "owner"))
    await keeper.put(Kind.NONCE, Kept("a", NOW + 30, "another"))
    assert await keeper.all(Kind.NONCE, NOW) == [Kept("a", NOW + 30, "another")]
    assert await keeper.all(Kind.INVITATION, NOW + 10) == []
    assert await keeper.sweep(NOW + 10) == 1
    assert await keeper.add(Kind.INVITATION, Kept("a", NOW + 20))
    assert await keeper.remove(Kind.NONCE, "a")
    assert not await keeper.remove(Kind.NONCE, "a")


async def test_a_database_that_is_gone_says_so(tmp_path: Path) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'no' / 'such.db'}")
    keeper = SqlKeeper(engine)
    with pytest.raises(StoreUnavailable):
        await keeper.add(Kind.INVITATION, Kept("a", NOW))
    with pytest.raises(StoreUnavailable):
        await keeper.all(Kind.INVITATION, NOW)
    await engine.dispose()
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            # That of a connection that never was speaks to the loop once more, before it ends.
            await asyncio.to_thread(thread.join, 5)


async def test_two_processes_take_one_invitation_once(engine: AsyncEngine) -> None:
    keepers = [SqlKeeper(engine) for _ in range(4)]
    taken = await asyncio.gather(
        *(keeper.add(Kind.INVITATION, Kept("same", NOW + 9)) for keeper in keepers)
    )
    assert sum(taken) == 1


async def test_a_nonce_of_before_is_good_once_for_its_owner(engine: AsyncEngine) -> None:
    first = KeptNonces(random_of(chance()), SqlKeeper(engine))
    nonce, used = await first.issue("app", NOW), await first.issue("app", NOW)
    assert await first.redeem(used, "app", NOW)

    second = KeptNonces(random_of(chance()), SqlKeeper(engine))
    await second.restore(NOW + 1)
    assert not await second.redeem(used, "app", NOW + 1)
    assert not await second.redeem(nonce, "another", NOW + 1)
    assert await second.redeem(nonce, "app", NOW + 1)
    assert not await second.redeem(nonce, "app", NOW + 1)

    third = KeptNonces(random_of(chance()), SqlKeeper(engine))
    await third.restore(NOW + 2)
    assert not await third.redeem(nonce, "app", NOW + 2)


async def test_a_reference_of_before_is_given_as_often_as_was_left(engine: AsyncEngine) -> None:
    first = KeptReferences(References(random_of(chance())), SqlKeeper(engine))
    held = await first.add("a.signed.token", NOW + 60, NOW)
    assert await first.fetch(held, NOW) == "a.signed.token"

    second = KeptReferences(References(random_of(chance())), SqlKeeper(engine))
    await second.restore(NOW + 1)
    given = [await second.fetch(held, NOW + 1) for _ in range(MAX_FETCHES)]
    assert given == ["a.signed.token"] * (MAX_FETCHES - 1) + [None]
    third = KeptReferences(References(random_of(chance())), SqlKeeper(engine))
    await third.restore(NOW + 60)
    assert await third.fetch(held, NOW + 60) is None


async def test_an_invitation_for_messages_outlives_us_and_one_for_a_call_does_not(
    engine: AsyncEngine,
) -> None:
    first = PendingInvitations(random_of(chance()))
    kept = KeptInvitations(first, SqlKeeper(engine))
    waiting = first.open(BOB, ALICE, (Service.IM,), lifetime=3 * DAY, now=NOW)
    call = first.open(BOB, ALICE, (Service.VOICE,), lifetime=120, now=NOW)
    for each in (waiting, call):
        first.bind(each.invitation_id, "the.signed.token")
        await kept.write(each.invitation_id)

    second = PendingInvitations(random_of(chance()))
    again = KeptInvitations(second, SqlKeeper(engine))
    await again.restore(NOW + DAY)
    with pytest.raises(Refused) as caught:
        second.authorise(call.invitation_id, call.token, NOW + 1)
    assert caught.value.reason is Refusal.BAD_TOKEN
    assert second.authorise(waiting.invitation_id, waiting.token, NOW + DAY) == waiting
    expected = second.begin(waiting.invitation_id, "body")
    assert expected == first.begin(waiting.invitation_id, "body")
    assert second.settle(waiting.invitation_id, "body")
    await again.write(waiting.invitation_id)

    third = PendingInvitations(random_of(chance()))
    await KeptInvitations(third, SqlKeeper(engine)).restore(NOW + DAY)
    assert third.begin(waiting.invitation_id, "body") is None
    with pytest.raises(Refused) as caught:
        third.begin(waiting.invitation_id, "another")
    assert caught.value.reason is Refusal.REPLAYED


async def test_invitations_kept_are_as_many_as_there_is_room_for(engine: AsyncEngine) -> None:
    first = PendingInvitations(random_of(chance()))
    kept = KeptInvitations(first, SqlKeeper(engine))
    for _ in range(6):
        held = first.open(BOB, ALICE, (Service.IM,), lifetime=DAY, now=NOW)
        first.bind(held.invitation_id, "token")
        await kept.write(held.invitation_id)
    await SqlKeeper(engine).put(Kind.WAITING, Kept("damaged", NOW + DAY, "{"))
    small = PendingInvitations(random_of(chance()), max_pending=6)
    await KeptInvitations(small, SqlKeeper(engine)).restore(NOW)
    assert len(small) == 3  # half of the room: calls have the other


async def test_what_was_learnt_of_a_network_is_known_again(engine: AsyncEngine) -> None:
    named = [Network("1212", (Carriage.BINARY,))]
    first = Networks(named, failures=2)
    kept = KeptNetworks(first, SqlKeeper(engine))
    for number in (BOB, "12125550199"):
        first.learn(number, Carriage.BINARY, delivered=False, now=NOW)
    await kept.write(NOW)
    second = Networks(named, failures=2)
    again = KeptNetworks(second, SqlKeeper(engine))
    await again.restore(NOW + 1)
    assert second.carriages(BOB, NOW + 1) == (Carriage.TEXT,)
    second.learn(BOB, Carriage.BINARY, delivered=True, now=NOW + 2)
    await again.write(NOW + 2)
    third = Networks(named, failures=2)
    await KeptNetworks(third, SqlKeeper(engine)).restore(NOW + 3)
    assert third.carriages(BOB, NOW + 3) == (Carriage.BINARY, Carriage.TEXT)


class Side:
    """Beta's agent over one database; made anew, it is the next process."""

    def __init__(
        self,
        engine: AsyncEngine,
        store: MemoryStore,
        *answers: int,
        keeper: SqlKeeper | None = None,
    ) -> None:
        self.now = NOW
        self.poster = FakePoster(*(answers or (204,)))
        self.agent = Agent(AgentPolicy(numbers=NumberRanges(["+12125550100-+12125550199"])), bytes)
        self.terminator = SpinTerminator(
            self.agent,
            store,
            KeyVerifier(ALPHA),
            KeySigner(BOB),
            self.poster,
            lambda _: None,
            wall_clock=lambda: self.now,
            settings=TerminatingSettings(pause=0.0),
            keeper=keeper or SqlKeeper(engine),
        )

    def invite(self, text: str) -> None:
        for part in to_parts(text, 7):
            self.terminator.on_message(
                incoming_sms(
                    source=ALICE,
                    destination=BOB,
                    short_message=part.octets,
                    esm_class=esm_class(part),
                    data_coding=0,
                    parameters=(),
                )
            )

    async def restart(self) -> None:
        await self.terminator.restore()
        await self.terminator.idle()

    def statuses(self) -> list[AnswerStatus]:
        return [parse_answer(body.decode())[1].status for _, body, _ in self.poster.posted]


def invitation(**claims: object) -> str:
    token = ALPHA.sign(
        "spin", invitation_claims(svc=["im"], exp=int(NOW) + 72 * 3600 - 60, **claims)
    )
    return to_text(token, ALICE, Service.IM)


def undecided() -> MemoryStore:
    store = MemoryStore(WIRE)
    store.contact = Contact(ALICE)
    store.rules = (Rule(Condition(), (), Use.LATER),)
    return store


async def test_a_postponed_answer_goes_out_after_a_restart_once_the_user_has_chosen(
    engine: AsyncEngine,
) -> None:
    store = undecided()
    first = Side(engine, store)
    first.invite(invitation())
    await first.terminator.idle()
    assert first.statuses() == [AnswerStatus.LATER]

    second = Side(engine, store)
    second.now = NOW + 71 * 3600
    await second.restart()
    assert second.statuses() == []  # nothing new to say
    assert second.terminator.postponed == 1
    store.rules = ()
    second.terminator.reconsider(BOB)
    second.terminator.reconsider(BOB)
    await second.terminator.idle()
    assert second.statuses() == [AnswerStatus.OK]
    assert second.terminator.postponed == 0

    third = Side(engine, store)
    await third.restart()
    assert third.statuses() == []


async def test_a_choice_made_in_the_last_moment_is_answered_by_the_next_process(
    engine: AsyncEngine,
) -> None:
    store = undecided()
    first = Side(engine, store)
    first.invite(invitation())
    await first.terminator.idle()
    store.rules = ()
    second = Side(engine, store)
    await second.restart()
    assert second.statuses() == [AnswerStatus.OK]


async def test_an_answer_nobody_took_stays_owed_until_somebody_does(engine: AsyncEngine) -> None:
    store = undecided()
    side = Side(engine, store, 204, 503)
    side.invite(invitation())
    await side.terminator.idle()
    store.rules = ()
    side.terminator.reconsider(BOB)
    await side.terminator.idle()
    assert side.terminator.postponed == 1
    side.poster.answers = [204]
    side.terminator.try_again()
    await side.terminator.idle()
    assert side.terminator.postponed == 0
    side.terminator.try_again()
    await side.terminator.idle()
    assert side.statuses()[-1] is AnswerStatus.OK
    assert len(side.poster.posted) == 1 + 3 + 1


class PowerCut(SqlKeeper):
    """Writes until the power is cut: what would be removed after that stays."""

    async def remove(self, kind: Kind, name: str) -> bool:
        return True


async def test_an_answer_that_went_out_but_was_not_noted_goes_out_once_more_and_no_third_time(
    engine: AsyncEngine,
) -> None:
    store = undecided()
    first = Side(engine, store, keeper=PowerCut(engine))
    first.invite(invitation())
    await first.terminator.idle()
    store.rules = ()
    first.terminator.reconsider(BOB)
    await first.terminator.idle()
    assert first.statuses() == [AnswerStatus.LATER, AnswerStatus.OK]

    second = Side(engine, store, 409)  # the callback has it already
    await second.restart()
    second.terminator.try_again()
    await second.terminator.idle()
    assert second.statuses() == [AnswerStatus.OK]
    assert second.terminator.postponed == 0
    third = Side(engine, store)
    await third.restart()
    assert third.statuses() == []


async def test_an_answer_that_was_refused_for_good_is_not_owed(engine: AsyncEngine) -> None:
    store = undecided()
    side = Side(engine, store, 204, 410)
    side.invite(invitation())
    await side.terminator.idle()
    store.rules = ()
    side.terminator.reconsider(BOB)
    await side.terminator.idle()
    assert side.terminator.postponed == 0
    assert await SqlKeeper(engine).all(Kind.POSTPONED, NOW) == []


async def test_what_has_expired_is_forgotten_everywhere(engine: AsyncEngine) -> None:
    store = undecided()
    side = Side(engine, store)
    side.invite(invitation())
    await side.terminator.idle()
    side.now = NOW + 73 * 3600
    side.terminator.try_again()
    assert side.terminator.postponed == 0
    await SqlKeeper(engine).sweep(side.now)
    later = Side(engine, store)
    await later.restart()
    assert later.terminator.postponed == 0


@pytest.mark.parametrize("remembering", [True, False])
async def test_an_invitation_that_was_taken_is_refused_by_the_next_process(
    engine: AsyncEngine, remembering: bool
) -> None:
    store = MemoryStore(WIRE)
    store.contact = Contact(ALICE)
    first = Side(engine, store)
    first.invite(invitation())
    await first.terminator.idle()
    assert first.statuses() == [AnswerStatus.OK]

    second = Side(engine, store)
    if remembering:
        await second.restart()
    second.invite(invitation())  # signed anew: another signature, the same jti
    await second.terminator.idle()
    assert second.statuses() == []
    assert second.agent.ignored == {Refusal.REPLAYED: 1}


async def test_without_its_database_the_agent_answers_nobody(engine: AsyncEngine) -> None:
    class Broken(KeptInMemory):
        async def add(self, kind: Kind, entry: Kept) -> bool:
            raise StoreUnavailable("database sqlite: OperationalError")

    side = Side(engine, MemoryStore(WIRE))
    side.terminator._keeper = Broken()
    side.invite(invitation())
    await side.terminator.idle()
    assert side.statuses() == []
