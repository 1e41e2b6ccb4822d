"""Work grows with the octets: 64 kB made to be expensive is done long before a quadratic would be.

Nothing is timed. Were one of these quadratic, it would take minutes and run into the time-out.
"""

from collections.abc import Callable
from contextlib import suppress

import pytest

from sip import fields, host, uri
from sip.fields import parse_name_addr, parse_name_addrs, parse_vias
from sip.headers import MalformedHeader
from sip.stream import StreamFramer
from sip.uri import MalformedUri, parse_uri
from sip.validate import assess_bytes
from tests.support.sip_bytes import request_bytes as request

pytestmark = pytest.mark.timeout(30)

SIZE = 64_000
UNITS = [
    "a", " ", "\t", '"', '\\"', "\\", "<", ">", "<>", ",", ", ", ";", ";a", ";a=", ';a="',
    "%", "%41", "%4", "@", ":", "[", "[:", "]", "?", "&", "a=&", "+", "1", "1-", "-", ".", "a.",
    "(", "é", "\udcff", "\0", "SIP/2.0/UDP h,", "SIP/2.0/UDP ", '<sip:a>,"', "tel:+",
    "\r\n ", "\r\n", "X:\r\n",
]  # fmt: skip
STARTS = [
    "",
    "sip:",
    "sip:a@b;",
    "sip:a@b?",
    "tel:+",
    "tel:1;",
    "<sip:",
    '"',
    "a <",
    "SIP/2.0/UDP h;",
]
PARSERS: list[Callable[[str], object]] = [
    parse_uri,
    lambda text: parse_name_addr("To", text),
    lambda text: parse_name_addrs("Contact", [text]),
    lambda text: parse_vias([text]),
]


@pytest.mark.parametrize("unit", UNITS)
def test_fields_of_one_repeated_unit(unit: str) -> None:
    for start in STARTS:
        text = start + unit * (SIZE // len(unit))
        for parse in PARSERS:
            with suppress(MalformedHeader, MalformedUri):
                parse(text)


@pytest.mark.parametrize("unit", UNITS)
def test_messages_of_one_repeated_unit(unit: str) -> None:
    filler = unit * (SIZE // len(unit))
    for name in ("Subject", "Via", "From", "Contact", "Route", "CSeq", "Call-ID", "Max-Forwards"):
        for transport in ("udp", "tcp"):
            assess_bytes(request("REGISTER", "sip:b", change={name: filler}), transport)
    assess_bytes(request("INVITE", filler), "udp")
    assess_bytes(filler.encode("utf-8", "surrogateescape"), "tcp")


@pytest.mark.parametrize("octets", [b"\r\n", b"X: 1\r\n", b"a", b"\r"])
def test_a_stream_that_drips(octets: bytes) -> None:
    framer = StreamFramer()
    stream = b"INVITE sip:b SIP/2.0\r\n" + octets * (SIZE // len(octets))
    for octet in stream:
        framer.feed(bytes([octet]))
        _ = framer.is_idle


def test_what_is_kept_of_parsed_values_is_bounded() -> None:
    """A flood of different values displaces; long ones are not kept at all."""
    for kept in (fields._known_name_addr, fields._known_via, host._parse_host, uri._parse_known):
        maximum = kept.cache_info().maxsize
        assert maximum is not None
        assert maximum <= 4096
    before = fields._known_name_addr.cache_info().currsize
    parse_name_addr("To", "<sip:" + "a" * 300 + "@b>")
    assert fields._known_name_addr.cache_info().currsize == before
