"""GSM 03.38 (3GPP TS 23.038): every code of both tables against Unicode's mapping, and packing."""

from __future__ import annotations

import unicodedata

import pytest

from discovery.spin import gsm7

# By name, as the Unicode Consortium's mapping of GSM 03.38 writes them, code by code.
GREEK = {
    0x10: "GREEK CAPITAL LETTER DELTA",
    0x12: "GREEK CAPITAL LETTER PHI",
    0x13: "GREEK CAPITAL LETTER GAMMA",
    0x14: "GREEK CAPITAL LETTER LAMDA",
    0x15: "GREEK CAPITAL LETTER OMEGA",
    0x16: "GREEK CAPITAL LETTER PI",
    0x17: "GREEK CAPITAL LETTER PSI",
    0x18: "GREEK CAPITAL LETTER SIGMA",
    0x19: "GREEK CAPITAL LETTER THETA",
    0x1A: "GREEK CAPITAL LETTER XI",
}
OTHERS = {
    0x00: "COMMERCIAL AT",
    0x01: "POUND SIGN",
    0x02: "DOLLAR SIGN",
    0x03: "YEN SIGN",
    0x04: "LATIN SMALL LETTER E WITH GRAVE",
    0x05: "LATIN SMALL LETTER E WITH ACUTE",
    0x06: "LATIN SMALL LETTER U WITH GRAVE",
    0x07: "LATIN SMALL LETTER I WITH GRAVE",
    0x08: "LATIN SMALL LETTER O WITH GRAVE",
    0x09: "LATIN CAPITAL LETTER C WITH CEDILLA",
    0x0B: "LATIN CAPITAL LETTER O WITH STROKE",
    0x0C: "LATIN SMALL LETTER O WITH STROKE",
    0x0E: "LATIN CAPITAL LETTER A WITH RING ABOVE",
    0x0F: "LATIN SMALL LETTER A WITH RING ABOVE",
    0x11: "LOW LINE",
    0x1C: "LATIN CAPITAL LETTER AE",
    0x1D: "LATIN SMALL LETTER AE",
    0x1E: "LATIN SMALL LETTER SHARP S",
    0x1F: "LATIN CAPITAL LETTER E WITH ACUTE",
    0x24: "CURRENCY SIGN",
    0x40: "INVERTED EXCLAMATION MARK",
    0x5B: "LATIN CAPITAL LETTER A WITH DIAERESIS",
    0x5C: "LATIN CAPITAL LETTER O WITH DIAERESIS",
    0x5D: "LATIN CAPITAL LETTER N WITH TILDE",
    0x5E: "LATIN CAPITAL LETTER U WITH DIAERESIS",
    0x5F: "SECTION SIGN",
    0x60: "INVERTED QUESTION MARK",
    0x7B: "LATIN SMALL LETTER A WITH DIAERESIS",
    0x7C: "LATIN SMALL LETTER O WITH DIAERESIS",
    0x7D: "LATIN SMALL LETTER N WITH TILDE",
    0x7E: "LATIN SMALL LETTER U WITH DIAERESIS",
    0x7F: "LATIN SMALL LETTER A WITH GRAVE",
}
EXTENSION = {
    0x14: "CIRCUMFLEX ACCENT",
    0x28: "LEFT CURLY BRACKET",
    0x29: "RIGHT CURLY BRACKET",
    0x2F: "REVERSE SOLIDUS",
    0x3C: "LEFT SQUARE BRACKET",
    0x3D: "TILDE",
    0x3E: "RIGHT SQUARE BRACKET",
    0x40: "VERTICAL LINE",
    0x65: "EURO SIGN",
}


@pytest.mark.parametrize(("code", "name"), sorted({**GREEK, **OTHERS}.items()))
def test_the_default_table(code: int, name: str) -> None:
    character = unicodedata.lookup(name)
    assert gsm7.encode(character) == bytes((code,))
    assert gsm7.decode(bytes((code,))) == character


@pytest.mark.parametrize(("code", "name"), sorted(EXTENSION.items()))
def test_the_extension_table(code: int, name: str) -> None:
    character = unicodedata.lookup(name)
    assert gsm7.encode(character) == bytes((0x1B, code))
    assert gsm7.decode(bytes((0x1B, code))) == character


def test_every_other_code_is_ascii_or_a_control() -> None:
    others = set(range(128)) - {*GREEK, *OTHERS, 0x1B}
    controls = {0x0A: "\n", 0x0D: "\r"}
    for code in others:
        assert gsm7.decode(bytes((code,))) == controls.get(code, chr(code))
    assert gsm7.decode(bytes((0x1B, 0x0A))) == "\f"


def test_what_is_no_code_of_the_tables_cannot_be_written() -> None:
    written = [chr(each) for each in range(0x10000) if not 0xD800 <= each < 0xE000]
    able = [character for character in written if _writes(character)]
    assert len(able) == 127 + 10


def _writes(character: str) -> bool:
    try:
        gsm7.encode(character)
    except gsm7.NotGsm7:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "packed"),
    [
        ("hellohello", "e8329bfd4697d9ec37"),
        ("hello", "e8329bfd06"),
        ("1", "31"),
        ("12345678", "31d98c56b3dd70"),
        ("", ""),
    ],
)
def test_packing(text: str, packed: str) -> None:
    septets = gsm7.encode(text)
    assert gsm7.pack(septets).hex() == packed
    assert gsm7.unpack(bytes.fromhex(packed), len(septets)) == septets
