"""TS 23.038: the alphabet, its extension and packing."""

from __future__ import annotations

import string

import pytest

from discovery.spin import gsm7


def test_packs_the_classic_example_of_ten_characters() -> None:
    assert gsm7.pack(gsm7.encode("hellohello")) == bytes.fromhex("e8329bfd4697d9ec37")


def test_unpacks_what_was_packed_after_a_header_of_six_octets() -> None:
    septets = gsm7.encode("after a header")
    assert gsm7.unpack(gsm7.pack(septets, fill_bits=1), len(septets), fill_bits=1) == septets


def test_a_character_of_the_extension_takes_two_septets() -> None:
    assert gsm7.encode("[€]") == bytes((0x1B, 0x3C, 0x1B, 0x65, 0x1B, 0x3E))
    assert gsm7.decode(gsm7.encode("[€]")) == "[€]"


def test_every_character_of_a_token_is_one_septet() -> None:
    alphabet = string.ascii_letters + string.digits + "-_."
    assert len(gsm7.encode(alphabet)) == len(alphabet)


def test_known_codes_of_the_default_table() -> None:
    assert gsm7.encode("@$_ ¡à") == bytes((0x00, 0x02, 0x11, 0x20, 0x40, 0x7F))


def test_a_character_outside_is_named_by_its_place() -> None:
    with pytest.raises(gsm7.NotGsm7) as caught:
        gsm7.encode("abcç")
    assert caught.value.position == 3


@pytest.mark.parametrize(
    ("septets", "text"),
    [
        (bytes((0x1B, 0x41)), "A"),
        (bytes((0x1B,)), " "),
        (bytes((0x1B, 0x1B, 0x41)), " A"),
        (bytes((0x80, 0x41)), "\ufffdA"),
        (b"", ""),
    ],
)
def test_decoding_follows_the_table_where_an_escape_means_nothing(
    septets: bytes, text: str
) -> None:
    assert gsm7.decode(septets) == text


def test_unpacking_stops_where_the_octets_end() -> None:
    assert gsm7.unpack(b"", 5) == b""
    assert len(gsm7.unpack(b"\xe8\x32", 160)) == 2
