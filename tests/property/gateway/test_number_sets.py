"""The numbers of the configuration and those of discovery are the same numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from discovery.number import NumberRanges
from gateway.config.base import NumberSet

NUMBERS = st.integers(min_value=100, max_value=10**15 - 1)


@st.composite
def ranges(draw: st.DrawFn) -> str:
    first = draw(NUMBERS)
    last = draw(st.integers(min_value=first, max_value=10 ** len(str(first)) - 1))
    return draw(st.sampled_from([f"+{first}", f"+{first}-+{last}"]))


@given(st.lists(ranges(), max_size=5), NUMBERS, st.text(max_size=3))
def test_a_number_is_in_both_sets_or_in_none(texts: list[str], number: int, junk: str) -> None:
    ours, theirs = NumberSet(tuple(texts)), NumberRanges(texts)
    assert (f"+{number}" in ours) == (str(number) in theirs)
    assert str(number) not in ours
    assert (f"+{number}{junk}" in ours) == (f"{number}{junk}" in theirs)


@given(ranges())
def test_the_ends_of_a_range_belong_to_it(text: str) -> None:
    first, _, last = text.partition("-")
    assert first in NumberSet((text,))
    assert (last or first) in NumberSet((text,))
