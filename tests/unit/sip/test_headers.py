"""Header fields: order, names, and nothing that could become another line."""

import pytest

from sip.headers import Headers, MalformedHeader

SAMPLE = Headers.of(
    ("v", "1"), ("X-Own", "a"), ("VIA", "2"), ("Subject", ""), ("x-own", "b"), ("Via", "3, 4")
)


def test_compact_and_long_forms_in_any_case_are_one_header() -> None:
    assert SAMPLE.all("via") == SAMPLE.all("V") == ("1", "2", "3, 4")
    assert SAMPLE.get("s") == ""
    assert SAMPLE.get("Route") is None
    assert "vIa" in SAMPLE
    assert SAMPLE.count("X-OWN") == 2


def test_known_names_are_written_long_and_unknown_ones_as_they_came() -> None:
    assert [name for name, _ in SAMPLE] == ["Via", "X-Own", "Via", "Subject", "x-own", "Via"]


def test_changes_leave_the_original_alone() -> None:
    assert SAMPLE.prepend("Via", "0").all("Via") == ("0", "1", "2", "3, 4")
    assert next(iter(SAMPLE.prepend("Route", "<sip:p;lr>"))) == ("Route", "<sip:p;lr>")
    assert SAMPLE.replace("Via", "9").all("Via") == ("9",)
    assert list(SAMPLE.replace("x-own", "9"))[1] == ("X-Own", "9")
    assert len(SAMPLE.replace("x-own", "9")) == 5
    assert SAMPLE.replace("To", "t").get("t") == "t"
    assert SAMPLE.without("v", "subject").keys() == ("x-own", "x-own")
    assert SAMPLE.without_first("via").all("via") == ("2", "3, 4")
    assert SAMPLE.without("To") is SAMPLE
    assert len(SAMPLE) == 6


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "\ud800"])
def test_a_value_that_would_break_the_message_is_refused(value: str) -> None:
    with pytest.raises(MalformedHeader):
        Headers.of(("Subject", value))
    with pytest.raises(MalformedHeader):
        SAMPLE.replace("Subject", value)


@pytest.mark.parametrize("name", ["", "X Y", "X:", "X\r\n", "X\xa0", "X\0", "İ"])
def test_a_name_that_is_no_token_is_refused(name: str) -> None:
    with pytest.raises(MalformedHeader):
        Headers.of((name, "1"))


def test_values_are_not_shown_in_a_repr() -> None:
    assert "secret" not in repr(Headers.of(("Authorization", "secret")))


def test_replacing_the_first_field_keeps_the_others_of_its_name() -> None:
    changed = SAMPLE.replace_first("v", "9")
    assert changed.all("Via") == ("9", *SAMPLE.all("Via")[1:])
    assert [name for name, _ in changed] == [name for name, _ in SAMPLE]
    with pytest.raises(MalformedHeader):
        Headers.of().replace_first("Via", "9")
