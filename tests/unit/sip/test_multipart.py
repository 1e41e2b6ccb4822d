"""A session description is found and replaced among other parts of a body."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.headers import Headers
from sip.message import Request
from sip.multipart import part_of, with_part

SDP = "application/sdp"
LINE = st.characters(exclude_characters="\r\n", codec="utf-8")
ISUP = b"\x01\x00\r\n\x49\x00--not a delimiter\r\n"


def request(body: bytes, content_type: str | None) -> Request:
    headers = Headers.of() if content_type is None else Headers.of(("c", content_type))
    return Request("INVITE", "sip:a@b.example", headers, body)


def mixed(*parts: tuple[str, bytes], boundary: str = "x", preamble: bytes = b"") -> bytes:
    body = preamble
    for fields, content in parts:
        body += f"--{boundary}\r\n{fields}\r\n\r\n".encode() + content + b"\r\n"
    return body + f"--{boundary}--\r\n".encode()


SIP_I = mixed(
    ("Content-Type: application/sdp", b"v=0\r\ns=-\r\n"),
    (
        "Content-Type: application/isup;version=itu-t92+\r\n"
        "Content-Disposition: signal;handling=required",
        ISUP,
    ),
)


@pytest.mark.parametrize(
    "content_type",
    ["multipart/mixed;boundary=x", 'Multipart/Mixed ; charset=a; Boundary="x"'],
)
def test_sdp_beside_isup_is_found_and_replaced_alone(content_type: str) -> None:
    received = request(SIP_I, content_type)
    assert part_of(received, SDP) == b"v=0\r\ns=-\r\n"
    changed = with_part(received, SDP, b"v=0\r\ns=ours\r\n")
    assert part_of(changed, SDP) == b"v=0\r\ns=ours\r\n"
    assert part_of(changed, "application/isup") == ISUP
    assert changed.headers.get("Content-Type") == content_type
    assert changed.headers.get("Content-Length") == str(len(changed.body))


def test_a_whole_body_is_a_part() -> None:
    received = request(b"v=0\r\n", "application/SDP; charset=utf-8")
    assert part_of(received, SDP) == b"v=0\r\n"
    assert with_part(received, SDP, b"other").body == b"other"


def test_a_preamble_is_passed_over() -> None:
    body = mixed(("c: x\r\nContent-Type: application/sdp", b"v=0"), preamble=b"for people\r\n")
    assert part_of(request(body, "multipart/mixed;boundary=x"), SDP) == b"v=0"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "application/sdp"),
        (b"v=0", None),
        (b"v=0", "text/plain"),
        (SIP_I, "multipart/mixed"),
        (SIP_I, "multipart/mixed;boundary=y"),
        (SIP_I.removesuffix(b"--x--\r\n"), "multipart/mixed;boundary=x"),
        (b"--x\r\nContent-Type: application/sdp\r\n--x--", "multipart/mixed;boundary=x"),
        (mixed(("Content-Type: text/plain", b"")), "multipart/mixed;boundary=x"),
        (mixed(("Content-Type: application/sdp\r\nContent-Transfer-Encoding: base64", b"dj0w")),
         "multipart/mixed;boundary=x"),
        (mixed(*[("Content-Type: a/b", b"")] * 17, ("Content-Type: application/sdp", b"v=0")),
         "multipart/mixed;boundary=x"),
    ],
)  # fmt: skip
def test_without_a_well_formed_part_there_is_none(body: bytes, content_type: str | None) -> None:
    assert part_of(request(body, content_type), SDP) is None


@given(
    st.binary(max_size=300),
    st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=60),
)
def test_no_body_makes_it_raise(body: bytes, content_type: str) -> None:
    for value in (content_type, f"multipart/mixed;boundary={content_type}"):
        received = request(b"--x\r\n" + body, value)
        part_of(received, SDP)
        with_part(received, SDP, b"v=0")


def test_a_thousand_parts_take_no_time() -> None:
    body = mixed(*[("Content-Type: a/b", b"")] * 1_000)
    assert part_of(request(body, "multipart/mixed;boundary=x"), SDP) is None
