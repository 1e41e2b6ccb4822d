"""One ICE agent, a hand-made peer: the rarer arrows of RFC 8445."""

from __future__ import annotations

from random import Random

import pytest

from media.candidate import parse_candidate
from media.ice import (
    Address,
    IceAction,
    IceAgent,
    IceCredentials,
    IceParameters,
    IceSettings,
    Selected,
    SendStun,
)
from media.stun import (
    AttributeType,
    MessageClass,
    StunMessage,
    binding_error,
    binding_request,
    binding_success,
    build_stun,
    parse_stun,
)

OURS = IceCredentials("ours", "our-password-of-24-chars")
PEER = IceCredentials("peer", "the-peers-password-24-ch")
BASE: Address = ("192.0.2.1", 4000)
HIGH: Address = ("198.51.100.1", 5000)
LOW: Address = ("198.51.100.2", 5000)


def agent(
    *, controlling: bool = True, lite: bool = False, settings: IceSettings | None = None
) -> IceAgent:
    return IceAgent(
        OURS,
        BASE,
        controlling=controlling,
        lite=lite,
        rand=Random(3),
        settings=settings or IceSettings(),
    )


def peer(*, lite: bool = False) -> IceParameters:
    high = parse_candidate(f"1 1 UDP 2000 {HIGH[0]} {HIGH[1]} typ host")
    low = parse_candidate(f"2 1 UDP 1000 {LOW[0]} {LOW[1]} typ host")
    assert high is not None
    assert low is not None
    return IceParameters(PEER, (high, low), lite)


def check(
    *,
    role: AttributeType = AttributeType.ICE_CONTROLLING,
    tie_breaker: int = 0,
    nominate: bool = False,
    priority: int = 3000,
    username: str = "ours:peer",
) -> bytes:
    attributes = [
        (int(AttributeType.USERNAME), username.encode()),
        (int(AttributeType.PRIORITY), priority.to_bytes(4, "big")),
        (int(role), tie_breaker.to_bytes(8, "big")),
    ]
    if nominate:
        attributes.append((int(AttributeType.USE_CANDIDATE), b""))
    return binding_request(bytes(12), attributes, OURS.key)


def sent(actions: list[IceAction]) -> list[tuple[StunMessage, Address]]:
    return [
        (parse_stun(action.data), action.destination)
        for action in actions
        if isinstance(action, SendStun)
    ]


def requests(actions: list[IceAction]) -> list[tuple[StunMessage, Address]]:
    return [item for item in sent(actions) if item[0].message_class is MessageClass.REQUEST]


def run(agent: IceAgent, until: float) -> list[IceAction]:
    actions: list[IceAction] = []
    deadline = agent.next_deadline()
    while deadline is not None and deadline <= until:
        actions += agent.expire(deadline)
        deadline = agent.next_deadline()
    return actions


def test_the_pair_of_highest_priority_is_checked_first() -> None:
    full = agent()
    actions = full.start(peer(), 0.0) + run(full, 0.1)
    assert [address for _, address in requests(actions)] == [HIGH, LOW]
    request = requests(actions)[0][0]
    assert request.username == "peer:ours"
    assert request.ice_controlling is not None
    assert not request.use_candidate
    assert request.integrity_valid(PEER.key)


def test_a_second_start_without_restart_does_nothing() -> None:
    full = agent()
    full.start(peer(), 0.0)
    assert full.start(peer(), 0.0) == []


def test_a_worse_pair_is_nominated_only_after_a_wait_for_the_better() -> None:
    full = agent()
    actions = full.start(peer(), 0.0) + run(full, 0.1)
    low = requests(actions)[1][0]
    full.receive(binding_success(low, BASE, PEER.key), LOW, 0.1)
    assert requests(run(full, 0.24)) == []
    ((nomination, address),) = requests(run(full, 0.3))
    assert address == LOW
    assert nomination.use_candidate
    done = full.receive(binding_success(nomination, BASE, PEER.key), LOW, 0.31)
    assert done == [Selected(LOW)]


def test_a_failed_nomination_leads_to_the_next_pair() -> None:
    full = agent(settings=IceSettings(max_sends=1, last_wait=1.0))
    actions = full.start(peer(), 0.0) + run(full, 0.1)
    (high, _), (low, _) = requests(actions)
    full.receive(binding_success(low, BASE, PEER.key), LOW, 0.1)
    full.receive(binding_success(high, BASE, PEER.key), HIGH, 0.11)
    ((first, address),) = requests(run(full, 0.2))
    assert (address, first.use_candidate) == (HIGH, True)
    ((second, other),) = requests(run(full, 1.0))
    assert (other, second.use_candidate) == (LOW, True)
    assert full.receive(binding_success(second, BASE, PEER.key), LOW, 1.0) == [Selected(LOW)]


def test_an_error_answer_fails_the_pair() -> None:
    full = agent()
    actions = full.start(peer(), 0.0)
    ((request, _),) = requests(actions)
    full.receive(binding_error(request, 400, key=PEER.key), HIGH, 0.01)
    again = requests(run(full, 2.0))
    assert {address for _, address in again} == {LOW}


def test_a_487_makes_us_switch_and_check_again() -> None:
    full = agent(controlling=True)
    ((request, _),) = requests(full.start(peer(), 0.0))
    full.receive(binding_error(request, 487, key=PEER.key), HIGH, 0.01)
    assert not full.controlling
    retried = requests(run(full, 0.06))[0][0]
    assert retried.ice_controlled is not None
    assert retried.ice_controlling is None


def test_a_487_of_a_lite_peer_does_not_take_control_from_us() -> None:
    full = agent(controlling=False)
    ((request, _),) = requests(full.start(peer(lite=True), 0.0))
    assert full.controlling
    full.receive(binding_error(request, 487, key=PEER.key), HIGH, 0.01)
    assert full.controlling


@pytest.mark.parametrize(("tie_breaker", "code"), [(0, 487), (2**64 - 1, None)])
def test_the_larger_tie_breaker_keeps_control(tie_breaker: int, code: int | None) -> None:
    full = agent(controlling=True)
    full.start(peer(), 0.0)
    ((answer, _), *_) = sent(full.receive(check(tie_breaker=tie_breaker), HIGH, 0.0))
    assert answer.error_code == code
    assert full.controlling is (code == 487)


def test_a_lite_agent_never_takes_control() -> None:
    for started in (True, False):
        lite = agent(lite=True)
        if started:
            lite.start(peer(), 0.0)
        data = check(role=AttributeType.ICE_CONTROLLED)
        ((answer, _),) = sent(lite.receive(data, HIGH, 0.0))
        assert answer.error_code == 487
        assert not lite.controlling


def test_a_lite_agent_follows_a_peer_that_nominates_ever_better_pairs() -> None:
    lite = agent(lite=True)
    lite.start(peer(), 0.0)
    assert Selected(LOW) in lite.receive(check(nominate=True), LOW, 0.1)
    assert Selected(HIGH) in lite.receive(check(nominate=True), HIGH, 0.2)
    assert Selected(LOW) not in lite.receive(check(nominate=True), LOW, 0.3)
    assert lite.selected == HIGH
    assert lite.next_deadline() == pytest.approx(30.2)


def test_checks_before_the_answer_count_only_if_made_for_this_peer() -> None:
    lite = agent(lite=True)
    lite.receive(check(nominate=True, username="ours:other"), LOW, 0.0)
    lite.receive(check(nominate=True), HIGH, 0.0)
    assert lite.start(peer(), 0.1) == [Selected(HIGH)]


def test_after_the_answer_another_ufrag_is_refused() -> None:
    lite = agent(lite=True)
    lite.start(peer(), 0.0)
    ((answer, _),) = sent(lite.receive(check(username="ours:other"), HIGH, 0.0))
    assert answer.error_code == 401


def test_a_check_without_priority_is_a_bad_request() -> None:
    lite = agent(lite=True)
    attributes = [(int(AttributeType.USERNAME), b"ours:peer")]
    ((answer, _),) = sent(lite.receive(binding_request(bytes(12), attributes, OURS.key), HIGH, 0.0))
    assert answer.error_code == 400


def test_an_indication_is_taken_in_silence() -> None:

    lite = agent(lite=True)
    data = build_stun(StunMessage(MessageClass.INDICATION, bytes(12)))
    assert lite.receive(data, HIGH, 0.0) == []
    assert lite.malformed == 0


def test_a_clock_that_stands_still_does_not_refill_the_limit() -> None:
    lite = agent(lite=True)
    answers = sum(bool(lite.receive(check(), HIGH, 5.0)) for _ in range(300))
    assert answers == 50
