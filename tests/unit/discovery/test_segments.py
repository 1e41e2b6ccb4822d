"""TS 23.040 9.2.3.24: splitting a text and reading user data headers."""

from __future__ import annotations

import pytest

from discovery.spin import gsm7
from discovery.spin.segments import (
    Concatenation,
    MalformedUserData,
    TextPart,
    split_header,
    split_text,
)


def test_a_text_of_160_septets_is_one_message_without_header() -> None:
    assert split_text("a" * 160, 7) == (TextPart(b"a" * 160),)


def test_a_text_of_161_septets_is_two_parts_of_153_and_8() -> None:
    first, second = split_text("a" * 161, 7)
    assert (len(first.septets), len(second.septets)) == (153, 8)
    assert first.octets[:6] == bytes((5, 0, 3, 7, 2, 1))
    assert second.octets[:6] == bytes((5, 0, 3, 7, 2, 2))


def test_an_escape_is_never_torn_from_its_character() -> None:
    parts = split_text("a" * 152 + "€" * 80, 1)
    assert all(part.septets[-1] != gsm7.ESCAPE for part in parts)
    assert "".join(gsm7.decode(part.septets) for part in parts) == "a" * 152 + "€" * 80


def test_a_text_that_needs_too_many_parts_is_refused() -> None:
    with pytest.raises(ValueError, match="needs 3 parts"):
        split_text("a" * 400, 1, max_parts=2)


@pytest.mark.parametrize(
    "place", [Concatenation(200, 4, 2), Concatenation(60_000, 255, 255, wide=True)]
)
def test_a_header_is_read_as_it_was_written(place: Concatenation) -> None:
    assert split_header(place.header() + b"text") == (place, b"text")


def test_other_elements_are_passed_over() -> None:
    ports = bytes((5, 4, 0x0B, 0x84, 0x23, 0xF0))
    header = bytes((11, *ports, 0, 3, 9, 2, 1))
    assert split_header(header + b"x") == (Concatenation(9, 2, 1), b"x")


@pytest.mark.parametrize("values", [(9, 2, 0), (9, 2, 3), (9, 0, 0), (9, 0, 1)])
def test_a_concatenation_that_makes_no_sense_counts_as_none(values: tuple[int, ...]) -> None:
    assert split_header(bytes((5, 0, 3, *values)) + b"x") == (None, b"x")


@pytest.mark.parametrize("data", [b"", b"\x05\x00", b"\x05\x00\x09\x01\x02\x01", b"\x01\x00"])
def test_a_header_that_does_not_fit_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedUserData):
        split_header(data)
