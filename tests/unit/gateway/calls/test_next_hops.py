"""A stranger's URI leads to public addresses only."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network

import pytest

from gateway.calls.next_hops import NextHops
from gateway.config.root import Provider
from gateway.config.sip import Listen
from gateway.http.guard import GuardPolicy
from gateway.listeners import Listeners
from sip.dns import Naptr, Srv
from sip.locate import NotLocated
from sip.uri import SipUri, parse_uri

PUBLIC = "8.8.4.4"
INTERNAL = ("10.1.2.3", "127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::7f00:1")


class OneName:
    """A DNS in which every name has the same addresses and nothing else."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses

    async def naptr(self, name: str) -> tuple[Naptr, ...]:
        return ()

    async def srv(self, name: str) -> tuple[Srv, ...]:
        return ()

    async def addresses(self, name: str) -> tuple[str, ...]:
        return self._addresses


def listeners() -> Listeners:
    provider = Provider.model_validate(
        {"domain": "edge.example", "numbers": ("+12125550100",), "state_directory": "state"}
    )
    return Listeners(
        provider,
        [
            Listen(name=role, role=role, transport="tcp", address="192.0.2.1", port=5060)
            for role in ("access", "peers")
        ],
    )


def find(
    text: str, *addresses: str, listener: str = "peers", allow: tuple[str, ...] = ()
) -> list[str]:
    uri = parse_uri(text)
    assert isinstance(uri, SipUri)
    policy = GuardPolicy(allow_networks=tuple(ip_network(each) for each in allow))
    next_hops = NextHops(OneName(*addresses), listeners(), policy)
    hops = asyncio.run(next_hops.find(uri, listener, frozenset({"tcp"})))
    assert {hop.listener for hop in hops} == {listener}
    return [hop.address.host for hop in hops]


@pytest.mark.parametrize("address", INTERNAL)
def test_a_name_of_a_peer_that_leads_inside_is_not_located(address: str) -> None:
    with pytest.raises(NotLocated, match="no public address"):
        find("sip:+12125550123@peer.example", address)


@pytest.mark.parametrize("address", ["10.1.2.3", "127.0.0.1"])
def test_neither_is_an_address_of_the_inside_nor_one_behind_maddr(address: str) -> None:
    for text in (f"sip:{address}", f"sip:peer.example;maddr={address}"):
        with pytest.raises(NotLocated, match="no public address"):
            find(text, PUBLIC)


def test_public_targets_stay_where_others_lead_inside() -> None:
    assert find("sip:peer.example", "10.1.2.3", PUBLIC) == [PUBLIC]


def test_what_the_configuration_allows_is_permitted() -> None:
    assert find("sip:peer.example", "10.1.2.3", allow=("10.1.2.0/24",)) == ["10.1.2.3"]


def test_own_devices_and_routes_live_inside() -> None:
    assert find("sip:pbx.example", "10.1.2.3", listener="access") == ["10.1.2.3"]
