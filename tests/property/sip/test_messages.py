"""Whatever the octets: parsing and writing are inverse, and only declared errors escape."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sip.fields import (
    parse_cseq,
    parse_date,
    parse_max_forwards,
    parse_name_addr,
    parse_name_addrs,
    parse_option_tags,
    parse_seconds,
    parse_vias,
)
from sip.headers import Headers, MalformedHeader
from sip.message import Request, Response, response_to
from sip.parser import MalformedMessage, parse_datagram
from sip.stream import Framed, StreamFramer
from sip.uri import MalformedUri, parse_uri, telephone_number, uris_equal
from sip.validate import assess_bytes
from tests.rfc.sip.test_rfc4475 import REFUSED, VALID

TOKENS = st.from_regex(r"[A-Za-z0-9\-.!*_+`'~]{1,12}", fullmatch=True)
# Any octets in a value but line ends, and no white space around it, which belongs to no value.
VALUES = (
    st.binary(max_size=30)
    .map(lambda octets: octets.replace(b"\r", b"").replace(b"\n", b"").strip(b" \t"))
    .map(lambda octets: octets.decode("utf-8", "surrogateescape"))
)
FIELDS = st.lists(
    st.tuples(TOKENS.filter(lambda n: n.lower() not in ("l", "content-length")), VALUES)
)
PIECES = st.sampled_from(
    list(VALID.values())
    + [data for data, _ in REFUSED.values()]
    + [b"\r\n", b"\r\n\r\n", b" ", b";", b",", b'"', b"<", b">", b":", b"\\", b"\0", b"\xff", b"%"]
)
WILD = st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=6).map(b"".join))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A torture message with some octets removed, put in or exchanged."""
    data = bytearray(draw(PIECES))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 5))] = draw(st.binary(max_size=5))
    return bytes(data)


@given(TOKENS, st.from_regex(r"sip:[a-z]{1,8}@[a-z]{1,8}", fullmatch=True), FIELDS, st.binary())
def test_a_request_written_and_parsed_is_the_same(
    method: str, uri: str, fields: list[tuple[str, str]], body: bytes
) -> None:
    request = Request(method, uri, Headers.of(*fields), body)
    parsed = parse_datagram(request.to_bytes())
    assert isinstance(parsed, Request)
    assert (parsed.method, parsed.request_uri, parsed.body) == (method, uri, body)
    assert parsed.headers.without("Content-Length") == request.headers
    assert parsed.to_bytes() == request.to_bytes()


@given(damaged() | WILD)
def test_what_parses_is_written_so_that_it_parses_to_the_same(data: bytes) -> None:
    try:
        message = parse_datagram(data)
    except MalformedMessage:
        return
    written = message.to_bytes()
    again = parse_datagram(written)
    assert again.to_bytes() == written
    assert again.headers.without("Content-Length") == message.headers.without("Content-Length")
    assert again.body == message.body
    # No line is gained: what was one field stays one field.
    assert written[: written.index(b"\r\n\r\n")].count(b"\r\n") == len(again.headers)


@given(damaged() | WILD)
def test_judging_never_raises_and_answers_can_be_written(data: bytes) -> None:
    for transport in ("udp", "tcp"):
        kind, assessment = assess_bytes(data, transport)
        assert kind in ("request", "response", None)
        assert (assessment.outcome == "answer") == (assessment.status is not None)
        if assessment.outcome == "answer":
            assert kind == "request"
            Headers.of(*assessment.headers)
    try:
        message = parse_datagram(data)
    except MalformedMessage as problem:
        if problem.partial is not None:
            parse_datagram(response_to(problem.partial, 400, to_tag="t").to_bytes())
        return
    if isinstance(message, Request):
        parse_datagram(response_to(message, 400, to_tag="t").to_bytes())


@given(st.lists(damaged() | st.sampled_from([b"\r\n", b"\r\n\r\n"]), max_size=5), st.data())
@settings(max_examples=60)
def test_chunks_do_not_matter(parts: list[bytes], draws: st.DataObject) -> None:
    stream = b"".join(parts)
    whole = StreamFramer()
    expected = comparable(whole.feed(stream))
    cut = StreamFramer()
    found: list[Framed] = []
    at = 0
    while at < len(stream):
        size = draws.draw(st.integers(1, max(1, len(stream) // 4)))
        found += cut.feed(stream[at : at + size])
        at += size
    assert comparable(found) == expected
    assert whole.is_idle == cut.is_idle


def comparable(framed: list[Framed]) -> list[object]:
    return [
        (f.reason, f.status, f.partial) if isinstance(f, MalformedMessage) else f for f in framed
    ]


PARSERS: list[Callable[[str], object]] = [
    lambda text: parse_vias([text]),
    lambda text: parse_name_addr("To", text),
    lambda text: parse_name_addrs("Contact", [text]),
    lambda text: parse_option_tags("Require", [text]),
    lambda text: parse_seconds("Expires", text),
    parse_cseq,
    parse_max_forwards,
    parse_date,
    parse_uri,
]
SCRAPS = st.lists(
    st.sampled_from(
        ["sip:", "tel:", "a", "%41", "%", "@", ":", ";", "?", "&", "=", "[", "::1", "]", "<", ">",
         '"', "\\", ",", " ", "\t", "SIP/2.0/UDP ", "1", "9" * 25, "tag", "lr", "٣", "\udcff", "\n"]
    ),
    max_size=12,
).map("".join)  # fmt: skip


@pytest.mark.parametrize("parse", PARSERS)
@given(text=st.text(max_size=40) | SCRAPS)
@example(text="")
@example(text="9" * 5000)
def test_field_parsers_raise_only_what_they_declare(
    parse: Callable[[str], object], text: str
) -> None:
    try:
        parse(text)
    except (MalformedHeader, MalformedUri):
        return


@given(SCRAPS.map(lambda text: "sip:" + text) | SCRAPS.map(lambda text: "tel:" + text))
def test_a_uri_written_and_parsed_is_the_same(text: str) -> None:
    try:
        uri = parse_uri(text)
    except MalformedUri:
        return
    assert parse_uri(str(uri)) == uri
    canonical = parse_uri(uri.canonical())
    assert uris_equal(uri, canonical)
    assert canonical.canonical() == uri.canonical()
    assert telephone_number(uri) == telephone_number(canonical)


@given(damaged())
def test_every_lazy_header_raises_malformed_header_or_nothing(data: bytes) -> None:
    try:
        message = parse_datagram(data)
    except MalformedMessage:
        return
    assert isinstance(message, Request | Response)
    for name in (
        "top_via", "vias", "from_", "to", "call_id", "cseq", "max_forwards", "expires",
        "routes", "record_routes", "contacts",
    ):  # fmt: skip
        with suppress(MalformedHeader):
            getattr(message, name)
