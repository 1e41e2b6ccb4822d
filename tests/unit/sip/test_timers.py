from math import inf

import pytest

from sip.timers import Timers


def test_defaults_are_those_of_rfc_3261_table_4() -> None:
    timers = Timers().unreliable
    assert (timers.a, timers.b, timers.d) == (0.5, 32.0, 32.0)
    assert (timers.e, timers.f, timers.k) == (0.5, 32.0, 5.0)
    assert (timers.g, timers.h, timers.i, timers.j) == (0.5, 32.0, 5.0, 32.0)
    assert (timers.l, timers.m) == (32.0, 32.0)
    assert timers.c > 180


def test_reliable_transports_retransmit_and_absorb_nothing() -> None:
    timers = Timers().reliable
    assert timers.a == timers.e == timers.g == inf
    assert timers.d == timers.i == timers.j == timers.k == 0


def test_the_accepted_state_lasts_as_long_on_reliable_transports() -> None:
    assert Timers().on(True).l == Timers().on(False).l == 32.0
    assert Timers().on(True).m == Timers().on(False).m == 32.0


def test_every_wait_follows_a_shrunken_t1() -> None:
    timers = Timers(t1=0.01).unreliable
    assert timers.b == timers.f == timers.h == timers.j == timers.l == timers.m == 0.64


@pytest.mark.parametrize("name", ["t1", "t2", "t4", "timer_c"])
def test_a_base_value_of_zero_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="longer than 0"):
        Timers(**{name: 0.0})


def test_a_negative_delay_is_refused() -> None:
    with pytest.raises(ValueError, match="not negative"):
        Timers(trying_delay=-0.1)
