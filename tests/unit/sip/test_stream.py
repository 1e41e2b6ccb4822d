"""Framing finds the same messages whatever the chunks, and stops where it lost its way."""

import pytest

from sip.limits import MessageLimits
from sip.message import Request
from sip.parser import MalformedMessage
from sip.stream import Framed, Ping, StreamFramer

OPTIONS = (
    b"OPTIONS sip:b@beta.example SIP/2.0\r\n"
    b"Via: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK1\r\n"
    b"From: <sip:a@alpha.example>;tag=1\r\nTo: <sip:b@beta.example>\r\n"
    b"Call-ID: 1\r\nCSeq: 1 OPTIONS\r\n"
)
HIDDEN = b"INVITE sip:hidden@beta.example SIP/2.0\r\nContent-Length: 0\r\n\r\n"


def with_length(length: str, body: bytes = b"") -> bytes:
    return OPTIONS + f"Content-Length: {length}\r\n\r\n".encode() + body


def only_error(framed: list[Framed]) -> MalformedMessage:
    assert len(framed) == 1
    assert isinstance(framed[0], MalformedMessage)
    assert framed[0].fatal
    return framed[0]


def test_messages_and_pings_come_in_order() -> None:
    stream = b"\r\n\r\n" + with_length("3", b"abc") + b"\r\n" + with_length("0") + b"\r\n\r\n"
    framed = StreamFramer().feed(stream)
    assert [type(found) for found in framed] == [Ping, Request, Request, Ping]
    assert isinstance(framed[1], Request)
    assert framed[1].body == b"abc"


def test_one_octet_at_a_time_gives_the_same() -> None:
    stream = b"\r\n\r\n" + with_length("3", b"abc") + b"\r\n" + with_length("0")
    framer = StreamFramer()
    framed = [found for octet in stream for found in framer.feed(bytes([octet]))]
    assert framed == StreamFramer().feed(stream)
    assert framer.is_idle


@pytest.mark.parametrize("length", ["-1", "0x10", "+5", "1 2", "", "4294967296", "٣"])
def test_a_length_that_is_no_number_ends_the_connection(length: str) -> None:
    framer = StreamFramer()
    problem = only_error(framer.feed(with_length(length, HIDDEN)))
    assert problem.status == 400
    assert framer.feed(HIDDEN) == []


def test_a_missing_length_ends_the_connection() -> None:
    problem = only_error(StreamFramer().feed(OPTIONS + b"\r\n" + HIDDEN))
    assert (problem.status, problem.reason) == (400, "no Content-Length on a stream")


def test_two_lengths_end_the_connection_even_when_equal() -> None:
    twice = OPTIONS + b"l: 0\r\nContent-Length: 0\r\n\r\n"
    assert only_error(StreamFramer().feed(twice + HIDDEN)).reason == "Content-Length twice"


def test_a_message_inside_a_body_stays_a_body() -> None:
    framed = StreamFramer().feed(with_length(str(len(HIDDEN)), HIDDEN))
    assert len(framed) == 1
    assert isinstance(framed[0], Request)
    assert framed[0].body == HIDDEN


def test_a_length_too_short_leaves_rubbish_that_ends_the_connection() -> None:
    framer = StreamFramer()
    framed = framer.feed(with_length("1", b"v=0\r\n\r\n" + HIDDEN))
    assert [type(found) for found in framed] == [Request, MalformedMessage]


def test_the_end_of_the_stream_tells_what_was_cut_off() -> None:
    framer = StreamFramer()
    assert framer.feed(with_length("9", b"abc")) == []
    assert not framer.is_idle
    problem = framer.finish()
    assert problem is not None
    assert (problem.status, problem.reason) == (400, "Content-Length 9, but 3 octets follow")
    head = StreamFramer()
    head.feed(OPTIONS)
    cut = head.finish()
    assert cut is not None
    assert cut.status == 400
    assert StreamFramer().finish() is None


def test_what_is_held_is_bounded() -> None:
    limits = MessageLimits(message=1000)
    endless = StreamFramer(limits)
    framed = [found for _ in range(100) for found in endless.feed(b"x" * 100)]
    assert only_error(framed).status is None
    declared = only_error(StreamFramer(limits).feed(with_length("900")))
    assert declared.status == 513
    assert declared.partial is not None
    assert declared.partial.headers.get("Call-ID") == "1"


def test_an_endless_header_section_is_answered_513() -> None:
    framer = StreamFramer(MessageLimits(message=1000))
    problem = only_error(framer.feed(OPTIONS + b"X: 1\r\n" * 500))
    assert problem.status == 513
