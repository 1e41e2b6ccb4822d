"""The own listeners: their roles, their addresses, and which URIs are ours."""

from __future__ import annotations

import pytest

from gateway.listeners import Listeners
from sip.flow import Flow
from sip.uri import parse_sip_uri
from tests.support.call_scene import FROM_ALICE, FROM_BETA, make_config

BASE = make_config()
IPV6 = BASE.listen[0].model_copy(update={"name": "six", "address": "2001:db8::1", "port": 5070})
PROVIDER = BASE.provider.model_copy(update={"further_domains": ("alpha.test",)})
LISTENERS = Listeners(PROVIDER, (*BASE.listen, IPV6))


@pytest.mark.parametrize(("flow", "role"), [(FROM_ALICE, "access"), (FROM_BETA, "peers")])
def test_a_flow_has_the_role_of_its_listener(flow: Flow, role: str) -> None:
    assert LISTENERS.role(flow) == LISTENERS.role_of(flow.listener) == role


@pytest.mark.parametrize(
    "uri",
    [
        "sip:alpha.example",
        "sip:ALPHA.example.",
        "sip:alice@alpha.test",
        "sip:192.0.2.10",
        "sip:192.0.2.10:5060;transport=udp",
        "sip:gw1.alpha.example:5061;transport=tls",
        "sip:gw1.alpha.example;transport=TLS",
        "sips:gw1.alpha.example",
        "sip:192.0.2.11:5061",
        "sip:[2001:db8::1]:5070",
        "sip:[2001:DB8:0:0::1]:5070",
    ],
)
def test_a_uri_of_a_listener_or_domain_is_ours(uri: str) -> None:
    assert LISTENERS.is_ours(parse_sip_uri(uri))


@pytest.mark.parametrize(
    "uri",
    [
        "sip:alpha.example:9999",
        "sip:192.0.2.10:5061",
        "sip:gw1.alpha.example",
        "sip:beta.example",
        "sip:alpha.example.beta.example",
    ],
)
def test_any_other_uri_is_not(uri: str) -> None:
    assert not LISTENERS.is_ours(parse_sip_uri(uri))


def test_the_first_listener_of_a_role_and_transport_sends() -> None:
    assert LISTENERS.for_sending("access", "udp") == "access"
    assert LISTENERS.for_sending("peers", "tls") == "peers"
    assert LISTENERS.for_sending("peers", "udp") is None


def test_transports_and_addresses_are_those_of_the_role() -> None:
    assert LISTENERS.transports("access") == {"udp", "tcp"}
    assert str(LISTENERS.sent_by("peers")) == "gw1.alpha.example:5061"
    assert str(LISTENERS.sent_by("access")) == "192.0.2.10:5060"


@pytest.mark.parametrize("name", ["access", "peers", "six"])
def test_a_record_route_value_leads_back_to_us_with_its_token(name: str) -> None:
    value = LISTENERS.record_route(name, "TOKEN_-")
    uri = parse_sip_uri(value.strip("<>"))
    assert LISTENERS.is_ours(uri)
    assert uri.params.get("rt") == "TOKEN_-"
    assert "lr" in uri.params


def test_a_flow_is_followed_back_over_itself() -> None:
    hop = LISTENERS.hop(FROM_BETA)
    assert (hop.flow, hop.address, hop.listener) == (FROM_BETA, FROM_BETA.remote, "peers")
