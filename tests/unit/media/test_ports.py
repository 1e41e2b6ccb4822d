"""The pool of media ports."""

from __future__ import annotations

import random

import pytest

from media.ports import PortPool, PortsExhausted


def pool(port_min: int = 20000, port_max: int = 20009) -> PortPool:
    return PortPool(port_min, port_max, quarantine=5, rand=random.Random(1))


def test_ports_are_even_and_their_odd_neighbour_is_in_the_range() -> None:
    ports = pool(20001, 20010)
    taken = [ports.take(0) for _ in range(ports.free(0))]
    assert sorted(taken) == [20002, 20004, 20006, 20008]


def test_an_empty_pool_says_so_and_recovers_after_the_quarantine() -> None:
    ports = pool()
    taken = [ports.take(0) for _ in range(5)]
    with pytest.raises(PortsExhausted):
        ports.take(0)
    ports.give_back(taken[0], 10)
    with pytest.raises(PortsExhausted):
        ports.take(14.9)
    assert ports.take(15) == taken[0]


def test_ports_come_in_no_guessable_order() -> None:
    ports = PortPool(20000, 29999)
    assert len({ports.take(0) - ports.take(0) for _ in range(50)}) > 10


def test_a_port_that_is_not_taken_cannot_be_given_back() -> None:
    with pytest.raises(KeyError):
        pool().give_back(20000, 0)


@pytest.mark.parametrize(("low", "high"), [(0, 10), (20000, 20000), (20001, 20002), (10, 70000)])
def test_a_range_without_a_pair_is_refused(low: int, high: int) -> None:
    with pytest.raises(ValueError, match="port"):
        PortPool(low, high)


def test_in_use_counts_what_is_taken() -> None:
    ports = pool()
    port = ports.take(0)
    assert ports.in_use == 1
    ports.give_back(port, 0)
    assert ports.in_use == 0
