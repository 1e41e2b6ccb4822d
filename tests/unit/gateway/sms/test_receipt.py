"""Delivery receipts in both of their forms."""

from __future__ import annotations

import pytest

from gateway.sms.message import IncomingSms
from gateway.sms.receipt import Receipt, read_receipt

TEXT = (
    b"id:7f3a sub:001 dlvrd:001 submit date:2611211500 done date:2611211501 stat:%s err:000 text:x"
)


def notice(
    octets: bytes = b"", *parameters: tuple[int, bytes], esm_class: int = 0x04
) -> IncomingSms:
    return IncomingSms("12125550123", "14155550100", octets, esm_class, 0, parameters)


@pytest.mark.parametrize(
    ("stat", "delivered"),
    [
        (b"DELIVRD", True),
        (b"ACCEPTD", True),
        (b"UNDELIV", False),
        (b"REJECTD", False),
        (b"EXPIRED", False),
        (b"DELETED", False),
        (b"ENROUTE", None),
        (b"UNKNOWN", None),
        (b"ABCDEFG", None),
    ],
)
def test_by_text(stat: bytes, delivered: bool | None) -> None:
    assert read_receipt(notice(TEXT % stat)) == Receipt("7f3a", delivered)


@pytest.mark.parametrize(("state", "delivered"), [(2, True), (5, False), (8, False), (1, None)])
def test_by_parameters_which_go_first(state: int, delivered: bool | None) -> None:
    parameters = ((0x001E, b"m1\0"), (0x0427, bytes((state,))))
    assert read_receipt(notice(TEXT % b"DELIVRD", *parameters)) == Receipt("m1", delivered)


@pytest.mark.parametrize(
    "sms",
    [
        notice(b"Dinner at eight?"),
        notice(b"id: stat:"),
        notice(b"\xff" * 2000),
        notice(TEXT % b"DELIVRD", esm_class=0),
        notice(TEXT % b"DELIVRD", esm_class=0x08),
        notice(b"", (0x001E, b"x" * 65), (0x0427, b"\x02")),
    ],
)
def test_any_other_notice_is_none(sms: IncomingSms) -> None:
    assert read_receipt(sms) is None
