"""No spelling of verstat by a stranger reaches an own device."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.asserted_headers import dialog_headers, marked_headers
from gateway.policy.verstat import Dialects
from sip.grammar import normalise_escapes
from sip.headers import Headers
from tests.support.sip_messages import request

DIALECTS = Dialects((), "3gpp")
LETTERS = [
    st.sampled_from([c, c.upper(), f"%{ord(c):02x}", f"%{ord(c) - 32:02X}"]) for c in "verstat"
]
NAMES = st.tuples(*LETTERS).map("".join)
PIECES = st.one_of(
    NAMES,
    NAMES.map(lambda name: f";{name}=TN-Validation-Passed"),
    NAMES.map(lambda name: f'; {name} = "x"'),
    st.sampled_from([";", "=", " ", "<sip:+12125550123", "@a.example", ">", ";tag=a", "%3B", '"']),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=6),
)
VALUES = st.lists(PIECES, max_size=8).map("".join)


def says_verstat(value: str) -> bool:
    """Whether any reader could find a verstat parameter, however it treats white space."""
    plain = normalise_escapes(value).lower().replace(" ", "")
    return any(
        part == "verstat" or part.startswith(("verstat=", "verstat@", "verstat>", "verstat?"))
        for part in plain.split(";")[1:]
    )


@given(VALUES)
def test_no_spelling_of_verstat_stays_within_a_dialog(value: str) -> None:
    for _, left in dialog_headers(Headers.of(("From", value), ("To", value)), DIALECTS):
        assert not says_verstat(left)


@given(VALUES)
def test_no_spelling_of_verstat_reaches_an_own_device(value: str) -> None:
    message = request().with_headers(request().headers.replace("From", value))
    assert not says_verstat(
        marked_headers(message, None, None, DIALECTS, DIALECTS.named(None)).get("From") or ""
    )


@given(VALUES)
def test_a_value_without_verstat_is_left_as_it_is(value: str) -> None:
    if "ver" not in normalise_escapes(value).lower():
        assert dialog_headers(Headers.of(("From", value)), DIALECTS).get("From") == value
