"""Via on the way in and out."""

import pytest

from sip.flow import Address, Flow
from sip.headers import Headers, MalformedHeader
from sip.message import Request
from sip.transport.via import push_via, reply_address, stamp_via

FLOW = Flow("udp", Address("192.0.2.1", 5060), Address("198.51.100.7", 4321), "access")
V6 = Flow("udp", Address("2001:db8::1", 5060), Address("2001:db8::7", 4321), "access")


def a_request(*vias: str) -> Request:
    return Request("OPTIONS", "sip:x.example", Headers.of(*[("Via", via) for via in vias]))


@pytest.mark.rfc("3261", "18.2.1")
@pytest.mark.rfc("3581", "4")
@pytest.mark.parametrize(
    ("via", "stamped"),
    [
        ("198.51.100.7;branch=z9hG4bKa", "198.51.100.7;branch=z9hG4bKa"),
        ("10.0.0.1;branch=z9hG4bKa", "10.0.0.1;branch=z9hG4bKa;received=198.51.100.7"),
        ("phone.example;branch=x", "phone.example;branch=x;received=198.51.100.7"),
        (
            "198.51.100.7;rport;branch=x",
            "198.51.100.7;rport=4321;branch=x;received=198.51.100.7",
        ),
        ("10.0.0.1;rport=9;branch=x", "10.0.0.1;rport=4321;branch=x;received=198.51.100.7"),
        ("198.51.100.7;received=6.6.6.6", "198.51.100.7;received=198.51.100.7"),
    ],
)
def test_the_top_via_tells_where_a_request_really_came_from(via: str, stamped: str) -> None:
    request = stamp_via(a_request(f"SIP/2.0/UDP {via}"), FLOW)
    assert request.headers.get("Via") == f"SIP/2.0/UDP {stamped}"


def test_an_ipv6_source_is_stamped_without_brackets() -> None:
    request = stamp_via(a_request("SIP/2.0/UDP [2001:db8::8]:5060;branch=x"), V6)
    assert request.headers.get("Via") == (
        "SIP/2.0/UDP [2001:db8::8]:5060;branch=x;received=2001:db8::7"
    )


def test_the_vias_below_stay_as_they_are() -> None:
    below = 'SIP/2.0/TCP b.example;branch=2;x="a, b", SIP/2.0/TCP c.example;branch=3'
    request = stamp_via(
        a_request(f"SIP/2.0/UDP a.example;branch=1 , {below}", "SIP/2.0/TLS d"), FLOW
    )
    assert request.headers.all("Via") == (
        f"SIP/2.0/UDP a.example;branch=1;received=198.51.100.7, {below}",
        "SIP/2.0/TLS d",
    )


def test_without_a_via_there_is_nothing_to_stamp() -> None:
    with pytest.raises(MalformedHeader):
        stamp_via(a_request(), FLOW)


@pytest.mark.rfc("3261", "8.1.1.7")
def test_our_via_has_a_branch_of_its_own_each_time() -> None:
    first, second = (
        push_via(a_request("SIP/2.0/UDP a"), "tls", Address("sip.x.example", 5061), "-abc")
        for _ in range(2)
    )
    via = first.top_via
    assert (via.transport, str(via.sent_by)) == ("TLS", "sip.x.example:5061")
    assert (via.branch or "").startswith("z9hG4bK")
    assert (via.branch or "").endswith("-abc")
    assert "rport" in via.params
    assert via.branch != second.top_via.branch
    assert first.headers.all("Via")[1] == "SIP/2.0/UDP a"


@pytest.mark.rfc("3261", "18.2.2")
@pytest.mark.parametrize(
    ("via", "transport", "port"),
    [
        ("SIP/2.0/TCP h:5070", "tcp", 5070),
        ("SIP/2.0/TCP h", "tcp", 5060),
        ("SIP/2.0/TLS h", "tls", 5061),
    ],
)
def test_a_new_connection_for_a_response_goes_to_the_port_of_sent_by(
    via: str, transport: str, port: int
) -> None:
    flow = Flow(transport, FLOW.local, FLOW.remote, "x", 1)  # type: ignore[arg-type]
    assert reply_address(a_request(via), flow) == (Address("198.51.100.7", port), "h")
