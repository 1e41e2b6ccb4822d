"""Typed header fields: Via, addresses, CSeq, dates and lists."""

from typing import Any

import pytest

from sip.fields import (
    NameAddr,
    SentBy,
    Via,
    format_date,
    parse_cseq,
    parse_date,
    parse_first_via,
    parse_name_addr,
    parse_name_addrs,
    parse_option_tags,
    parse_seconds,
    parse_vias,
    rest_of_vias,
)
from sip.grammar import Parameters
from sip.headers import MalformedHeader
from sip.uri import parse_uri
from tests.support.vectors import needs_vectors, rows


def test_via_decodes_every_part() -> None:
    via = parse_first_via(
        "SIP/2.0/UDP h.example:5070;branch=z9hG4bKx;received=192.0.2.9;rport=99, x"
    )
    assert (via.transport, via.sent_by) == ("UDP", SentBy("h.example", 5070))
    assert (via.branch, via.received, via.rport) == ("z9hG4bKx", "192.0.2.9", 99)


def test_rport_without_value_is_present_but_none() -> None:
    via = parse_first_via("SIP/2.0/UDP [2001:db8::1];rport")
    assert "rport" in via.params
    assert via.rport is None
    assert str(via.with_param("rport", "5060").with_param("received", "192.0.2.1")) == (
        "SIP/2.0/UDP [2001:db8::1];rport=5060;received=192.0.2.1"
    )


def test_vias_come_from_lists_and_repeated_fields() -> None:
    values = ['SIP/2.0/UDP a;x="1,2" , SIP/2.0/TCP b:1', "SIP / 2.0 / TLS  c"]
    assert [str(via.sent_by) for via in parse_vias(values)] == ["a", "b:1", "c"]
    assert rest_of_vias(values[0]) == "SIP/2.0/TCP b:1"
    assert rest_of_vias(values[1]) is None


@pytest.mark.parametrize(
    "value",
    ["", "SIP/2.0/UDP", "SIP/2.0 UDP h", "SIP/1.0/UDP h", "SIP/2.0/UDP h:65536", "SIP/2.0/UDP h;",
     "SIP/2.0/UDP h;;a", "SIP/2.0/UDP h,", "SIP/2.0/UDP 1.2.3.400", "SIP/2.0/UDP h;a;a",
     "SIP/2.0/UDP h;received=@", "SIP/2.0/UDP h;b=\"", "HTTP/2.0/TCP h", "ſip/2.0/UDP h",
     "SIP/2.0/UDP h x"],
)  # fmt: skip
def test_malformed_vias_are_refused(value: str) -> None:
    with pytest.raises(MalformedHeader):
        parse_vias([value])


@pytest.mark.parametrize(
    ("value", "display", "uri", "params"),
    [
        ("<sip:a@b;x>;tag=1", None, "sip:a@b;x", ";tag=1"),
        ("sip:a@b;tag=1", None, "sip:a@b", ";tag=1"),
        ("sip:a@b ; tag = 1 ", None, "sip:a@b", ";tag=1"),
        ("Al B <sip:b>", "Al B", "sip:b", ""),
        ("Al<sip:b>", "Al", "sip:b", ""),
        ('"A \\"<,;\\\\" <sip:b>;TAG="q;,"', 'A "<,;\\', "sip:b", ';tag="q;,"'),
        ('""<sip:b>', "", "sip:b", ""),
        ("Zoë <sip:b>", "Zoë", "sip:b", ""),
        ("<sip:b?s=1,2>", None, None, ""),
        ("<sip:b?s=%2C>", None, "sip:b?s=%2C", ""),
        ("<http://b/a,b;c?d>;x", None, "http://b/a,b;c?d", ";x"),
        ('sip:b;+sip.instance="<urn:uuid:1>"', None, "sip:b", ';+sip.instance="<urn:uuid:1>"'),
    ],
)
def test_addresses(value: str, display: str | None, uri: str | None, params: str) -> None:
    if uri is None:
        with pytest.raises(MalformedHeader):
            parse_name_addr("To", value)
        return
    address = parse_name_addr("To", value)
    assert (address.display_name, str(address.uri), str(address.params)) == (display, uri, params)
    assert parse_name_addr("To", str(address)) == address


@pytest.mark.parametrize(
    "value",
    ["", "<>", "<sip:b", "sip:b>", "<sip:b>x", "<sip:b>;", "<sip:b>;;a", "<sip:b>;a;a", "a@b",
     '"A <sip:b>', '"A" "B" <sip:b>', "A, B <sip:b>", "< sip:b>", "<sip:b >", "sip:a,b@c",
     "sip:b?x=y", "<<sip:b>>", "A\0 <sip:b>", "sip:a b", "*", "<sip:b>, <sip:c>"],
)  # fmt: skip
def test_malformed_addresses_are_refused(value: str) -> None:
    with pytest.raises(MalformedHeader):
        parse_name_addr("To", value)


def test_address_lists_mind_quotes_and_brackets() -> None:
    found = parse_name_addrs("Contact", ['"a,b" <sip:a?x=y>, sip:c;q=1', "<sip:d>"])
    assert [str(address.uri) for address in found] == ["sip:a?x=y", "sip:c", "sip:d"]
    for broken in ("<sip:a>,", ",<sip:a>", "<sip:a>,,<sip:b>", '"a', "<sip:a"):
        with pytest.raises(MalformedHeader):
            parse_name_addrs("Contact", [broken])


def test_a_display_name_that_is_no_token_is_quoted() -> None:
    assert str(NameAddr('a "b"\r\nX: 1', parse_uri("sip:b"))) == '"a \\"b\\"  X: 1" <sip:b>'
    assert str(NameAddr("Al", parse_uri("sip:b"), Parameters({"TAG": "1"}))) == "Al <sip:b>;tag=1"


@pytest.mark.parametrize(
    "value", ["", "1", "INVITE", "-1 INVITE", "1 IN VITE", "٣ INVITE", "1INVITE"]
)
def test_malformed_cseqs_are_refused(value: str) -> None:
    with pytest.raises(MalformedHeader):
        parse_cseq(value)


def test_seconds_are_clamped_to_32_bits() -> None:
    assert parse_seconds("Expires", " 3600 ") == 3600
    assert parse_seconds("Expires", "9" * 5000) == 2**32 - 1
    for value in ("", "-1", "1.5", "٣"):
        with pytest.raises(MalformedHeader):
            parse_seconds("Expires", value)


def test_option_tags_are_tokens() -> None:
    assert parse_option_tags("Require", ["a, b", "", "c"]) == ("a", "b", "c")
    with pytest.raises(MalformedHeader):
        parse_option_tags("Require", ["a b"])


@needs_vectors
@pytest.mark.parametrize("row", rows("06-uri/sip-date.json"), ids=lambda row: row["date"])
def test_date_rows_of_other_projects(row: dict[str, Any]) -> None:
    assert parse_date(row["date"]) == row["unix"]
    assert format_date(row["unix"]) == row["date"]


@pytest.mark.parametrize(
    "value",
    ["", "Tue, 16 Aug 2016 19:23:38 EST", "Mon, 16 Aug 2016 19:23:38 GMT",
     "16 Aug 2016 19:23:38 GMT",
     "Tue, 16 Aug 2016 25:23:38 GMT", "Wed, 31 Feb 2016 00:00:00 GMT", "Tue, 16 Aug 2016 19:23:38",
     "Tue, 16 aug 2016 19:23:38 GMT", "Tue, 16 Aug 2016 19:23:38 GMT\n",
     "Tue, 16 Aug 0000 19:23:38 GMT",
     "Tue, 16 Aug 20١6 19:23:38 GMT"],
)  # fmt: skip
def test_dates_other_than_rfc_1123_in_gmt_are_refused(value: str) -> None:
    with pytest.raises(MalformedHeader):
        parse_date(value)


def test_values_are_hashable() -> None:
    via = Via("UDP", SentBy("h"), Parameters({"branch": "1"}))
    assert len({via, parse_first_via("SIP/2.0/UDP h;branch=1")}) == 1
