import pytest

from sip.fields import NameAddr
from sip.message import Request
from sip.proxy_request import (
    Refusal,
    check_request,
    next_hop_uri,
    prepare_forward,
    take_route,
)
from sip.uri import SipUri
from tests.support.sip_messages import URI, request, with_via

KEY = b"loop-detection-key-of-the-tests!"
OURS = "<sip:proxy.example;lr;leg=7>"


def is_ours(uri: SipUri) -> bool:
    return uri.host == "proxy.example" and uri.port in (None, 5060)


def checked(message: Request) -> Refusal | None:
    return check_request(message, is_ours=is_ours, loop_key=KEY)


def status(message: Request) -> int | None:
    refusal = checked(message)
    return None if refusal is None else refusal.status


def with_route(*values: str, uri: str = URI, method: str = "BYE") -> Request:
    return request(method, uri=uri, to_tag="b1", extra=tuple(("Route", value) for value in values))


def taken(message: Request) -> tuple[str, tuple[str, ...], list[str]]:
    routed, ours = take_route(message, is_ours=is_ours)
    return routed.request_uri, routed.headers.all("Route"), [str(value) for value in ours]


def test_an_ordinary_request_may_be_forwarded() -> None:
    assert checked(request()) is None
    assert checked(request(max_forwards=None)) is None


def test_max_forwards_used_up_is_483() -> None:
    assert checked(request(max_forwards=0)) == Refusal(483, "Too Many Hops")


def test_max_breadth_used_up_is_440() -> None:
    assert status(request(extra=(("Max-Breadth", "0"),))) == 440
    assert status(request(extra=(("Max-Breadth", "1"),))) is None


@pytest.mark.parametrize(
    "field",
    [
        ("Max-Forwards", "256"),
        ("Max-Forwards", "many"),
        ("Max-Breadth", "-1"),
        ("Max-Breadth", "99999999999999999999999"),
        ("Route", "sip:no-brackets?x=y"),
        ("Route", "<sip:unclosed"),
        ("Proxy-Require", "a,,b"),
    ],
)
def test_a_field_that_cannot_be_decoded_is_400(field: tuple[str, str]) -> None:
    assert status(request(max_forwards=None, extra=(field,))) == 400


def test_an_option_we_do_not_know_is_420_and_named() -> None:
    message = request(extra=(("Proxy-Require", "foo, Bar"), ("Proxy-Require", "baz")))
    refusal = check_request(message, is_ours=is_ours, loop_key=KEY, supported=frozenset({"bar"}))
    assert refusal == Refusal(420, "Bad Extension", (("Unsupported", "foo, baz"),))


def test_a_loop_is_482_and_a_spiral_is_not() -> None:
    _, suffix, _ = prepare_forward(request(), "sip:b@gamma.example", loop_key=KEY)
    back = with_via(request(), "z9hG4bKx" + suffix)
    assert status(back) == 482
    assert status(back.with_uri("sip:b@gamma.example")) is None


def test_a_loop_is_found_on_the_second_pass_though_our_route_was_taken_off_the_first() -> None:
    first = with_route(OURS)
    routed, _ = take_route(first, is_ours=is_ours)
    _, suffix, _ = prepare_forward(routed, None, loop_key=KEY)
    back = with_via(routed, "z9hG4bKx" + suffix)
    assert status(back) == 482


def test_our_own_route_is_taken_off_and_handed_over_with_its_parameters() -> None:
    assert taken(with_route(OURS, "<sip:next.example;lr>")) == (
        URI,
        ("<sip:next.example;lr>",),
        [OURS],
    )


def test_both_values_of_a_double_record_route_are_taken_off() -> None:
    inner = "<sip:proxy.example;transport=tcp;lr>"
    uri, routes, ours = taken(with_route(f"{OURS}, {inner}"))
    assert (uri, routes, ours) == (URI, (), [OURS, inner])


def test_our_route_behind_one_of_somebody_else_stays() -> None:
    values = ("<sip:next.example;lr>", OURS)
    assert taken(with_route(*values)) == (URI, values, [])


def test_what_stays_of_a_route_stays_as_written() -> None:
    message = with_route(f'{OURS} , "The Next"  <sip:next.example;lr>;x="a,b"')
    assert taken(message)[1] == ('"The Next"  <sip:next.example;lr>;x="a,b"',)


def test_what_a_strict_router_moved_is_put_back() -> None:
    message = with_route(
        "<sip:next.example;lr>", "<sip:b@192.0.2.4>", uri="sip:proxy.example;lr;leg=7"
    )
    assert taken(message) == (
        "sip:b@192.0.2.4",
        ("<sip:next.example;lr>",),
        ["<sip:proxy.example;lr;leg=7>"],
    )


def test_a_request_for_our_own_domain_with_a_route_is_not_taken_for_a_strict_routers() -> None:
    message = with_route("<sip:next.example;lr>", uri="sip:bob@proxy.example")
    assert taken(message) == ("sip:bob@proxy.example", ("<sip:next.example;lr>",), [])


def test_maddr_that_leads_here_is_stripped_with_port_and_transport() -> None:
    message = request(uri="sip:b@other.example:5060;maddr=proxy.example;transport=tcp;user=phone")
    assert taken(message)[0] == "sip:b@other.example;user=phone"


def test_maddr_that_leads_elsewhere_stays() -> None:
    uri = "sip:b@other.example;maddr=192.0.2.7"
    assert taken(request(uri=uri))[0] == uri


def test_a_route_of_another_scheme_is_not_ours() -> None:
    assert taken(with_route("<tel:+12125550123>"))[2] == []


def test_a_forwarded_request_has_one_hop_less() -> None:
    assert prepare_forward(request(), None, loop_key=KEY).request.max_forwards == 69


def test_a_request_without_max_forwards_gets_70() -> None:
    prepared = prepare_forward(request(max_forwards=None), None, loop_key=KEY)
    assert prepared.request.max_forwards == 70


def test_a_request_without_max_breadth_gets_60_and_a_branch_its_share() -> None:
    assert prepare_forward(request(), None, loop_key=KEY).request.headers.get("Max-Breadth") == "60"
    prepared = prepare_forward(request(), None, loop_key=KEY, max_breadth=6)
    assert prepared.request.headers.get("Max-Breadth") == "6"
    given = request(extra=(("Max-Breadth", "7"),))
    assert prepare_forward(given, None, loop_key=KEY).request.headers.get("Max-Breadth") == "7"


def test_record_route_values_stand_on_top_in_the_order_given() -> None:
    message = request(extra=(("Record-Route", "<sip:before.example;lr>"),))
    prepared = prepare_forward(
        message, None, record_routes=("<sip:out.example;lr>", "<sip:in.example;lr>"), loop_key=KEY
    )
    assert prepared.request.headers.all("Record-Route") == (
        "<sip:out.example;lr>",
        "<sip:in.example;lr>",
        "<sip:before.example;lr>",
    )


def test_a_target_replaces_the_request_uri_and_is_the_next_hop() -> None:
    prepared = prepare_forward(request(), "sip:b@192.0.2.4:5062;transport=tcp", loop_key=KEY)
    assert prepared.request.request_uri == "sip:b@192.0.2.4:5062;transport=tcp"
    assert str(prepared.next_hop) == "sip:b@192.0.2.4:5062;transport=tcp"


def test_what_a_request_uri_must_not_have_is_taken_off_a_target() -> None:
    prepared = prepare_forward(
        request(), "sip:b@192.0.2.4;method=INVITE;x=1?Subject=hi", loop_key=KEY
    )
    assert prepared.request.request_uri == "sip:b@192.0.2.4;x=1"


def test_a_loose_route_is_the_next_hop_and_the_request_uri_stays() -> None:
    prepared = prepare_forward(with_route("<sip:next.example:5062;lr>"), None, loop_key=KEY)
    assert prepared.request.request_uri == URI
    assert str(prepared.next_hop) == "sip:next.example:5062;lr"


def test_a_strict_router_finds_itself_in_the_request_uri() -> None:
    message = with_route("<sip:strict.example>", "<sip:loose.example;lr>")
    prepared = prepare_forward(message, None, loop_key=KEY)
    assert prepared.request.request_uri == "sip:strict.example"
    assert [str(route.uri) for route in prepared.request.routes] == ["sip:loose.example;lr", URI]
    assert str(prepared.next_hop) == "sip:strict.example"


def test_a_tel_request_without_a_route_has_no_next_hop() -> None:
    assert prepare_forward(request(uri="tel:+12125550123"), None, loop_key=KEY).next_hop is None


def test_a_tel_request_with_a_route_goes_there() -> None:
    message = with_route("<sip:next.example;lr>", uri="tel:+12125550123")
    assert str(prepare_forward(message, None, loop_key=KEY).next_hop) == "sip:next.example;lr"


def test_everything_else_is_forwarded_as_it_came() -> None:
    message = request(extra=(("X-Odd", "a , b"), ("Contact", "<sip:a@192.0.2.1>")), body=b"v=0\r\n")
    sent = prepare_forward(message, None, loop_key=KEY).request
    assert sent.body == message.body
    names = ("Via", "From", "To", "Call-ID", "CSeq", "X-Odd", "Contact")
    for name in names:
        assert sent.headers.all(name) == message.headers.all(name)


def test_an_ack_gets_no_max_breadth() -> None:
    sent = prepare_forward(request("ACK", to_tag="b1"), None, loop_key=KEY).request
    assert "Max-Breadth" not in sent.headers


def test_the_next_hop_of_a_request_is_its_first_route_else_its_request_uri() -> None:
    assert str(next_hop_uri(with_route("<sip:next.example;lr>"))) == "sip:next.example;lr"
    assert str(next_hop_uri(request())) == URI
    assert next_hop_uri(request(uri="tel:+12125550123")) is None
    assert next_hop_uri(with_route("<tel:+12125550123>")) is None


def test_own_route_values_are_returned_decoded() -> None:
    _, ours = take_route(with_route(OURS), is_ours=is_ours)
    assert isinstance(ours[0], NameAddr)
    assert isinstance(ours[0].uri, SipUri)
    assert ours[0].uri.params["leg"] == "7"


def test_a_request_uri_that_is_no_uri_is_left_to_validation() -> None:
    for uri in ("maddr", "sip:;lr", "tel:+12125550123;maddr=proxy.example"):
        assert taken(with_route("<sip:next.example;lr>", uri=uri))[0] == uri


def test_a_tel_target_replaces_the_request_uri_and_has_no_next_hop() -> None:
    prepared = prepare_forward(request(), "tel:+12125550123", loop_key=KEY)
    assert prepared.request.request_uri == "tel:+12125550123"
    assert prepared.next_hop is None


def test_a_route_of_another_scheme_leads_nowhere() -> None:
    prepared = prepare_forward(with_route("<tel:+12125550123>"), None, loop_key=KEY)
    assert prepared.next_hop is None
