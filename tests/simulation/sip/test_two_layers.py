"""A caller and a callee over a network that loses, delays, reorders and duplicates."""

import pytest

from tests.simulation.sip.phone import Phone
from tests.simulation.sip.world import Node, World

CALLEE = "192.0.2.2"
CALLER = "192.0.2.1"


def assert_nothing_is_left(*nodes: Node) -> None:
    for node in nodes:
        assert len(node.layer) == node.layer.unfinished == 0
        assert node.layer.next_deadline() is None
        assert not node.flows
        assert not node.hops


@pytest.mark.parametrize("seed", range(60))
def test_a_call_completes_over_ten_percent_loss_reordering_and_duplication(seed: int) -> None:
    world = World(seed, loss=0.1, duplication=0.05, delay=(0.01, 0.7))
    caller, callee = Phone(world, CALLER), Phone(world, CALLEE)
    caller.call(f"sip:b@{CALLEE}", CALLEE)
    world.run()
    assert 200 in caller.heard
    assert callee.acknowledged == callee.ended
    assert caller.bye_answered == 1
    assert [request.method for request in callee.requests] == ["INVITE", "BYE"]
    assert caller.timed_out == callee.timed_out == []
    assert_nothing_is_left(caller, callee)


@pytest.mark.parametrize("seed", range(40))
def test_a_refused_call_ends_on_both_sides_over_a_bad_network(seed: int) -> None:
    world = World(seed, loss=0.2, duplication=0.1, delay=(0.01, 0.7))
    caller, callee = Phone(world, CALLER), Phone(world, CALLEE, refuse=486)
    caller.call(f"sip:b@{CALLEE}", CALLEE)
    world.run()
    assert [status for status in caller.heard if status >= 200] == [486]
    assert len(callee.requests) == 1
    assert_nothing_is_left(caller, callee)


@pytest.mark.parametrize("seed", range(40))
def test_a_cancel_racing_the_answer_ends_one_way_or_the_other(seed: int) -> None:
    world = World(seed, loss=0.1, duplication=0.1, delay=(0.01, 0.3))
    caller, callee = Phone(world, CALLER), Phone(world, CALLEE, answer_after=2.0)
    caller.call(f"sip:b@{CALLEE}", CALLEE)
    world.after(1.8 + seed / 100, caller.cancel)
    world.run()
    finals = {status for status in caller.heard if status >= 200}
    assert finals in ({487}, {200})
    assert caller.bye_answered == (finals == {200})
    assert_nothing_is_left(caller, callee)


def test_an_unreachable_callee_is_known_after_64_t1() -> None:
    world = World(0)
    caller = Phone(world, CALLER)
    caller.call(f"sip:b@{CALLEE}", CALLEE)
    world.run()
    assert [when for _, when in caller.timed_out] == [32.0]
    assert world.sent == 7
    assert_nothing_is_left(caller)


def test_without_loss_a_call_takes_six_messages() -> None:
    world = World(0)
    caller, callee = Phone(world, CALLER), Phone(world, CALLEE)
    caller.call(f"sip:b@{CALLEE}", CALLEE)
    world.run()
    assert caller.heard == [180, 200]
    assert world.sent == len(["INVITE", "180", "200", "ACK", "BYE", "200"])
    assert_nothing_is_left(caller, callee)


def test_a_thousand_calls_leave_nothing_behind() -> None:
    world = World(7, loss=0.05)
    callers = [Phone(world, f"10.0.{n // 250}.{n % 250}") for n in range(100)]
    callee = Phone(world, CALLEE)
    for n in range(10):
        for caller in callers:
            world.after(n * 60.0, lambda c=caller, n=n: c.call(f"sip:b@{CALLEE}", CALLEE, str(n)))  # type: ignore[misc]
    world.run()
    assert sum(caller.heard.count(180) > 0 for caller in callers) == len(callers)
    assert len(callee.ended) == 1000
    assert_nothing_is_left(callee, *callers)
