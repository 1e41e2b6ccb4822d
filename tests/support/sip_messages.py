"""Well-formed SIP messages for tests, each with the one thing a test is about given by name."""

from __future__ import annotations

from sip.flow import Address, Flow, Transport
from sip.headers import Headers
from sip.message import Request, Response, response_to

BRANCH = "z9hG4bKtest1"
URI = "sip:+12125550123@beta.example;user=phone"


def flow(transport: Transport = "udp", remote: str = "192.0.2.1", port: int = 5060) -> Flow:
    return Flow(transport, Address("192.0.2.9", 5060), Address(remote, port), "edge")


def request(
    method: str = "INVITE",
    *,
    uri: str = URI,
    branch: str | None = BRANCH,
    sent_by: str = "alpha.example",
    cseq: int = 1,
    from_tag: str = "a1",
    to_tag: str | None = None,
    call_id: str = "call-1@alpha.example",
    max_forwards: int | None = 70,
    extra: tuple[tuple[str, str], ...] = (),
    body: bytes = b"",
) -> Request:
    via = f"SIP/2.0/UDP {sent_by}" + ("" if branch is None else f";branch={branch}")
    to = "<sip:+12125550123@beta.example>" + ("" if to_tag is None else f";tag={to_tag}")
    fields = [
        ("Via", via),
        ("From", f"<sip:+14155550100@alpha.example>;tag={from_tag}"),
        ("To", to),
        ("Call-ID", call_id),
        ("CSeq", f"{cseq} {method}"),
    ]
    if max_forwards is not None:
        fields.append(("Max-Forwards", str(max_forwards)))
    return Request(method, uri, Headers.of(*fields, *extra), body)


def response(
    to: Request, status: int, *, tag: str = "b1", extra: tuple[tuple[str, str], ...] = ()
) -> Response:
    return response_to(to, status, to_tag=tag, headers=extra)


def with_via(message: Request, branch: str, sent_by: str = "proxy.example") -> Request:
    """Return the request as a proxy sends it on: with its own Via on top."""
    via = f"SIP/2.0/UDP {sent_by};branch={branch}"
    return message.with_headers(message.headers.prepend("Via", via))
