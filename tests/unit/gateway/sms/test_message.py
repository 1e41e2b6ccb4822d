"""Octets of deliver_sm to text and place; what is a message and what a receipt."""

from __future__ import annotations

import pytest

from discovery.spin.segments import Concatenation, split_text
from gateway.sms.message import (
    IncomingSms,
    address_type,
    esm_class,
    incoming_sms,
    received_part,
)
from tests.support.spin_passports import ALICE, BOB


def sms(
    octets: bytes,
    *,
    esm: int = 0,
    coding: int = 0,
    parameters: tuple[tuple[int, bytes], ...] = (),
) -> IncomingSms:
    return incoming_sms(
        source="+" + ALICE,
        destination=BOB,
        short_message=octets,
        esm_class=esm,
        data_coding=coding,
        parameters=parameters,
    )


def test_what_is_sent_as_parts_is_read_as_parts() -> None:
    text = "à bientôt {€} ".replace("ô", "o") * 20
    parts = split_text(text, 77)
    received = [received_part(sms(part.octets, esm=esm_class(part))) for part in parts]
    assert "".join(part.text for part in received) == text
    assert [part.concatenation for part in received] == [
        Concatenation(77, len(parts), number + 1) for number in range(len(parts))
    ]
    assert received[0].sender == ALICE


def test_the_original_is_kept_untouched() -> None:
    original = sms(b"\x00\x01hello", coding=0xF5)
    assert received_part(original).original is original
    assert received_part(original).text == ""


@pytest.mark.parametrize(
    ("coding", "octets", "text"),
    [
        (0x00, b"\x00 \x11", "@ _"),
        (0x01, b"spin", "spin"),
        (0x03, b"\xe9", "é"),
        (0x08, "žluť".encode("utf-16-be"), "žluť"),
        (0x08, b"\x00", "\ufffd"),
    ],
)
def test_text_is_read_by_its_coding(coding: int, octets: bytes, text: str) -> None:
    assert received_part(sms(octets, coding=coding)).text == text


def test_a_long_text_may_come_as_a_parameter() -> None:
    part = received_part(sms(b"", parameters=((0x0424, b"long text"),)))
    assert part.text == "long text"


def test_concatenation_may_come_as_parameters() -> None:
    parameters = ((0x020C, b"\x12\x34"), (0x020E, b"\x03"), (0x020F, b"\x02"))
    part = received_part(sms(b"x", parameters=parameters))
    assert part.concatenation == Concatenation(0x1234, 3, 2, wide=True)
    senseless = ((0x020C, b"\x12\x34"), (0x020E, b"\x03"), (0x020F, b"\x04"))
    assert received_part(sms(b"x", parameters=senseless)).concatenation is None


def test_a_broken_header_makes_it_one_message_of_its_own() -> None:
    part = received_part(sms(b"\x50abc", esm=0x40))
    assert part.concatenation is None


@pytest.mark.parametrize(
    ("esm", "receipt"),
    [(0x00, False), (0x03, False), (0x40, False), (0x04, True), (0x08, True), (0x20, True)],
)
def test_receipts_and_notices_are_not_messages(esm: int, receipt: bool) -> None:
    assert sms(b"id:1 stat:DELIVRD", esm=esm).is_receipt is receipt


def test_a_message_shows_no_full_number_and_no_text() -> None:
    message = sms(b"secret words")
    assert "secret" not in repr(message)
    assert str(message) == "short message from +1415*****00 to +1212*****23"


@pytest.mark.parametrize(
    ("address", "types"), [(BOB, (1, 1)), ("12345", (0, 0)), ("Spingate", (5, 0))]
)
def test_addresses_say_what_they_are(address: str, types: tuple[int, int]) -> None:
    assert address_type(address) == types
