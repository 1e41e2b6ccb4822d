"""Substitution expressions of RFC 3402."""

import pytest

from discovery.enum.substitution import MalformedSubstitution, parse_substitution

NUMBER = "+12125550123"


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("!^.*$!sip:info@example.com!", "sip:info@example.com"),
        ("!^(.*)$!sip:\\1@example.com!", "sip:+12125550123@example.com"),
        ("/^\\+1(.*)$/sip:\\1@example.com/", "sip:2125550123@example.com"),
        ("!^(\\+1)(212)(.*)$!sip:\\3-\\2-\\1!", "sip:5550123-212-+1"),
        ("!^.*$!http:\\!x!", "http:!x"),
        ("#^.*$#a\\#b#i", "a#b"),
        ("!212!sip:x@example.com!", "sip:x@example.com"),
        ("!^X*(.*)$!\\1!i", NUMBER),
    ],
)
def test_a_number_becomes_what_the_expression_says(text: str, result: str) -> None:
    assert parse_substitution(text).apply(NUMBER) == result


def test_no_match_gives_nothing() -> None:
    assert parse_substitution("!^44$!sip:x@example.com!").apply(NUMBER) is None


@pytest.mark.parametrize(
    "text",
    [
        "", "!", "!a!b", "!a!b!i!", "!a!b!g", "!a!b!ii", "1a1b1", "ia!b!", "\\a\\b\\", "+a+b+",
        "(a(b(", "!a!\\1!", "!(a)!\\2!", "!(a)!\\0!", "!a!\\x!", "!a!b\\", "!(!b!", "!!b!",
        "!a!\\\\!", "!a\x00!b!", "!a!ü!",
    ],
)  # fmt: skip
def test_a_malformed_expression_is_refused(text: str) -> None:
    with pytest.raises(MalformedSubstitution):
        parse_substitution(text)


def test_a_result_is_no_longer_than_a_uri_can_be() -> None:
    with pytest.raises(MalformedSubstitution, match="512"):
        parse_substitution("!^(.*)$!" + "\\1" * 60 + "!").apply(NUMBER)
