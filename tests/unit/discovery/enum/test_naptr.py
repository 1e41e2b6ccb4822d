"""Which rules count for a service, in which order, and what they give."""

import pytest

from discovery.enum.domain import Tree, tree_of
from discovery.enum.enumservice import enumservices
from discovery.enum.naptr import Rule, select
from discovery.model import Service

NUMBER = "12125550123"


def _sip(order: int, preference: int, host: str, services: str = "E2U+sip") -> Rule:
    return Rule(order, preference, "u", services, f"!^(.*)$!sip:\\1@{host}.example!")


def _hosts(*rules: Rule, service: Service = Service.VOICE) -> list[str]:
    return [uri.host for uri in select(rules, NUMBER, service).uris]


def test_rules_are_taken_by_order_and_preference() -> None:
    assert _hosts(_sip(10, 30, "c"), _sip(10, 10, "a"), _sip(10, 20, "b")) == [
        "a.example",
        "b.example",
        "c.example",
    ]


def test_a_higher_order_is_not_looked_at_once_a_lower_one_matched() -> None:
    assert _hosts(_sip(20, 1, "later"), _sip(10, 9, "first")) == ["first.example"]


def test_an_unusable_rule_does_not_hide_a_higher_order() -> None:
    unusable = Rule(1, 1, "u", "E2U+sip", "!^44$!sip:x@a.example!")
    assert _hosts(unusable, _sip(2, 1, "b")) == ["b.example"]
    assert _hosts(_sip(1, 1, "mail", "E2U+email:mailto"), _sip(2, 1, "b")) == ["b.example"]


@pytest.mark.parametrize(
    ("services", "service", "counts"),
    [
        ("E2U+sip", Service.VOICE, True),
        ("e2u+SIP", Service.VIDEO, True),
        ("E2U+sip", Service.IM, True),
        ("sip+E2U", Service.VOICE, True),
        ("E2U+voice:sip", Service.VOICE, True),
        ("E2U+voice:sip", Service.VIDEO, False),
        ("E2U+video:sip", Service.VIDEO, True),
        ("E2U+video:sip+voice:sip", Service.VOICE, True),
        ("E2U+im", Service.IM, True),
        ("E2U+voice:tel", Service.VOICE, False),
        ("E2U", Service.VOICE, False),
        ("E2U+", Service.VOICE, False),
        ("E2U+sip+", Service.VOICE, False),
        ("X2U+sip", Service.VOICE, False),
        ("SIP+D2U", Service.VOICE, False),
        ("E2U+" + "s" * 33, Service.VOICE, False),
    ],
)
def test_a_rule_counts_for_the_services_its_field_names(
    services: str, service: Service, counts: bool
) -> None:
    assert bool(_hosts(_sip(1, 1, "a", services), service=service)) is counts


def test_several_services_are_read_in_order() -> None:
    assert enumservices("E2U+voice:sip:x+sip") == ("voice:sip:x", "sip")


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (Rule(1, 1, "s", "E2U+sip", "!.*!sip:a@b.example!"), "flags other than u"),
        (Rule(1, 1, "", "E2U+sip", "!.*!sip:a@b.example!", "x.example"), "flags other than u"),
        (Rule(1, 1, "u", "E2U+sip", "!.*!sip:a@b.example!", "x.example"), "a replacement beside"),
        (Rule(1, 1, "u", "E2U+sip", ""), "empty"),
        (Rule(1, 1, "u", "E2U+sip", "!.*!tel:+12125550123!"), "URI:"),
        (Rule(1, 1, "u", "E2U+sip", "!.*!sip:a@192.0.2.1!"), "URI:"),
        (Rule(1, 1, "u", "E2U+sip", "!.*!sip:a@b.example?Route=x!"), "URI:"),
        (Rule(1, 1, "u", "E2U+sip", "!.*!sip:a@b.example;maddr=127.0.0.1!"), "URI:"),
        (Rule(1, 1, "u", "E2U+sip", "!.*!file:///etc/passwd!"), "URI:"),
        (Rule(1, 1, "u", "E2U+sip", "!" + ".*" * 120 + "x!sip:a@b.example!"), "laborious"),
    ],
)
def test_an_unusable_rule_says_why_and_gives_nothing(rule: Rule, why: str) -> None:
    selection = select([rule], NUMBER, Service.VOICE)
    assert selection.uris == ()
    assert len(selection.refused) == 1
    assert why in selection.refused[0]


def test_a_hostile_rule_takes_no_steps_from_those_before_it() -> None:
    hostile = Rule(2, 1, "u", "E2U+sip", "!" + ".*" * 120 + "x!sip:a@b.example!")
    assert _hosts(hostile, _sip(1, 1, "good")) == ["good.example"]


def test_at_most_32_rules_are_read_and_8_uris_given() -> None:
    assert len(_hosts(*[_sip(1, place, f"h{place}") for place in range(20)])) == 8
    others = [_sip(1, place, "x", "E2U+email:mailto") for place in range(32)]
    assert _hosts(*others, _sip(0, 0, "too-late")) == []


def test_the_same_uri_is_given_once() -> None:
    assert _hosts(_sip(1, 1, "a"), _sip(1, 2, "A")) == ["a.example"]


def test_a_rule_without_flag_and_expression_leads_on() -> None:
    onward = Rule(1, 1, "", "", "", "carrier.example")
    assert select([onward, _sip(2, 1, "b")], NUMBER, Service.VOICE).next_domain == "carrier.example"
    assert select([_sip(0, 1, "b"), onward], NUMBER, Service.VOICE).next_domain is None


def test_a_number_has_its_digits_reversed_before_the_suffix() -> None:
    tree = Tree("1", "e164.example")
    assert tree.domain("12125550123") == "3.2.1.0.5.5.5.2.1.2.1.e164.example"
    assert tree.number("3.2.1.0.5.5.5.2.1.2.1.E164.example.") == "12125550123"


@pytest.mark.parametrize(
    "domain",
    ["e164.example", "1.2.e164.example", "10.1.1.e164.example", "a.1.1.e164.example", "3.2.1.x",
     "3.2.1.evile164.example", "*.1.1.1.e164.example", "1..1.1.e164.example"],
)  # fmt: skip
def test_a_domain_that_is_no_numbers(domain: str) -> None:
    assert Tree("", "e164.example").number(domain) is None


def test_the_tree_with_the_longest_prefix_is_asked() -> None:
    general, narrow = Tree("", "a.example"), Tree("1212", "b.example")
    assert tree_of((general, narrow), NUMBER) == narrow
    assert tree_of((general, narrow), "442079460123") == general
    assert tree_of((narrow,), "442079460123") is None


def test_a_tree_needs_digits_and_room() -> None:
    for prefix, suffix in (("+1", "a.example"), ("", ""), ("", "x" * 230)):
        with pytest.raises(ValueError, match=r"prefix|suffix"):
            Tree(prefix, suffix)
    with pytest.raises(ValueError, match="not a canonical number"):
        Tree("", "a.example").domain("12a")
