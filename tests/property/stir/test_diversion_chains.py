"""Chains of diversions at random: valid exactly where each link leads on to the called number."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from stir.diversion import Leg, Legs
from stir.passport import Passport
from stir.reason import Reason

LIMIT = 5
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
