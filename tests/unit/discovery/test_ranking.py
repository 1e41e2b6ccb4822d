"""Which of several sources' URIs come first."""

from __future__ import annotations

from discovery.model import Assurance, FoundUri, Service
from discovery.ranking import rank

NUMBER = "12125550123"


def _uri(host: str, assurance: Assurance, prio: int = 10) -> FoundUri:
    return FoundUri(Service.VOICE, f"sip:+{NUMBER}@{host}", host, prio, assurance, 1000.0)


def _hosts(*found: FoundUri, required: Assurance = Assurance.SIGNED) -> list[str]:
    return [uri.msp for uri in rank(found, NUMBER, Service.VOICE, required)]


def test_the_best_assured_comes_first_then_the_owners_order() -> None:
    assert _hosts(
        _uri("signed.example", Assurance.SIGNED, 1),
        _uri("dnssec-2.example", Assurance.DNSSEC, 20),
        _uri("dnssec-1.example", Assurance.DNSSEC, 10),
        _uri("logged.example", Assurance.LOGGED, 99),
    ) == ["logged.example", "dnssec-1.example", "dnssec-2.example", "signed.example"]


def test_a_uri_that_two_sources_know_comes_once_with_the_better_assurance() -> None:
    weak, strong = _uri("a.example", Assurance.SIGNED), _uri("a.example", Assurance.LOGGED)
    for found in ((weak, strong), (strong, weak)):
        assert rank(found, NUMBER, Service.VOICE, Assurance.SIGNED) == (strong,)


def test_what_is_not_assured_enough_is_left_out() -> None:
    found = (_uri("sms.example", Assurance.SMS), _uri("signed.example", Assurance.SIGNED))
    assert _hosts(*found) == ["signed.example"]
    assert _hosts(*found, required=Assurance.SMS) == ["signed.example"]
    assert _hosts(*found, required=Assurance.DNSSEC) == []


def test_equals_come_in_an_order_no_source_decides() -> None:
    one, two = _uri("one.example", Assurance.DNSSEC), _uri("two.example", Assurance.DNSSEC)
    assert _hosts(one, two) == _hosts(two, one)
    firsts = {
        rank((one, two), f"1212555{last:04}", Service.VOICE, Assurance.SIGNED)[0].msp
        for last in range(100, 120)
    }
    assert firsts == {"one.example", "two.example"}


def test_other_services_are_left_out() -> None:
    assert rank((_uri("a.example", Assurance.LOGGED),), NUMBER, Service.IM, Assurance.SIGNED) == ()
