"""Chains of diversions at random: valid exactly where each link leads on to the called number."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from stir.diversion import Leg, Legs
from stir.passport import Passport
from stir.reason import Reason
from tests.support.diversions import NUMBERS as REAL_NUMBERS
from tests.support.diversions import Forwarders

LIMIT = 5
CALLS = Forwarders()
NUMBER = st.sampled_from([*REAL_NUMBERS[:3], "", "x", "+1 (212) 555-0100"])
CLAIM = st.one_of(
    st.fixed_dictionaries({}, optional={"tn": NUMBER, "uri": NUMBER, "hi": st.text(max_size=3)}),
    st.fixed_dictionaries({"tn": st.lists(NUMBER, max_size=3)}),
    st.none() | st.integers() | st.text(max_size=8) | st.lists(st.none(), max_size=2),
)
OPT = st.sampled_from(["", "a.b.c", "..x", CALLS.original().partition(";")[0]]) | CLAIM
NUMBERS = st.sampled_from("abcdefg")
LEGS = st.lists(st.tuples(NUMBERS, NUMBERS), max_size=7)
CALLER = frozenset({"caller"})


def leg(div: str | None, dest: str) -> Leg:
    octets = f"{div}{dest}".encode()
    passport = Passport({}, {}, octets, b"", octets)
    return Leg(passport, CALLER, frozenset(div or ""), frozenset(dest))


def reachable(start: str, legs: list[tuple[str, str]]) -> tuple[dict[str, int], bool]:
    """Every number with the least legs to it, and whether the way leads in a circle."""
    steps, waiting, circle = {start: 0}, [start], False
    for number in waiting:
        for left, to in legs:
            if left == number and to not in steps:
                steps[to] = steps[number] + 1
                waiting.append(to)
    edges = {(left, to) for left, to in legs if left in steps}
    nodes = set(steps)
    while nodes:  # what is left when numbers that lead nowhere are taken away is a circle
        ends = {node for node in nodes if not any(a == node and b in nodes for a, b in edges)}
        if not ends:
            circle = True
            break
        nodes -= ends
    return steps, circle


@given(LEGS, NUMBERS)
@example([("a", "b"), ("a", "c"), ("b", "c"), ("c", "b")], "b")
def test_a_trail_holds_exactly_where_the_legs_lead_to_the_called_number(
    legs: list[tuple[str, str]], called: str
) -> None:
    trail = Legs([leg(*each) for each in legs]).follow(leg(None, "a"), frozenset(called), LIMIT)
    steps, circle = reachable("a", legs)
    reason = trail.problem.reason if trail.problem else None
    if circle:
        assert reason is Reason.DIVERSION_LOOP
    elif called not in steps:
        assert reason is (Reason.DIVERSION_BROKEN if legs else None)
    elif steps[called] > LIMIT:
        assert reason is Reason.DIVERSION_TOO_LONG
    else:
        assert len(trail.passports) == steps[called] + 1


@given(st.permutations(range(6)), st.integers(0, 5))
def test_the_order_of_the_legs_does_not_matter(order: list[int], missing: int) -> None:
    numbers = "abcdefg"
    legs = [leg(numbers[at], numbers[at + 1]) for at in order if at != 5]
    whole = Legs(legs).follow(leg(None, "a"), frozenset("f"), LIMIT)
    assert [each.signing_input for each in whole.passports[1:]] == [
        b"ab",
        b"bc",
        b"cd",
        b"de",
        b"ef",
    ]
    broken = [each for each in legs if each.div != {numbers[missing]}]
    trail = Legs(broken).follow(leg(None, "a"), frozenset("f"), LIMIT)
    assert trail.holds is (missing == 5)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), CLAIM, CLAIM, OPT), max_size=4))
def test_whatever_stands_in_signed_diversions_gives_a_verdict_and_one_reason(
    claims: list[tuple[bool, object, object, object]],
) -> None:
    values = [CALLS.original()]
    for nested, div, dest, opt in claims:
        changes: dict[str, Any] = {"div": div, "dest": dest}
        if nested:
            values.append(CALLS.div_o(REAL_NUMBERS[0], REAL_NUMBERS[1], "", opt=opt, **changes))
        else:
            values.append(CALLS.div(REAL_NUMBERS[0], REAL_NUMBERS[1], **changes))
    verdict = CALLS.verify(values, REAL_NUMBERS[1])
    assert len(verdict.verdicts) == len(values)
    for each in verdict.verdicts:
        assert (each.outcome == "valid") is (each.reason is None)
