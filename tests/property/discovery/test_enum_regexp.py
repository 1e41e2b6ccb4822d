"""The matcher against a naive one that tries every division, on small patterns and subjects."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.enum.naptr import Rule, select
from discovery.enum.regexp import Steps, TooManySteps, parse_regexp
from discovery.enum.regexp_syntax import (
    Anchor,
    Characters,
    Choice,
    Group,
    MalformedRegexp,
    Node,
    Repeat,
    Sequence,
)
from discovery.enum.substitution import MalformedSubstitution, parse_substitution
from discovery.model import Service

ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "^", "$", "\\+"])


def _extended(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    grouped = inner.map(lambda text: f"({text})")
    suffixes = st.sampled_from(["", "*", "+", "?", "{2}", "{0,2}", "{1,}"])
    return st.one_of(
        st.tuples(grouped, suffixes).map("".join),
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("|".join).map(lambda text: f"({text})"),
    )


PATTERNS = st.recursive(ATOMS, _extended, max_leaves=6)
SUBJECTS = st.text(alphabet="ab+", max_size=5)


def _ends(node: Node, subject: str, start: int) -> Iterator[int]:
    """Every end, by trying everything: no memory, no cleverness."""
    match node:
        case Characters():
            if start < len(subject) and node.matches(subject[start]):
                yield start + 1
        case Anchor():
            if start == (len(subject) if node.at_end else 0):
                yield start
        case Group():
            yield from _ends(node.inner, subject, start)
        case Choice():
            for part in node.parts:
                yield from _ends(part, subject, start)
        case Sequence():
            head, *tail = node.parts
            rest: Node = Sequence(tuple(tail))
            for middle in set(_ends(head, subject, start)):
                yield from _ends(rest, subject, middle) if tail else (middle,)
        case Repeat():
            yield from _repeated(node, subject, start)


def _repeated(node: Repeat, subject: str, start: int) -> Iterator[int]:
    reached, most = {start}, len(subject) + 2 if node.most is None else node.most
    for count in range(most + 1):
        if count >= node.least:
            yield from reached
        reached = {end for place in reached for end in _ends(node.inner, subject, place)}


@settings(max_examples=400, deadline=None)
@given(PATTERNS, SUBJECTS)
def test_the_match_is_the_leftmost_and_longest_of_all(pattern: str, subject: str) -> None:
    regexp = parse_regexp(pattern)
    expected = None
    for start in range(len(subject) + 1):
        ends = set(_ends(regexp.root, subject, start))
        if ends:
            expected = subject[start : max(ends)]
            break
    found = regexp.search(subject)
    assert (None if found is None else found[0]) == expected
    assert found is None or len(found) == regexp.groups + 1


@settings(max_examples=300, deadline=None)
@given(
    st.text(alphabet="ab+.*?{}[](),|^$\\019-:digt", max_size=255), st.text("+0123ab", max_size=16)
)
def test_any_pattern_ends_within_its_steps(pattern: str, subject: str) -> None:
    steps = Steps(5_000)
    try:
        parse_regexp(pattern).search(subject, steps)
    except (MalformedRegexp, TooManySteps):
        return
    assert steps.left >= 0


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=255), st.text(alphabet="!ab.*()\\1sip:@x;i", max_size=60))
def test_any_text_is_a_substitution_or_is_refused(text: str, likelier: str) -> None:
    for each in (text, likelier, f"!{likelier}", f"!^(.*)$!{likelier}!"):
        try:
            parse_substitution(each).apply("+12125550123")
        except (MalformedSubstitution, TooManySteps):
            continue


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.builds(
            Rule,
            st.integers(0, 65535),
            st.integers(0, 65535),
            st.sampled_from(["u", "U", "", "s"]),
            st.sampled_from(["E2U+sip", "E2U+im", "", "sip+E2U"]) | st.text(max_size=20),
            st.sampled_from(["!^.*$!sip:a@b.example!", ""]) | st.text(max_size=30),
            st.sampled_from(["", "c.example"]),
        ),
        max_size=40,
    )
)
def test_any_rules_give_at_most_eight_acceptable_uris(rules: list[Rule]) -> None:
    selection = select(rules, "12125550123", Service.VOICE)
    assert len(selection.uris) <= 8
    assert all(uri.host.islower() for uri in selection.uris)
