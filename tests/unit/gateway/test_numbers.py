"""What users dial, read as E.164."""

from __future__ import annotations

import pytest

from gateway.numbers import dialled_number, masked


@pytest.mark.parametrize(
    ("dialled", "region", "number"),
    [
        ("+12125550123", "US", "+12125550123"),
        ("2125550123", "US", "+12125550123"),
        ("(212) 555-0123", "US", "+12125550123"),
        ("0012125550123", "FR", "+12125550123"),
        ("011442079460018", "US", "+442079460018"),
        ("02079460018", "GB", "+442079460018"),
    ],
)
def test_a_dialled_number_is_read_in_its_region(dialled: str, region: str, number: str) -> None:
    assert dialled_number(dialled, region) == number


@pytest.mark.parametrize(
    "dialled",
    ["", "alice", "12", "+1212555012\u0663", "\uff0b12125550123", "+12125550123\n", "+1;phone=2"],
)
def test_what_is_no_number_is_none(dialled: str) -> None:
    assert dialled_number(dialled, "US") is None


def test_a_masked_number_keeps_its_last_digits_to_itself() -> None:
    assert masked("+12125550123") == "+1212555xxxx"
