"""Malformed SIP at the real listeners: the answer the RFC asks for, or silence."""

from __future__ import annotations

import pytest

from sip.flow import Transport
from sip.headers import Headers
from sip.message import Request, Response
from sip.stream import Framed
from tests.support.raw_phone import RawPhone, is_request
from tests.support.raw_wire import StreamWire
from tests.support.two_providers import TwoProviders

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="session")]

TRANSPORTS: tuple[Transport, ...] = ("udp", "tcp", "tls")
AGENT_TRUNK = 62
AGENT_CALLER = "+14155550150"
ROUTED = "sip:+14155550130@alpha.example;user=phone"


async def caller(world: TwoProviders, transport: Transport) -> RawPhone:
    """A trunk, so that nothing but its messages can be wrong."""
    return await world.trunk(AGENT_TRUNK, AGENT_CALLER, transport)


def invite(phone: RawPhone, *extra: tuple[str, str], **change: str | None) -> Request:
    """An INVITE to the routed number; keywords replace headers, with _ for -."""
    named = {name.replace("_", "-"): value for name, value in change.items()}
    return phone.request("INVITE", ROUTED, *extra, change=named)


def edited(request: Request, old: str, new: str) -> bytes:
    """The octets of a request with one thing in them changed."""
    data = request.to_bytes()
    assert old.encode() in data
    return data.replace(old.encode(), new.encode(), 1)


def any_response(message: Framed) -> bool:
    return isinstance(message, Response)


async def answered(phone: RawPhone, data: bytes) -> Response:
    """Send octets and return the first response."""
    phone.wire.send(data)
    arrival = await phone.inbox.take(any_response)
    assert isinstance(arrival.message, Response)
    return arrival.message


async def silent(phone: RawPhone, data: bytes) -> None:
    """Send octets that are owed no answer: the next response is that to an OPTIONS sent after."""
    phone.wire.send(data)
    fence = phone.request("OPTIONS", "sip:alpha.example")
    response = await answered(phone, fence.to_bytes())
    assert (response.status_code, response.call_id) == (200, fence.call_id)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (" INVITE\r\n", " OPTIONS\r\n", 400),
        ("Max-Forwards: 70", "Max-Forwards: 256", 400),
        ("Max-Forwards: 70", "Max-Forwards: 0", 483),
        ("SIP/2.0\r\n", "SIP/7.0\r\n", 505),
        ("INVITE sip:", "INVITE mailto:", 416),
        ("INVITE sip:+14155550130@", "INVITE <sip:+14155550130@", 400),
        ("Call-ID:", "i: another@raw.example\r\nCall-ID:", 400),
        ("From:", "f: <sip:+14155550151@alpha.example>;tag=2\r\nFrom:", 400),
        ("To:", "t: <sip:+14155550131@alpha.example>\r\nTo:", 400),
        ("CSeq: ", "CSeq: 99999999999", 400),
        ("Contact:", "X-Internal\u00a0Auth: yes\r\nContact:", 400),
        ("Contact:", "X-Internal%20Auth : yes\r\n no header\r\nno header\r\nContact:", 400),
        ("Contact:", "X-Internal\x00Auth: yes\r\nContact:", 400),
        ("Contact:", "Proxy-Require: mystery, trick\r\nContact:", 420),
        ("Contact:", "Max-Breadth: 0\r\nContact:", 440),
        ("Contact:", "Route: not a route\r\nContact:", 400),
    ],
)
async def test_what_is_wrong_with_a_request_is_said_by_its_status(
    world: TwoProviders, transport: Transport, old: str, new: str, status: int
) -> None:
    phone, agent = await caller(world, transport), await world.agent(70)
    response = await answered(phone, edited(invite(phone), old, new))
    assert response.status_code == status
    if status == 420:
        assert response.headers.get("Unsupported") == "mystery, trick"
    assert agent.inbox.requests("INVITE") == []


async def received(agent: RawPhone) -> bytes:
    arrival = await agent.inbox.take(is_request("INVITE"))
    assert isinstance(arrival.message, Request)
    return arrival.message.to_bytes()


@pytest.mark.parametrize("length", ["-1", "0x10", "4294967296", "5, 5", ""])
@pytest.mark.parametrize("transport", ["tcp", "tls"])
async def test_a_stream_whose_frames_cannot_be_told_apart_is_answered_400_and_closed(
    world: TwoProviders, transport: Transport, length: str
) -> None:
    phone, agent = await caller(world, transport), await world.agent(70)
    hidden = invite(phone).to_bytes()
    data = edited(invite(phone), "Content-Length: 0", f"Content-Length: {length}") + hidden
    assert (await answered(phone, data)).status_code == 400
    assert isinstance(phone.wire, StreamWire)
    await phone.wire.closed_by_peer.wait()
    assert agent.inbox.requests("INVITE") == []


async def test_a_stream_without_content_length_is_answered_400_and_closed(
    world: TwoProviders,
) -> None:
    phone = await caller(world, "tls")
    data = edited(invite(phone), "Content-Length: 0\r\n", "")
    assert (await answered(phone, data)).status_code == 400
    await phone.wire.closed_by_peer.wait()


async def test_a_datagram_longer_than_it_says_hides_no_second_request(world: TwoProviders) -> None:
    phone, agent = await caller(world, "udp"), await world.agent(70)
    shown, hidden = invite(phone), invite(phone)
    phone.wire.send(shown.to_bytes() + hidden.to_bytes())
    came = await received(agent)
    assert hidden.call_id.encode() not in came
    assert came.endswith(b"\r\n\r\n")
    await silent(phone, b"\r\n\r\n")
    assert {r.call_id for r in agent.inbox.requests("INVITE")} == {shown.call_id}
    await give_up(world, agent, phone, shown)


async def test_a_datagram_shorter_than_it_says_is_answered_400(world: TwoProviders) -> None:
    phone = await caller(world, "udp")
    data = edited(invite(phone), "Content-Length: 0", "Content-Length: 10")
    assert (await answered(phone, data)).status_code == 400


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_malformed_responses_and_acks_are_met_with_silence(
    world: TwoProviders, transport: Transport
) -> None:
    phone = await caller(world, transport)
    good = phone.request("ACK", ROUTED)
    await silent(phone, edited(good, "ACK\r\n", "BYE\r\n"))
    await silent(phone, edited(good, "Max-Forwards: 70", "Max-Forwards: 0"))
    await silent(phone, good.to_bytes())
    stray = Response(200, "OK", Headers.of(*(pair for pair in good.headers))).to_bytes()
    await silent(phone, stray)
    await silent(phone, stray.replace(b"CSeq: ", b"CSeq: x"))
    await silent(phone, stray.replace(b"Via: ", b"X-Via: "))


async def test_octets_that_are_no_sip_at_all_are_met_with_silence(world: TwoProviders) -> None:
    phone = await caller(world, "udp")
    for data in (b"\0", b"\xff" * 1400, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"SIP/2.0\r\n\r\n"):
        await silent(phone, data)


async def test_a_message_too_large_for_the_listener_is_answered_513(world: TwoProviders) -> None:
    phone = await caller(world, "tcp")
    data = edited(invite(phone), "Contact:", f"X-Large: {'x' * 70_000}\r\nContact:")
    assert (await answered(phone, data)).status_code in (400, 513)


async def test_a_request_uri_beyond_all_measure_is_answered_414(world: TwoProviders) -> None:
    phone = await caller(world, "tcp")
    data = edited(invite(phone), "INVITE sip:+14155550130", f"INVITE sip:{'1' * 20_000}")
    assert (await answered(phone, data)).status_code == 414


async def test_what_the_gateway_does_not_own_is_passed_on_unchanged(world: TwoProviders) -> None:
    phone, agent = await caller(world, "udp"), await world.agent(70)
    extra = (
        ("X-First", "one, two;three"),
        ("X-Latin", "caf\udce9"),
        ("X-First", '"quoted \\" text" <sip:x@example.com>;p=1'),
        ("Subject", "Grüße \U0001f44b"),
        ("User-Agent", "Raw/1.0 (%0d%0aX-Injected: yes)"),
        ("Supported", "timer, 100rel"),
        ("Date", "not a date a proxy cares for"),
    )
    request = phone.request("INVITE", ROUTED, *extra[:-1], media=b"not SDP at all \x00\xff")
    phone.send(request)
    arrival = await agent.inbox.take(is_request("INVITE"))
    came = arrival.message
    assert isinstance(came, Request)
    for name, value in extra[:-1]:
        assert value in came.headers.all(name)
    assert came.headers.all("X-First") == (extra[0][1], extra[2][1])
    assert "X-Injected" not in came.headers
    for name in ("From", "To", "Call-ID", "CSeq", "Contact"):
        assert came.headers.get(name) == request.headers.get(name)
    assert came.headers.get("Max-Forwards") == "69"
    assert came.body == request.body
    await give_up(world, agent, phone, request)


@pytest.mark.parametrize("before_colon", [" ", "\t", " \t "])
async def test_space_before_a_colon_hides_no_header_from_the_gateway(
    world: TwoProviders, before_colon: str
) -> None:
    phone, agent = await caller(world, "udp"), await world.agent(70)
    request = invite(phone)
    claim = f"P-Asserted-Identity{before_colon}: <sip:+14155550199@alpha.example>"
    phone.wire.send(edited(request, "Contact:", f"{claim}\r\nContact:"))
    came = await received(agent)
    assert b"+14155550199" not in came
    assert came.count(b"P-Asserted-Identity: ") == 1
    await give_up(world, agent, phone, request)


async def test_a_request_that_comes_back_unchanged_is_a_loop_and_gets_482(
    world: TwoProviders,
) -> None:
    phone, agent = await caller(world, "udp"), await world.agent(70)
    request = invite(phone)
    phone.send(request)
    arrival = await agent.inbox.take(is_request("INVITE"))
    came = arrival.message
    assert isinstance(came, Request)
    again = came.with_uri(ROUTED)
    headers = again.headers.without("Record-Route").prepend("Via", agent.via())
    agent.send(again.with_headers(headers))
    assert (await answered(agent, b"\r\n\r\n")).status_code == 482
    await give_up(world, agent, phone, request)


async def give_up(world: TwoProviders, agent: RawPhone, phone: RawPhone, request: Request) -> None:
    """End a call that an agent has, by refusing it."""
    came = next(r for r in agent.inbox.requests("INVITE") if r.call_id == request.call_id)
    refused = Response(486, "Busy Here", Headers.of(*_copied(came)))
    agent.send(refused)
    assert (await phone.final(request)).status_code == 486
    await world.idle(world.alpha)


def _copied(request: Request) -> list[tuple[str, str]]:
    names = ("Via", "From", "To", "Call-ID", "CSeq")
    return [
        (name, f"{value};tag=agent" if name == "To" else value)
        for name in names
        for value in request.headers.all(name)
    ]
