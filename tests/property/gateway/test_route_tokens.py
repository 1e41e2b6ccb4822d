"""Every token opens as it was sealed, and one changed character opens nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.calls.route_token import RouteSeal, RouteToken
from sip.flow import Address, Flow, Transport

SEAL = RouteSeal(bytes(16))
TRANSPORTS: list[Transport] = ["udp", "tcp", "tls"]
ADDRESSES = st.builds(
    Address, st.ip_addresses().map(str), st.integers(min_value=1, max_value=65_535)
)
NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64)


@st.composite
def tokens(draw: st.DrawFn) -> RouteToken:
    listener = draw(NAMES)
    flow = None
    if draw(st.booleans()):
        flow = Flow(
            draw(st.sampled_from(TRANSPORTS)),
            draw(ADDRESSES),
            draw(ADDRESSES),
            listener,
            draw(st.integers(min_value=0, max_value=2**63)),
        )
    side = draw(st.sampled_from(["caller", "callee"]))
    return RouteToken(side, listener, draw(NAMES), "0" * 16, draw(st.integers(0, 2**40)), flow)  # type: ignore[arg-type]


@given(tokens())
def test_a_token_of_any_listener_and_flow_opens_as_it_was_sealed(token: RouteToken) -> None:
    assert SEAL.open(SEAL.seal(token)) == token


@given(tokens(), st.data())
def test_a_changed_token_opens_nothing(token: RouteToken, data: st.DataObject) -> None:
    sealed = SEAL.seal(token)
    at = data.draw(st.integers(0, len(sealed) - 2))
    other = data.draw(st.sampled_from("AZaz09-_").filter(lambda c: c != sealed[at]))
    assert SEAL.open(sealed[:at] + other + sealed[at + 1 :]) is None
