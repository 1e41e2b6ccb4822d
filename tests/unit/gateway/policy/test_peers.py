"""Which terms a call from another provider comes under."""

from __future__ import annotations

import pytest

from gateway.config.sip import Peer
from gateway.policy.peers import PeerPolicy
from sip.flow import Address, Flow

BY_NAME = Peer(domain="beta.example", identity="mark", max_calls=7)
BY_PLACE = Peer(sources=("203.0.113.0/24", "2001:db8::/32"), identity="observe")
BY_BOTH = Peer(domain="gamma.example", sources=("192.0.2.0/24",))


def flow(host: str, *names: str) -> Flow:
    return Flow("tls", Address("192.0.2.9", 5061), Address(host, 5061), "peers", 1, names)


@pytest.mark.parametrize(
    ("came", "name", "identity"),
    [
        (flow("198.51.100.1", "beta.example"), "beta.example", "mark"),
        (flow("198.51.100.1", "a.example", "beta.example"), "beta.example", "mark"),
        (flow("203.0.113.9"), "203.0.113.0/24,2001:db8::/32", "observe"),
        (flow("2001:db8::1"), "203.0.113.0/24,2001:db8::/32", "observe"),
        (flow("192.0.2.1", "gamma.example"), "gamma.example", "require"),
        (flow("198.51.100.1", "gamma.example"), "198.51.100.1", "require"),
        (flow("192.0.2.1"), "192.0.2.1", "require"),
        (flow("198.51.100.1", "evil.beta.example"), "198.51.100.1", "require"),
    ],
)
def test_a_peer_is_known_by_what_it_proves(came: Flow, name: str, identity: str) -> None:
    terms = PeerPolicy([BY_NAME, BY_PLACE, BY_BOTH], "require", 100).terms(came)
    assert (terms.name, terms.identity) == (name, identity)


def test_the_first_peer_that_matches_counts() -> None:
    policy = PeerPolicy([BY_PLACE, BY_NAME], "require", 100)
    assert policy.terms(flow("203.0.113.9", "beta.example")).identity == "observe"


def test_limits_are_the_peers_or_the_default() -> None:
    policy = PeerPolicy([BY_NAME], "require", max_calls=3)
    assert policy.terms(flow("198.51.100.1", "beta.example")).max_calls == 7
    assert policy.terms(flow("198.51.100.1")).max_calls == 3
