"""TNAuthList octet for octet (RFC 8226 section 9), written by hand from the ASN.1."""

import pytest

from stir.certificates.tn_auth_list import (
    Entry,
    MalformedTnAuthList,
    One,
    Range,
    Spc,
    TnAuthList,
    build_tn_auth_list,
    parse_tn_auth_list,
)

GOOD: dict[str, tuple[str, tuple[Entry, ...]]] = {
    "a code, as in the certificate of RFC 9118 section 6": (
        "3008 a006 1604 31323334",
        (Spc("1234"),),
    ),
    "one number": ("300f a20d 160b 3134313535353530313030", (One("14155550100"),)),
    "a range": (
        "3014 a112 3010 160b 3134313535353530313030 0201 64",
        (Range("14155550100", 100),),
    ),
    "a range whose count needs a zero octet": (
        "3015 a113 3011 160b 3134313535353530313030 0202 0080",
        (Range("14155550100", 128),),
    ),
    "star and hash": ("3009 a207 1605 2a36372a23", (One("*67*#"),)),
    "all three": (
        "301f a006 1604 37303941 a10c 300a 1605 3130303030 0201 02 a207 1605 3130303039",
        (Spc("709A"), Range("10000", 2), One("10009")),
    ),
}

BAD = {
    "nothing": "",
    "an empty list": "3000",
    "not a list": "1604 31323334",
    "trailing octets": "3008 a006 1604 31323334 00",
    "implicit tags": "3006 8004 31323334",
    "an unknown choice": "3008 a306 1604 31323334",
    "a code as PrintableString": "3008 a006 1304 31323334",
    "an empty code": "3004 a002 1600",
    "a code with octets above 127": "3008 a006 1604 31323384",
    "an empty number": "3004 a202 1600",
    "sixteen digits": "3014 a212 1610 31313131313131313131313131313131",
    "a letter in a number": "3005 a203 1601 41",
    "a plus sign": "3006 a204 1602 2b31",
    "a range of one": "300d a10b 3009 1604 31303030 0201 01",
    "a range of none": "300d a10b 3009 1604 31303030 0201 00",
    "a negative count": "300d a10b 3009 1604 31303030 0201 ff",
    "a count with a needless zero": "300e a10c 300a 1604 31303030 0202 0005",
    "a count of no octets": "300c a10a 3008 1604 31303030 0200",
    "a range past the length of its numbers": "300d a10b 3009 1604 39393939 0201 02",
    "a range from a star": "300d a10b 3009 1604 2a303030 0201 05",
    "a range without count": "300a a108 3006 1604 31303030",
    "a range with a third element": "3010 a10e 300c 1604 31303030 0201 05 0201 05",
    "count before start": "300d a10b 3009 0201 05 1604 31303030",
    "two values in one entry": "300e a00c 1604 31323334 1604 31323334",
    "a long form of a short length": "308108 a006 1604 31323334",
    "an indefinite length": "3080 a006 1604 31323334 0000",
    "a length of five octets": "30850000000008 a006 1604 31323334",
    "a length beyond the end": "3009 a006 1604 31323334",
    "a tag of two octets": "3f10 06 a006 1604 31323334",
    "one octet": "30",
    "a length cut short": "3082",
}


@pytest.mark.parametrize("name", GOOD)
def test_octets_and_entries_are_each_other_s(name: str) -> None:
    octets, entries = bytes.fromhex(GOOD[name][0]), GOOD[name][1]
    assert parse_tn_auth_list(octets) == TnAuthList(entries)
    assert build_tn_auth_list(entries) == octets


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_the_der_of_a_list_is_malformed(name: str) -> None:
    with pytest.raises(MalformedTnAuthList):
        parse_tn_auth_list(bytes.fromhex(BAD[name]))


def test_a_count_of_many_octets_is_malformed_at_once() -> None:
    count = b"\x02\x82\x7f\xff" + b"\x7f" * 0x7FFF
    content = b"\x16\x041000" + count
    for tag in (b"\x30", b"\xa1", b"\x30"):
        content = tag + b"\x82" + len(content).to_bytes(2) + content
    with pytest.raises(MalformedTnAuthList):
        parse_tn_auth_list(content)
    with pytest.raises(MalformedTnAuthList):
        build_tn_auth_list([Range("1000", 10**6000)])


def test_a_list_of_more_than_64_kilobytes_is_malformed() -> None:
    with pytest.raises(MalformedTnAuthList, match="longer"):
        parse_tn_auth_list(b"\x30" * 65_537)
