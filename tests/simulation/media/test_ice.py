"""Two ICE agents, a virtual clock and a bad network between them (RFC 8445, RFC 7675)."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from media.candidate import parse_candidate
from media.ice import (
    ConsentLost,
    IceAgent,
    IceFailed,
    IceParameters,
    IceSettings,
    Selected,
)
from media.ice_values import IceCredentials, new_credentials
from media.stun import (
    AttributeType,
    MessageClass,
    StunMessage,
    binding_request,
    binding_success,
    build_stun,
    parse_stun,
)
from tests.simulation.media.ice_world import ALICE, BOB, World, candidate

EVE = ("203.0.113.66", 6666)


def offer(agent: IceAgent, *candidates: tuple[str, int]) -> IceParameters:
    return IceParameters(
        agent.credentials, tuple(candidate(address) for address in candidates), agent.lite
    )


def pair(world: World, *, answerer_lite: bool) -> tuple[IceAgent, IceAgent]:
    alice = world.agent(ALICE, controlling=True)
    bob = world.agent(BOB, controlling=False, lite=answerer_lite)
    return alice, bob


def connect(world: World, alice: IceAgent, bob: IceAgent) -> None:
    world.act(BOB, bob.start(offer(alice, ALICE), world.now))
    world.act(ALICE, alice.start(offer(bob, BOB), world.now))


@pytest.mark.parametrize("lite", [True, False])
def test_offerer_and_answerer_select_each_other(lite: bool) -> None:
    world = World()
    alice, bob = pair(world, answerer_lite=lite)
    connect(world, alice, bob)
    world.run(1.0)
    assert alice.selected == BOB
    assert bob.selected == ALICE
    assert alice.controlling
    assert not bob.controlling
    assert world.of(ALICE, Selected) == [Selected(BOB)]
    assert world.of(BOB, Selected) == [Selected(ALICE)]


@pytest.mark.parametrize("lite", [True, False])
@pytest.mark.parametrize("seed", range(60))
def test_loss_delay_and_reordering_only_delay_the_connection(seed: int, lite: bool) -> None:
    world = World(seed=seed, loss=0.2, delay=(0.005, 0.3))
    alice, bob = pair(world, answerer_lite=lite)
    connect(world, alice, bob)
    world.run(10.0)
    assert (alice.selected, bob.selected) == (BOB, ALICE)


@pytest.mark.parametrize("lite", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_a_connection_survives_loss_for_ten_minutes(seed: int, lite: bool) -> None:
    world = World(seed=seed, loss=0.1)
    alice, bob = pair(world, answerer_lite=lite)
    connect(world, alice, bob)
    world.run(600.0)
    assert (alice.state, bob.state) == ("connected", "connected")
    assert len(alice._checks) <= 9


def test_checks_that_come_before_the_answer_are_not_lost() -> None:
    world = World()
    alice, bob = pair(world, answerer_lite=False)
    world.act(BOB, bob.start(offer(alice, ALICE), world.now))
    world.run(0.2)
    assert alice.is_validated(BOB)
    assert not world.of(ALICE, Selected)
    world.act(ALICE, alice.start(offer(bob), world.now))
    world.run(1.0)
    assert (alice.selected, bob.selected) == (BOB, ALICE)


def test_an_agent_behind_a_nat_is_learnt_as_peer_reflexive() -> None:
    world = World()
    alice, bob = pair(world, answerer_lite=True)
    world.act(BOB, bob.start(offer(alice, ("10.0.0.7", 4000)), world.now))
    world.act(ALICE, alice.start(offer(bob, BOB), world.now))
    world.run(1.0)
    assert bob.selected == ALICE


def test_the_best_working_candidate_is_nominated() -> None:
    world = World()
    alice, bob = pair(world, answerer_lite=False)
    low = parse_candidate(f"9 1 UDP 1000 {BOB[0]} {BOB[1]} typ relay")
    dead = parse_candidate("8 1 UDP 2130706431 203.0.113.9 9000 typ host")
    assert low is not None
    assert dead is not None
    world.act(BOB, bob.start(offer(alice, ALICE), world.now))
    remote = IceParameters(bob.credentials, (low, dead))
    world.act(ALICE, alice.start(remote, world.now))
    world.run(2.0)
    assert alice.selected == BOB


def test_new_checks_keep_the_pace() -> None:
    world = World()
    alice = world.agent(ALICE, controlling=True)
    remotes = tuple(
        parse_candidate(f"{n} 1 UDP {2000 + n} 203.0.113.{n} 5000 typ host") for n in range(1, 20)
    )
    peer = IceParameters(
        IceCredentials("peer", "p" * 24), tuple(found for found in remotes if found is not None)
    )
    world.act(ALICE, alice.start(peer, world.now))
    world.run(2.0)
    first: dict[tuple[str, int], float] = {}
    for at, _, destination, _ in world.sent:
        first.setdefault(destination, at)
    times = sorted(first.values())
    assert len(times) == 19
    assert all(later - earlier >= 0.05 - 1e-9 for earlier, later in pairwise(times))


def test_no_answer_fails_in_the_configured_time() -> None:
    world = World(blocked=lambda _source, _to: True)
    alice, bob = pair(world, answerer_lite=False)
    connect(world, alice, bob)
    world.run(9.9)
    assert not world.events
    world.run(0.2)
    assert alice.state == "failed"
    assert world.of(ALICE, IceFailed) == [IceFailed("no candidate pair worked in time")]
    assert alice.next_deadline() is None
    assert not alice.is_validated(BOB)


def test_two_lite_agents_fail_at_once() -> None:
    world = World()
    alice = world.agent(ALICE, controlling=True, lite=True)
    bob = world.agent(BOB, controlling=False, lite=True)
    world.act(ALICE, alice.start(offer(bob, BOB), world.now))
    assert world.of(ALICE, IceFailed) == [IceFailed("both sides are ICE lite")]


@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("seed", range(10))
def test_a_role_conflict_is_repaired(seed: int, both: bool) -> None:
    world = World(seed=seed)
    alice = world.agent(ALICE, controlling=both)
    bob = world.agent(BOB, controlling=both)
    connect(world, alice, bob)
    world.run(3.0)
    assert (alice.selected, bob.selected) == (BOB, ALICE)
    assert alice.controlling != bob.controlling


@pytest.mark.parametrize("lite", [True, False])
def test_media_stops_within_35_seconds_of_the_peers_silence(lite: bool) -> None:
    world = World()
    alice, bob = pair(world, answerer_lite=lite)
    connect(world, alice, bob)
    world.run(20.0)
    world.blocked = lambda _source, _to: True
    world.run(35.0)
    for agent, base in ((alice, ALICE), (bob, BOB)):
        assert agent.state == "lost"
        assert world.of(base, ConsentLost) == [ConsentLost()]
        assert agent.selected is None
    assert not bob.is_validated(ALICE)
    assert bob.receive(world.sent[0][3], ALICE, world.now) == []


def test_consent_checks_are_about_five_seconds_apart_and_not_regular() -> None:
    world = World()
    alice, bob = pair(world, answerer_lite=True)
    connect(world, alice, bob)
    world.run(1.0)
    before = len(world.sent)
    world.run(300.0)
    times = [at for at, source, _, _ in world.sent[before:] if source == ALICE]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert all(4.0 <= gap <= 6.0 for gap in gaps)
    assert len({round(gap, 3) for gap in gaps}) > 10


def test_a_peer_that_takes_consent_back_is_heard() -> None:
    world = World()
    alice, bob = pair(world, answerer_lite=True)
    connect(world, alice, bob)
    world.run(1.0)
    before = len(world.sent)
    world.blocked = lambda _source, to: to == BOB
    world.run(6.0)
    check = parse_stun(next(data for _, source, _, data in world.sent[before:] if source == ALICE))
    refusal = build_stun(
        StunMessage(
            MessageClass.ERROR, check.transaction_id, ((AttributeType.ERROR_CODE, b"\0\0\4\3"),)
        ),
        key=bob.credentials.key,
    )
    assert alice.receive(refusal, BOB, world.now) == [ConsentLost()]


def test_a_return_from_another_address_without_restart_is_ignored() -> None:
    world = World()
    alice, bob = pair(world, answerer_lite=True)
    connect(world, alice, bob)
    world.run(1.0)
    moved = ("192.0.2.77", 41000)
    request = _check(alice.credentials, bob.credentials, use_candidate=True, priority=1)
    bob.receive(request, moved, world.now)
    assert bob.selected == ALICE
    assert not bob.is_validated(moved)


def test_an_ice_restart_moves_to_new_credentials_while_media_goes_on() -> None:
    world = World()
    alice, bob = pair(world, answerer_lite=True)
    connect(world, alice, bob)
    world.run(1.0)
    old = alice.credentials
    for agent in (alice, bob):
        agent.restart(new_credentials(world.rand))
    assert alice.credentials != old
    assert (alice.selected, bob.selected) == (BOB, ALICE)
    assert bob.is_validated(ALICE)
    world.run(20.0)
    assert (alice.selected, bob.selected) == (BOB, ALICE)
    connect(world, alice, bob)
    world.run(1.0)
    assert len(world.of(ALICE, Selected)) == 2
    assert len(world.of(BOB, Selected)) == 2
    world.run(60.0)
    assert (alice.state, bob.state) == ("connected", "connected")


def test_a_restart_repairs_a_lost_connection_on_a_new_path() -> None:
    world = World()
    alice, bob = pair(world, answerer_lite=True)
    connect(world, alice, bob)
    world.run(1.0)
    world.blocked = lambda _source, _to: True
    world.run(40.0)
    world.blocked = lambda _source, _to: False
    for agent in (alice, bob):
        agent.restart(new_credentials(world.rand))
    connect(world, alice, bob)
    world.run(2.0)
    assert (alice.selected, bob.selected) == (BOB, ALICE)


def test_consent_that_ends_during_a_restart_stops_sending_but_not_the_restart() -> None:
    world = World()
    alice, bob = pair(world, answerer_lite=True)
    connect(world, alice, bob)
    world.run(1.0)
    world.blocked = lambda _source, _to: True
    world.run(5.0)
    alice.restart(new_credentials(world.rand))
    world.run(30.0)
    assert alice.selected is None
    assert alice.state == "new"
    assert world.of(ALICE, ConsentLost) == []


# -- forgery and floods --


def test_a_forged_answer_changes_nothing() -> None:
    world = World(blocked=lambda _source, to: to == BOB)
    alice, bob = pair(world, answerer_lite=True)
    connect(world, alice, bob)
    request = parse_stun(world.sent[0][3])
    forged = binding_success(request, ALICE, b"wrong password")
    assert alice.receive(forged, BOB, world.now) == []
    right_key = binding_success(request, ALICE, bob.credentials.key)
    assert alice.receive(right_key, EVE, world.now) == []
    world.run(1.0)
    assert alice.selected is None
    assert not alice.is_validated(BOB)
    assert not alice.is_validated(EVE)


def test_wrong_credentials_validate_nobody() -> None:
    world = World()
    alice, bob = pair(world, answerer_lite=True)
    connect(world, alice, bob)
    guess = IceCredentials(bob.credentials.ufrag, "guessed password wrongly")
    actions = bob.receive(_check(alice.credentials, guess, use_candidate=True), EVE, world.now)
    assert not bob.is_validated(EVE)
    assert bob.selected is None
    assert bob.refused == 1
    (answer,) = actions
    assert parse_stun(answer.data).error_code == 401  # type: ignore[union-attr]


def test_refusals_are_never_larger_than_the_request_nor_more_than_100_a_second() -> None:
    world = World()
    bob = world.agent(BOB, controlling=False, lite=True)
    bare = build_stun(StunMessage(MessageClass.REQUEST, bytes(12)), fingerprint=False)
    assert bob.receive(bare, EVE, world.now) == []
    long = _check(IceCredentials("a", "b"), IceCredentials("c", "d"))
    answers = 0
    for n in range(10_000):
        actions = bob.receive(long, EVE, world.now + n / 10_000)
        assert len(actions) <= 1
        answers += len(actions)
    assert 0 < answers <= 100


def test_memory_stays_bounded_under_spoofed_sources() -> None:
    world = World()
    settings = IceSettings(max_sources=50)
    bob = world.agent(BOB, controlling=False, lite=True, settings=settings)
    long = _check(IceCredentials("a", "b"), IceCredentials("c", "d"))
    answers = sum(
        len(bob.receive(long, (f"203.0.{n // 250}.{n % 250}", 9), world.now)) for n in range(5_000)
    )
    assert answers <= 500
    assert len(bob._admission._limiter) == 50


def test_a_peer_cannot_grow_the_lists_without_end() -> None:
    world = World()
    alice, bob = pair(world, answerer_lite=False)
    many = tuple(candidate((f"203.0.113.{n}", 7000 + n)) for n in range(200))
    bob.start(IceParameters(alice.credentials, many), world.now)
    assert len(bob._checklist.pairs) == 32
    for n in range(500):
        request = _check(alice.credentials, bob.credentials)
        bob.receive(request, (f"198.18.{n // 250}.{n % 250}", 9), world.now + n)
    assert len(bob._checklist.pairs) <= 100
    assert len(bob._validated) <= 32


@pytest.mark.parametrize(
    "text",
    [
        "1 1 UDP 2130706431 9f3c1a52-0000-4000-8000-000000000000.local 5000 typ host",
        "1 1 TCP 2130706431 203.0.113.5 9 typ host tcptype active",
        "1 2 UDP 2130706431 203.0.113.5 5000 typ host",
        "1 1 UDP 2130706431 2001:db8::5 5000 typ host",
        "1 1 UDP 2130706431 203.0.113.5 0 typ host",
        "1 1 UDP 2130706431 192.0.2.1 40000 typ host",
    ],
)
def test_candidates_that_cannot_be_reached_make_no_pair(text: str) -> None:
    world = World()
    alice = world.agent(ALICE, controlling=True)
    found = parse_candidate(text)
    assert found is not None
    world.act(ALICE, alice.start(IceParameters(IceCredentials("u", "p"), (found,)), world.now))
    world.run(1.0)
    assert world.sent == []


def test_octets_that_are_no_stun_are_counted_and_dropped() -> None:
    world = World()
    bob = world.agent(BOB, controlling=False, lite=True)
    rand = Random(7)
    for length in range(0, 200, 3):
        assert bob.receive(rand.randbytes(length), EVE, world.now) == []
    assert bob.malformed == 67


def test_attributes_of_wrong_length_are_dropped() -> None:
    world = World()
    alice, bob = pair(world, answerer_lite=True)
    connect(world, alice, bob)
    username = f"{bob.credentials.ufrag}:{alice.credentials.ufrag}".encode()
    for kind, value in (
        (AttributeType.PRIORITY, b"123"),
        (AttributeType.ICE_CONTROLLED, b"1"),
        (AttributeType.USERNAME, b"\xff\xfe"),
    ):
        attributes = [(AttributeType.USERNAME, username), (AttributeType.PRIORITY, b"1234")]
        attributes = [pair for pair in attributes if pair[0] != kind]
        request = binding_request(bytes(12), [*attributes, (kind, value)], bob.credentials.key)
        assert bob.receive(request, ALICE, world.now) == []
    assert bob.malformed == 3


def test_an_unknown_required_attribute_is_answered_with_420() -> None:
    world = World()
    alice, bob = pair(world, answerer_lite=True)
    connect(world, alice, bob)
    username = f"{bob.credentials.ufrag}:{alice.credentials.ufrag}".encode()
    attributes = [
        (int(AttributeType.USERNAME), username),
        (int(AttributeType.PRIORITY), b"1234"),
        (0x7FFE, b""),
    ]
    request = binding_request(bytes(12), attributes, bob.credentials.key)
    (answer,) = bob.receive(request, ALICE, world.now)
    message = parse_stun(answer.data)  # type: ignore[union-attr]
    assert message.error_code == 420
    assert message.get(AttributeType.UNKNOWN_ATTRIBUTES) == b"\x7f\xfe"


def _check(
    sender: IceCredentials,
    receiver: IceCredentials,
    *,
    use_candidate: bool = False,
    priority: int = 1_862_270_975,
) -> bytes:
    attributes = [
        (int(AttributeType.USERNAME), f"{receiver.ufrag}:{sender.ufrag}".encode()),
        (int(AttributeType.PRIORITY), priority.to_bytes(4, "big")),
        (int(AttributeType.ICE_CONTROLLING), bytes(8)),
    ]
    if use_candidate:
        attributes.append((int(AttributeType.USE_CANDIDATE), b""))
    return binding_request(bytes(12), attributes, receiver.key)
