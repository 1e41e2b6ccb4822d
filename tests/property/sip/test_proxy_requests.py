"""Whatever a peer writes into the fields a proxy works with: refused, or routed, never raised."""

from hypothesis import given, settings
from hypothesis import strategies as st

from sip.headers import MalformedHeader
from sip.proxy_request import check_request, prepare_forward, take_route
from sip.uri import SipUri
from sip.validate import assess
from tests.support.sip_messages import request

KEY = b"loop-detection-key-of-the-tests!"

pieces = st.sampled_from(
    ["<", ">", ",", ";", "sip:", "sips:", "tel:+12125550123", "proxy.example", "next.example", "@",
     "b", ":5060", ";lr", ";maddr=proxy.example", '"', "\\", " ", "\t", "?x=y", "[2001:db8::1]",
     "<sip:proxy.example;lr>", "<sip:next.example;lr>", "<sip:strict.example>", "%41", "=", "é"]
)  # fmt: skip
texts = st.lists(pieces, max_size=8).map("".join)
uris = st.one_of(
    texts,
    st.sampled_from(
        ["sip:proxy.example;lr", "sip:b@x.example;maddr=proxy.example", "sip:b@x.example;maddr=["]
    ),
)
fields = st.lists(
    st.tuples(
        st.sampled_from(
            ["Route", "Route", "Proxy-Require", "Max-Breadth", "Max-Forwards", "Record-Route"]
        ),
        st.one_of(texts, st.integers(-1, 300).map(str)),
    ),
    max_size=4,
)


def is_ours(uri: SipUri) -> bool:
    return uri.host == "proxy.example"


@given(uris, fields)
@settings(deadline=None)
def test_a_request_is_refused_or_can_be_forwarded(uri: str, extra: list[tuple[str, str]]) -> None:
    message = request(uri=uri, max_forwards=None, extra=tuple(extra))
    refusal = check_request(message, is_ours=is_ours, loop_key=KEY)
    if refusal is not None:
        assert refusal.status in (400, 420, 440, 483)
        return
    if assess(message, "udp").outcome != "forward":
        return  # what validation refuses, a Request-URI that is none above all, never gets here
    routed, ours = take_route(message, is_ours=is_ours)
    assert all(isinstance(route.uri, SipUri) and is_ours(route.uri) for route in ours)
    assert not any(
        isinstance(route.uri, SipUri) and is_ours(route.uri) for route in routed.routes[:1]
    )
    prepared = prepare_forward(routed, None, loop_key=KEY)
    assert prepared.request.max_forwards is not None
    total = len(message.routes)
    assert len(routed.routes) + len(ours) == total
    assert len(prepared.request.routes) == len(routed.routes)


@given(uris, fields)
@settings(deadline=None)
def test_without_the_check_only_the_declared_error_comes(
    uri: str, extra: list[tuple[str, str]]
) -> None:
    message = request(uri=uri, max_forwards=None, extra=tuple(extra))
    try:
        routed, _ = take_route(message, is_ours=is_ours)
        prepare_forward(routed, None, loop_key=KEY)
    except MalformedHeader:
        return
