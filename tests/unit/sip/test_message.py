"""Messages keep raw headers and decode them on demand."""

import pytest

from sip.headers import Headers, MalformedHeader
from sip.message import Request, response_to


def invite(*extra: tuple[str, str], body: bytes = b"") -> Request:
    return Request(
        "INVITE",
        "sip:+12125550123@beta.example;user=phone",
        Headers.of(
            ("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa, SIP/2.0/TCP [2001:db8::1]:5070"),
            ("Max-Forwards", "0068"),
            ("From", '"Al \\"A\\"" <sip:al@alpha.example>;tag=1'),
            ("To", "<sip:bo@beta.example>"),
            ("Call-ID", "a@alpha.example"),
            ("CSeq", "0009   INVITE"),
            *extra,
        ),
        body,
    )


def test_headers_are_decoded_on_demand() -> None:
    request = invite(("Route", "<sip:p1;lr>, <sip:p2;lr>"), ("Contact", "*"), ("Expires", "9" * 20))
    assert request.top_via.branch == "z9hG4bKa"
    assert [str(via.sent_by) for via in request.vias] == ["192.0.2.1", "[2001:db8::1]:5070"]
    assert request.from_.display_name == 'Al "A"'
    assert (request.from_.tag, request.to.tag) == ("1", None)
    assert (request.cseq.number, request.cseq.method) == (9, "INVITE")
    assert request.max_forwards == 68
    assert [str(route.uri) for route in request.routes] == ["sip:p1;lr", "sip:p2;lr"]
    assert request.contact_is_star
    assert request.contacts == ()
    assert request.expires == 2**32 - 1


def test_a_decoded_header_is_kept_with_the_message() -> None:
    request = invite()
    assert request.top_via is request.top_via


def test_an_absent_required_header_is_malformed() -> None:
    with pytest.raises(MalformedHeader, match="From: absent"):
        _ = Request("INVITE", "sip:b@x", Headers.of()).from_


def test_serialising_computes_content_length_where_it_stood() -> None:
    request = invite(("Content-Length", "999"), ("X-After", "1"), body=b"v=0\r\n")
    assert b"\r\nContent-Length: 5\r\nX-After: 1\r\n\r\nv=0\r\n" in request.to_bytes()
    assert invite(body=b"x").to_bytes().endswith(b"\r\nContent-Length: 1\r\n\r\nx")


def test_a_body_without_type_loses_its_content_type() -> None:
    with_sdp = invite().with_body(b"v=0\r\n", "application/sdp")
    assert with_sdp.headers.get("c") == "application/sdp"
    assert "Content-Type" not in with_sdp.with_body(b"", None).headers


def test_a_response_copies_what_rfc_3261_8_2_6_names() -> None:
    request = invite(("Timestamp", "54"), ("Contact", "<sip:al@192.0.2.1>"))
    response = response_to(request, 404, to_tag="t", headers=[("Reason", "Q.850;cause=1")])
    assert response.reason_phrase == "Not Found"
    assert response.headers.all("Via") == request.headers.all("Via")
    assert response.to.tag == "t"
    assert [name for name, _ in response.headers] == [
        "Via", "From", "To", "Call-ID", "CSeq", "Reason",
    ]  # fmt: skip
    trying = response_to(request, 100, to_tag="t")
    assert trying.to.tag is None
    assert trying.headers.get("Timestamp") == "54"


def test_a_malformed_to_is_copied_into_the_response_as_it_came() -> None:
    request = invite()
    broken = request.with_headers(request.headers.replace("To", '"Mr <sip:b@x>'))
    assert response_to(broken, 400, to_tag="t").headers.get("To") == '"Mr <sip:b@x>'
