"""Section A of the acceptance list: input made to break, smuggle or exhaust."""

import pytest

from sip.flow import Transport
from sip.message import Request, response_to
from sip.parser import MalformedMessage, parse_datagram
from sip.validate import Assessment, assess_bytes
from tests.support.sip_bytes import request_bytes as request
from tests.support.sip_bytes import response_bytes as response


def judged(data: bytes, transport: Transport = "udp") -> Assessment:
    return assess_bytes(data, transport)[1]


def verdict(data: bytes, transport: Transport = "udp") -> tuple[str, int | None]:
    assessment = judged(data, transport)
    return assessment.outcome, assessment.status


@pytest.mark.parametrize("space", [" ", "\t", " \t  "])
def test_space_before_the_colon_hides_no_header(space: str) -> None:
    data = request("INVITE", "sip:user@example.com", (f"X-Internal-Auth{space}", "me"))
    message = parse_datagram(data)
    assert message.headers.get("x-internal-auth") == "me"
    assert "X-Internal-Auth" not in message.headers.without("X-Internal-Auth")
    assert b"X-Internal-Auth: me\r\n" in message.to_bytes()


@pytest.mark.parametrize("junk", ["\xa0", "\0", "\x0b", "\x85", "\u3000", "%20", "\udca0", "\x7f"])
def test_anything_else_before_the_colon_is_400(junk: str) -> None:
    data = request("INVITE", "sip:user@example.com", (f"X-Auth{junk}", "me"))
    assert verdict(data) == ("answer", 400)


@pytest.mark.parametrize(
    "value", ["a\nX-Evil: 1", "a\rX-Evil: 1", "a\n\r b", '"a\nb"', "a\r\n\n b", "\n"]
)
def test_a_bare_line_end_is_400(value: str) -> None:
    assert verdict(request("INVITE", "sip:user@example.com", ("Subject", value))) == ("answer", 400)


def test_line_ends_of_one_octet_are_400() -> None:
    assert verdict(request(line_end="\n"))[0] != "forward"
    assert verdict(request(line_end="\r"))[0] != "forward"


def test_a_line_end_in_a_quoted_string_ends_the_line() -> None:
    data = request("INVITE", change={"From": '"a\r\nb" <sip:a@b>;tag=1'})
    assert verdict(data) == ("answer", 400)


@pytest.mark.parametrize(
    "value",
    [
        "\udcff\udcfe",
        "\ufeffx",
        "\u202eevil",
        "\U0001f4de",
        "a\0b",
        "a\x1bb",
        "\x85",
    ],
)
def test_odd_octets_in_a_value_survive(value: str) -> None:
    data = request("INVITE", "sip:user@example.com", ("Subject", value))
    line = b"Subject: " + value.encode("utf-8", "surrogateescape") + b"\r\n"
    assert line in parse_datagram(data).to_bytes()


def test_escaped_line_ends_stay_escaped() -> None:
    data = request("INVITE", "sip:user%0d%0aX-Evil:%201@example.com")
    assert verdict(data) == ("forward", None)
    assert b"\nX-Evil" not in parse_datagram(data).to_bytes()


def test_an_answer_to_a_hostile_request_has_no_more_lines_than_headers() -> None:
    data = request("INVITE", change={"To": '"Mr\\" <sip:a@b>;tag=\x07'})
    message = parse_datagram(data)
    assert isinstance(message, Request)
    answer = response_to(message, 400, to_tag="t")
    assert answer.to_bytes().count(b"\r\n") == len(answer.headers) + 3


@pytest.mark.parametrize(
    ("name", "compact"),
    [("Call-ID", "i"), ("From", "f"), ("To", "t"), ("CSeq", "cseq"),
     ("Max-Forwards", "MAX-FORWARDS"),
     ("Content-Length", "l"), ("Content-Type", "c"), ("Date", "date")],
)  # fmt: skip
def test_a_second_single_header_is_400(name: str, compact: str) -> None:
    good = parse_datagram(request("INVITE"))
    value = good.headers.get(name) or "x"
    extras = [(compact, value)] if name in good.headers else [(name, value), (compact, value)]
    assert verdict(request("INVITE", "sip:user@example.com", *extras)) == ("answer", 400)
    assert verdict(response("200 OK", *extras)) == ("drop", None)


@pytest.mark.parametrize("length", ["-1", "0x10", "4294967296", "5 5", "1e3", "５", "", "9"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_content_length_that_lies_is_400(length: str, transport: Transport) -> None:
    data = request("INVITE", change={"Content-Length": length}, body=b"v=0\r\n")
    assert verdict(data, transport) == ("answer", 400)


def test_octets_after_the_content_length_of_a_datagram_are_ignored() -> None:
    data = request("INVITE", change={"Content-Length": "3"}, body=b"v=0\r\nINVITE sip:x SIP/2.0")
    assert parse_datagram(data).body == b"v=0"


TOO_MUCH = {
    "65 kB": (request("INVITE", body=b"x" * 65_000), 513),
    "1,000 headers": (request("INVITE", "sip:a@b", *[("X", "1")] * 1000), 400),
    "100 Via": (
        request("INVITE", "sip:a@b", *[("Via", "SIP/2.0/UDP h;branch=z9hG4bKx")] * 100),
        400,
    ),
    "100 Via in a list": (
        request("INVITE", change={"Via": ",".join(["SIP/2.0/UDP h;branch=z9hG4bKx"] * 100)}),
        400,
    ),
    "20 kB Request-URI": (request("INVITE", "sip:" + "a" * 20_000 + "@b"), 414),
    "8 kB From tag": (request("INVITE", change={"From": "<sip:a@b>;tag=" + "a" * 8000}), 400),
    "8 kB branch": (
        request("INVITE", change={"Via": "SIP/2.0/UDP h;branch=z9hG4bK" + "a" * 8000}),
        400,
    ),
    "8 kB Call-ID": (request("INVITE", change={"Call-ID": "a" * 8000}), 400),
    "CSeq 2**31": (request("INVITE", change={"CSeq": "2147483648 INVITE"}), 400),
    "CSeq 2**32": (request("INVITE", change={"CSeq": "4294967296 INVITE"}), 400),
    "CSeq of 10,000 digits": (request("INVITE", change={"CSeq": "9" * 10_000 + " INVITE"}), 400),
    "Max-Forwards 256": (request("INVITE", change={"Max-Forwards": "256"}), 400),
}


@pytest.mark.parametrize("name", TOO_MUCH)
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_too_much_is_refused_by_its_status(name: str, transport: Transport) -> None:
    data, status = TOO_MUCH[name]
    assert verdict(data, transport) == ("answer", status)


@pytest.mark.parametrize(
    "extra",
    [("Expires", "1" + "0" * 20), ("Content-Type", "multipart/mixed"), ("Date", "yesterday"),
     ("Contact", "\\"), ("Authorization", ","), ("Require", "nothing"), ("Identity", "a.b.c")],
)  # fmt: skip
def test_what_a_proxy_does_not_use_is_not_judged(extra: tuple[str, str]) -> None:
    assert verdict(request("INVITE", "sip:user@example.com", extra)) == ("forward", None)


def test_the_largest_allowed_values_pass() -> None:
    change: dict[str, str | None] = {"CSeq": "2147483647 INVITE", "Max-Forwards": "255"}
    assert verdict(request("INVITE", change=change)) == ("forward", None)


def test_ack_and_responses_are_never_answered() -> None:
    assert verdict(request("ACK", change={"To": None})) == ("drop", None)
    assert verdict(request("ACK", change={"Max-Forwards": "0"})) == ("drop", None)
    assert verdict(request(start_line="ACK sip:a@b SIP/7.0")) == ("drop", None)
    assert verdict(request("ACK", change={"Content-Length": "x"})) == ("drop", None)
    assert verdict(response(change={"CSeq": None})) == ("drop", None)
    assert verdict(response(change={"Content-Length": "77"})) == ("drop", None)
    assert verdict(response("99 Low")) == ("drop", None)
    assert verdict(response(change={"Via": "junk"})) == ("drop", None)


@pytest.mark.parametrize(
    "data",
    [b"", b"\r\n\r\n", b"\0\0\0\0", b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/1.1\r\n\r\n",
     b"\r\n" * 1000, b"a" * 70_000, b"\xff" * 100],
)  # fmt: skip
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_what_is_not_sip_is_dropped(data: bytes, transport: Transport) -> None:
    assert assess_bytes(data, transport)[0] is None
    assert verdict(data, transport) == ("drop", None)


def test_a_request_that_cannot_be_parsed_can_still_be_answered() -> None:
    data = request("INVITE", "sip:a b", ("Bad Name", "1"))
    with pytest.raises(MalformedMessage) as raised:
        parse_datagram(data)
    partial = raised.value.partial
    assert partial is not None
    assert raised.value.status == 400
    answer = response_to(partial, 400, to_tag="t")
    assert answer.cseq.method == "INVITE"
    assert answer.top_via.branch == "z9hG4bKkdjuw"
