"""RFC 5118: IPv6 in SIP, one row a section."""

import pytest

from sip.parser import parse_datagram
from sip.uri import SipUri, parse_uri, uris_equal
from sip.validate import assess_bytes
from tests.support.sip_bytes import request_bytes as request

_VIA = "SIP/2.0/UDP [2001:db8::9:1]{};branch=z9hG4bKas3-111"

FORWARDED = {
    "4.1 reference in brackets": request("REGISTER", "sip:[2001:db8::10]"),
    "4.3 port inside the brackets": request("REGISTER", "sip:[2001:db8::10:5070]"),
    "4.4 port outside the brackets": request("REGISTER", "sip:[2001:db8::10]:5070"),
    "4.5 received with brackets": request(
        "BYE", change={"Via": _VIA.format(";received=[2001:db8::9:255]")}
    ),
    "4.5 received without": request(
        "BYE", change={"Via": _VIA.format(";received=2001:db8::9:255")}
    ),
    "4.6 IPv6 in SDP": request("INVITE", body=b"v=0\r\nc=IN IP6 2001:db8::20\r\n"),
    "4.7 both families in headers": request(
        "BYE",
        "sip:user@host.example.com",
        ("Via", "SIP/2.0/UDP 192.0.2.1;received=2001:db8::9:255;branch=z9hG4bKas3"),
        change={"Via": _VIA.format(":6050")},
    ),
    "4.9 IPv4-mapped address": request("INVITE", "sip:user@[::ffff:192.0.2.10]:5060"),
    "4.10 three colons, which the RFC 3261 grammar allows": request(
        "OPTIONS", "sip:user@[2001:db8:::192.0.2.1]"
    ),
    "4.10 two colons": request("OPTIONS", "sip:user@[2001:db8::192.0.2.1]"),
}


@pytest.mark.parametrize("name", FORWARDED)
def test_well_formed_messages_are_forwarded(name: str) -> None:
    kind, assessment = assess_bytes(FORWARDED[name], "udp")
    assert (kind, assessment.outcome) == ("request", "forward"), assessment


def test_a_reference_without_brackets_is_400() -> None:
    _, assessment = assess_bytes(request("REGISTER", "sip:2001:db8::10"), "udp")
    assert (assessment.outcome, assessment.status) == ("answer", 400)


def test_a_port_in_the_brackets_is_part_of_the_address() -> None:
    uri = parse_uri("sip:[2001:db8::10:5070]")
    assert isinstance(uri, SipUri)
    assert (uri.host, uri.port) == ("2001:db8::10:5070", None)
    uri = parse_uri("sip:[2001:db8::10]:5070")
    assert isinstance(uri, SipUri)
    assert (uri.host, uri.port) == ("2001:db8::10", 5070)


def test_received_reads_the_same_with_and_without_brackets() -> None:
    for name in ("4.5 received with brackets", "4.5 received without"):
        assert parse_datagram(FORWARDED[name]).top_via.received == "2001:db8::9:255"


def test_three_colons_are_read_as_two() -> None:
    three, two = (parse_uri(f"sip:u@[2001:db8{c}192.0.2.1]") for c in (":::", "::"))
    assert uris_equal(three, two)
    assert str(three) == str(two)
