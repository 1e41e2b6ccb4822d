"""Limits of a source: an IPv4 address, or all addresses that one host on IPv6 may have."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.http.known_clients import KnownClients
from gateway.http.problem import Problem
from gateway.http.source_address import source_of


@pytest.mark.parametrize(
    ("remote", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:0:1::7", "2001:db8:0:1::/64"),
        ("2001:db8:0:1:ffff::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        (None, ""),
        ("a host", ""),
    ],
)
def test_what_counts_as_one_source(remote: str | None, source: str) -> None:
    assert source_of(remote) == source


def test_another_address_of_the_same_host_gives_no_new_guesses() -> None:
    clients = KnownClients(())
    statuses = []
    for number in range(40):
        request = make_mocked_request("POST", "/").clone(remote=f"2001:db8:0:1::{number:x}")
        with pytest.raises(Problem) as refused:
            clients.identify(request, 1_795_000_000.0)
        statuses.append(refused.value.status)
    assert statuses == [401] * 20 + [429] * 20
