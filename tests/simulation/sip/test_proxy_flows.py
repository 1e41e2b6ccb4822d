"""Calls through a forking, record-routing proxy, in the manner of RFC 3665 section 3."""

from collections.abc import Iterable

import pytest

from sip.message import Request
from sip.response_context import Target
from tests.simulation.sip.phone import Phone
from tests.simulation.sip.proxy import Proxy
from tests.simulation.sip.world import Node, World

CALLER = "192.0.2.1"
PROXY = "192.0.2.9"
ONE, TWO = "192.0.2.11", "192.0.2.12"
AOR = f"sip:b@{PROXY}"


def targets(*hosts: str, q: Iterable[float] = (1.0, 1.0, 1.0)) -> list[Target]:
    return [Target(host, f"sip:b@{host}", q) for host, q in zip(hosts, q, strict=False)]


def proxied(world: World, *hosts: str, q: tuple[float, ...] = (1.0, 1.0)) -> Proxy:
    return Proxy(world, PROXY, lambda _: targets(*hosts, q=q))


def finals(phone: Phone) -> set[int]:
    return {status for status in phone.heard if status >= 200}


def assert_nothing_is_left(world: World) -> None:
    for node in world.nodes.values():
        assert len(node.layer) == node.layer.unfinished == 0
        assert node.layer.next_deadline() is None
        if isinstance(node, Proxy):
            assert all(context.completed for context in node.contexts.values())
            assert all(c.next_deadline() is None for c in node.contexts.values())


@pytest.mark.parametrize("seed", range(40))
def test_a_call_through_a_proxy_completes_over_ten_percent_loss(seed: int) -> None:
    world = World(seed, loss=0.1, duplication=0.05, delay=(0.01, 0.3))
    caller, callee = Phone(world, CALLER), Phone(world, ONE)
    proxied(world, ONE)
    caller.call(AOR, PROXY)
    world.run()
    assert finals(caller) == {200}
    assert callee.acknowledged == callee.ended
    assert caller.bye_answered == 1
    assert [request.method for request in callee.requests] == ["INVITE", "BYE"]
    assert_nothing_is_left(world)


@pytest.mark.parametrize("seed", range(40))
def test_of_two_telephones_the_first_to_answer_has_the_call(seed: int) -> None:
    world = World(seed, loss=0.1, delay=(0.01, 0.3))
    caller = Phone(world, CALLER)
    first, second = Phone(world, ONE, answer_after=3.0), Phone(world, TWO, answer_after=90.0)
    proxied(world, ONE, TWO)
    caller.call(AOR, PROXY)
    world.run()
    assert finals(caller) == {200}
    assert len(first.ended) == 1
    assert second.cancelled
    assert second.acknowledged == set()
    assert_nothing_is_left(world)


@pytest.mark.parametrize("seed", range(40))
def test_when_both_answer_at_once_the_caller_hears_of_both(seed: int) -> None:
    world = World(seed, delay=(0.01, 0.3))
    caller = Phone(world, CALLER)
    phones = [Phone(world, ONE, answer_after=3.0), Phone(world, TWO, answer_after=3.0)]
    proxied(world, ONE, TWO)
    caller.call(AOR, PROXY)
    world.run()
    assert finals(caller) == {200}
    answered = [phone for phone in phones if not phone.cancelled]
    assert caller.bye_answered == len(answered)
    assert all(phone.ended == phone.acknowledged for phone in answered)
    assert_nothing_is_left(world)


@pytest.mark.parametrize("seed", range(20))
def test_a_second_telephone_is_tried_when_the_first_is_busy(seed: int) -> None:
    world = World(seed, loss=0.1, delay=(0.01, 0.3))
    caller = Phone(world, CALLER)
    Phone(world, ONE, refuse=486)
    second = Phone(world, TWO)
    proxied(world, ONE, TWO, q=(1.0, 0.5))
    caller.call(AOR, PROXY)
    world.run()
    assert finals(caller) == {200}
    assert len(second.ended) == 1
    assert_nothing_is_left(world)


def test_a_second_telephone_is_tried_when_the_first_is_gone() -> None:
    world = World(1)
    caller, second = Phone(world, CALLER), Phone(world, TWO)
    proxied(world, ONE, TWO, q=(1.0, 0.5))
    caller.call(AOR, PROXY)
    world.run()
    assert finals(caller) == {200}
    assert len(second.ended) == 1


def test_when_all_are_gone_the_caller_hears_408_after_64_t1() -> None:
    world = World(1)
    caller = Phone(world, CALLER)
    proxied(world, ONE, TWO)
    caller.call(AOR, PROXY)
    world.run(until=33.0)
    assert finals(caller) == {408}
    world.run()
    assert_nothing_is_left(world)


@pytest.mark.parametrize("seed", range(60))
def test_a_cancel_racing_the_answer_through_a_proxy_ends_one_way_or_the_other(seed: int) -> None:
    world = World(seed, loss=0.05, duplication=0.05, delay=(0.01, 0.3))
    caller, callee = Phone(world, CALLER), Phone(world, ONE, answer_after=2.0)
    proxied(world, ONE)
    caller.call(AOR, PROXY)
    world.after(1.6 + seed / 75, caller.cancel)
    world.run()
    assert finals(caller) in ({487}, {200})
    assert caller.bye_answered == (finals(caller) == {200})
    assert bool(callee.ended) == (finals(caller) == {200})
    assert_nothing_is_left(world)


@pytest.mark.parametrize("seed", range(10))
def test_a_telephone_that_only_rings_is_given_up_by_timer_c(seed: int) -> None:
    world = World(seed, loss=0.1, delay=(0.01, 0.3))
    caller, callee = Phone(world, CALLER), Phone(world, ONE, answer_after=None)
    proxied(world, ONE)
    caller.call(AOR, PROXY)
    world.run(until=180.0)
    assert finals(caller) == set()
    world.run()
    assert finals(caller) == {408}
    assert callee.cancelled
    assert_nothing_is_left(world)


def test_a_telephone_that_rings_and_dies_is_given_up_after_the_cancel_too() -> None:
    world = World(1)
    caller, callee = Phone(world, CALLER), Phone(world, ONE, answer_after=None)
    proxied(world, ONE)
    caller.call(AOR, PROXY)
    world.run(until=5.0)
    del world.nodes[callee.host]
    world.run()
    assert finals(caller) == {408}
    assert_nothing_is_left(world)


def test_two_proxies_that_forward_to_each_other_find_the_loop_on_the_second_pass() -> None:
    world = World(1)
    caller = Phone(world, CALLER)
    other = "192.0.2.10"

    def here_and_there(to: str) -> list[Target]:
        return [Target("other", f"sip:b@{to}")]

    first = Proxy(world, PROXY, lambda request: here_and_there(other))
    second = Proxy(world, other, lambda request: here_and_there(PROXY))
    caller.call(AOR, PROXY)
    world.run()
    assert finals(caller) == {482}
    assert first.forwarded + second.forwarded <= 3
    assert_nothing_is_left(world)


def test_a_spiral_through_the_proxy_is_no_loop() -> None:
    world = World(1)
    caller, callee = Phone(world, CALLER), Phone(world, ONE)

    def forwarding(request: Request) -> list[Target]:
        if request.request_uri == AOR:
            return [Target("forwarded", f"sip:assistant@{PROXY}")]
        return targets(ONE)

    Proxy(world, PROXY, forwarding)
    caller.call(AOR, PROXY)
    world.run()
    assert finals(caller) == {200}
    assert len(callee.ended) == 1
    assert_nothing_is_left(world)


def test_nested_forks_cannot_multiply_requests() -> None:
    """RFC 5393: ten times ten branches, of which Max-Breadth allows none of the second level."""
    world = World(1)
    caller = Phone(world, CALLER)
    inner = [f"192.0.2.{100 + n}" for n in range(10)]
    outer = Proxy(world, PROXY, lambda _: [Target(host, f"sip:b@{host}") for host in inner])
    proxies: list[Node] = [outer]
    for host in inner:
        there = [Target(str(n), f"sip:b{n}@{ONE}") for n in range(10)]
        proxies.append(Proxy(world, host, lambda _, there=there: there))  # type: ignore[misc]
    caller.call(AOR, PROXY)
    world.run()
    assert finals(caller) == {440}
    assert sum(proxy.forwarded for proxy in proxies if isinstance(proxy, Proxy)) == 10
    assert_nothing_is_left(world)
