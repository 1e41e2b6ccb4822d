"""Binary HTTP: what is no message is refused with one error, within limits."""

from __future__ import annotations

import pytest

from discovery.privacy.bhttp import (
    BinaryRequest,
    BinaryResponse,
    Fields,
    Informational,
    encode_request,
    encode_response,
)
from discovery.privacy.bhttp_decoding import BhttpLimits, decode_request, decode_response
from discovery.privacy.http_date import format_http_date, parse_http_date
from discovery.privacy.octets import MAX_VARINT, Octets, prefixed, varint
from discovery.privacy.reason import Fault, PrivacyError

GET = BinaryRequest("GET", "https", "a.example", "/")
START = encode_request(GET)


def fault_of(data: bytes, limits: BhttpLimits | None = None) -> Fault:
    decode = decode_response if data[:1] in (b"\1", b"\3") else decode_request
    with pytest.raises(PrivacyError) as caught:
        decode(data, limits or BhttpLimits())
    return caught.value.fault


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", Fault.TRUNCATED),
        (b"\0", Fault.TRUNCATED),
        (b"\4", Fault.MALFORMED),
        (b"\x40\0" + START[1:] + b"\1", Fault.TRUNCATED),
        (START[:-1], Fault.TRUNCATED),
        (START + b"\x05", Fault.TRUNCATED),
        (START + b"\0\x05abc", Fault.TRUNCATED),
        (START + b"\0\0\0\0x", Fault.MALFORMED),
        (START + prefixed(b"\0\0"), Fault.MALFORMED),
        (START + prefixed(b"\1a"), Fault.TRUNCATED),
        (START + prefixed(b"\5:path\1/"), Fault.MALFORMED),
        (START + prefixed(b"\3a b\1c"), Fault.MALFORMED),
        (START + prefixed(b"\1a\3x\r\n"), Fault.MALFORMED),
        (START + prefixed(b"\1a\2 x"), Fault.MALFORMED),
        (START + prefixed(b"\1a\1\0"), Fault.MALFORMED),
        (b"\2" + START[1:] + b"\1a\1b", Fault.TRUNCATED),
        (b"\2" + START[1:] + b"\0\1x", Fault.TRUNCATED),
        (b"\2" + START[1:] + b"\0\0\1a", Fault.TRUNCATED),
        (b"\1", Fault.TRUNCATED),
        (b"\1" + varint(199), Fault.TRUNCATED),
        (b"\1" + varint(103) + b"\0", Fault.TRUNCATED),
        (b"\1" + varint(99), Fault.MALFORMED),
        (b"\1" + varint(600), Fault.MALFORMED),
        (b"\1" + varint(MAX_VARINT), Fault.MALFORMED),
        (START + varint(MAX_VARINT), Fault.OVERSIZED),
        (START + b"\0" + varint(MAX_VARINT), Fault.OVERSIZED),
        (b"\2" + START[1:] + varint(MAX_VARINT), Fault.OVERSIZED),
        (b"\2" + START[1:] + b"\0" + varint(MAX_VARINT), Fault.OVERSIZED),
        (bytes(65_537), Fault.OVERSIZED),
        (b"\1" + (varint(103) + b"\0") * 9 + varint(200), Fault.OVERSIZED),
        (START + prefixed(b"\1a\0" * 65), Fault.OVERSIZED),
        (b"\2" + START[1:] + b"\1a\0" * 65, Fault.OVERSIZED),
        (b"\2" + START[1:] + b"\0" + b"\1x" * 1_025 + b"\0", Fault.OVERSIZED),
    ],
)
def test_what_is_no_message_has_its_fault(data: bytes, fault: Fault) -> None:
    assert fault_of(data) is fault


@pytest.mark.parametrize(
    "changes",
    [
        {"method": ""},
        {"method": "GE T"},
        {"method": "CONNECT"},
        {"method": "G\u20act"},
        {"scheme": ""},
        {"scheme": "1http"},
        {"authority": "user@a.example"},
        {"authority": "a example"},
        {"authority": "a.example/"},
        {"path": ""},
        {"path": "a"},
        {"path": "/a#b"},
        {"path": "/a b"},
        {"path": "*"},
        {"headers": ((":status", "200"),)},
        {"headers": (("", "x"),)},
        {"headers": (("a", "x\r\ny: z"),)},
        {"headers": (("a", "\u20ac"),)},
        {"trailers": (("\u00e9", "x"),)},
    ],
)
def test_a_request_that_cannot_be_sent_is_not_encoded(changes: dict[str, object]) -> None:
    values: dict[str, object] = {
        "method": "GET",
        "scheme": "https",
        "authority": "a.example",
        "path": "/",
        **changes,
    }
    with pytest.raises(PrivacyError, match="malformed"):
        encode_request(BinaryRequest(**values))  # type: ignore[arg-type]


def test_responses_that_cannot_be_sent_are_not_encoded() -> None:
    for response in (
        BinaryResponse(199),
        BinaryResponse(600),
        BinaryResponse(200, (), b"", (), (Informational(200),)),
    ):
        with pytest.raises(PrivacyError, match="malformed"):
            encode_response(response)


def test_messages_are_padded_to_a_size_or_refused() -> None:
    assert len(encode_request(GET, pad_to=100)) == 100
    assert decode_request(encode_request(GET, pad_to=100)) == GET
    with pytest.raises(PrivacyError, match="oversized"):
        encode_request(GET, pad_to=5)


def test_fields_are_found_by_their_one_value() -> None:
    fields: Fields = (("a", "1"), ("b", "2"), ("b", "3"))
    for message in (BinaryResponse(200, fields), BinaryRequest("GET", "https", "", "/", fields)):
        assert (message.header("a"), message.header("b"), message.header("c")) == ("1", None, None)


def test_field_names_come_back_in_lower_case_and_obs_text_survives() -> None:
    request = BinaryRequest("OPTIONS", "https", "", "*", (("X-A", "caf\u00e9\tb"),))
    assert decode_request(encode_request(request)).headers == (("x-a", "caf\u00e9\tb"),)


@pytest.mark.parametrize("value", [0, 63, 64, 16_383, 16_384, (1 << 30) - 1, 1 << 30, MAX_VARINT])
def test_integers_take_the_fewest_octets(value: int) -> None:
    assert Octets(varint(value)).varint() == value


@pytest.mark.rfc(9000, "A.1")
def test_integers_are_those_of_the_examples() -> None:
    for text, value in (
        ("c2197c5eff14e88c", 151_288_809_941_952_652),
        ("9d7f3e7d", 494_878_333),
        ("7bbd", 15_293),
        ("25", 37),
    ):
        assert varint(value).hex() == text
        assert Octets(bytes.fromhex(text)).varint() == value
    assert Octets(b"\x40\x25").varint() == 37
    with pytest.raises(ValueError, match="62 bits"):
        varint(MAX_VARINT + 1)


def test_dates_have_one_form() -> None:
    assert format_http_date(784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT") == 784_111_777
    for text in (
        "",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 0\u0666 Nov 1994 08:49:37 GMT",
    ):
        assert parse_http_date(text) is None
