"""Hops that failed are tried last, for a while."""

from sip.flow import Address, Flow, Hop
from sip.hop_health import HopHealth

A = Hop("tls", Address("192.0.2.1", 5061), tls_name="beta.example")
B = Hop("tls", Address("192.0.2.2", 5061), tls_name="beta.example")
C = Hop("udp", Address("192.0.2.3", 5060))


def test_a_hop_that_failed_is_put_last_until_it_had_time_to_recover() -> None:
    health = HopHealth(seconds=30)
    assert list(health.ordered((A, B, C), 0)) == [A, B, C]
    health.failed(A, 0)
    assert list(health.ordered((A, B, C), 1)) == [B, C, A]
    assert list(health.ordered((A,), 1)) == [A]
    assert list(health.ordered((A, B, C), 31)) == [A, B, C]


def test_a_hop_that_answers_is_as_good_as_any() -> None:
    health = HopHealth()
    health.failed(A, 0)
    health.recovered(A)
    assert not health.is_bad(A, 1)


def test_a_failure_for_one_name_says_nothing_of_another() -> None:
    health = HopHealth()
    health.failed(A, 0)
    assert not health.is_bad(Hop("tls", A.address, tls_name="other.example"), 1)


def test_a_connection_that_is_gone_says_nothing_of_its_address() -> None:
    health = HopHealth()
    flow = Flow("tls", A.address, A.address, "x", 1)
    health.failed(Hop("tls", A.address, flow=flow), 0)
    assert not health.is_bad(Hop("tls", A.address), 1)


def test_only_so_many_failures_are_remembered() -> None:
    health = HopHealth(limit=2)
    for hop in (A, B, C):
        health.failed(hop, 0)
    assert [health.is_bad(hop, 1) for hop in (A, B, C)] == [False, True, True]
