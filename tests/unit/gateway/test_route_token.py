"""Route tokens carry a dialog's way through strangers unread and unforged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.calls import route_token
from gateway.calls.route_token import RouteSeal, RouteToken, dialog_mark
from sip.flow import Address, Flow

FLOW = Flow(
    transport="tls",
    local=Address("192.0.2.10", 5061),
    remote=Address("192.0.2.99", 40000),
    listener="access",
    flow_id=17,
)
MARK = dialog_mark("call-1@host", "tag")


def test_a_token_comes_back_as_it_was_sealed() -> None:
    seal = RouteSeal(bytes(16))
    token = RouteToken("callee", "access", "call-1", MARK, 1_800_000_000, FLOW)
    assert seal.open(seal.seal(token)) == token


def test_a_token_without_a_flow_comes_back_without_one() -> None:
    seal = RouteSeal(bytes(16))
    token = RouteToken("caller", "peers", "call-1", MARK, 1_800_000_000)
    assert seal.open(seal.seal(token)) == token


def test_a_sealed_token_shows_nothing_and_is_never_the_same_twice() -> None:
    seal = RouteSeal(bytes(16))
    token = RouteToken("callee", "access", "call-1", MARK, 1_800_000_000, FLOW)
    first, second = seal.seal(token), seal.seal(token)
    assert first != second
    assert "192.0.2.99" not in first


def test_a_token_of_another_key_is_refused() -> None:
    sealed = RouteSeal(bytes(16)).seal(
        RouteToken("callee", "access", "call-1", MARK, 1_800_000_000, FLOW)
    )
    assert RouteSeal(bytes([1] * 16)).open(sealed) is None


@given(st.text(max_size=600))
def test_no_text_makes_opening_raise(text: str) -> None:
    assert RouteSeal(bytes(16)).open(text) is None


def test_no_token_holds_what_a_careless_parser_takes_for_a_header_field(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(route_token, "_MISTAKEN", "Q")
    seal = RouteSeal(bytes(16))
    token = RouteToken("callee", "access", "call-1", MARK, 1_800_000_000, FLOW)
    for _ in range(20):
        sealed = seal.seal(token)
        assert "Q" not in sealed
        assert seal.open(sealed) == token
