"""Services, ports and metrics as the configuration has them."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from gateway.config import ConfigError
from gateway.keys import Keys
from gateway.metrics import Metrics, SipObserver
from gateway.ports import check_ports, configured_ports
from gateway.services import (
    endpoint_settings,
    listener_settings,
    make_fetch_client,
    make_media_engine,
    make_peer_policy,
    make_resolver,
    make_timers,
)
from gateway.trace import MessageTrace
from gateway.verification_making import make_verification
from tests.support.call_scene import FROM_ALICE, FROM_BETA, make_config
from tests.support.sip_messages import request

NO_KEYS = Keys(None, (), {}, None, None, None)
REPOSITORY = {
    "address": "127.0.0.1",
    "port": 8443,
    "certificate": "a.pem",
    "key": "a.key",
    "directory": "certs",
}


def listen(**changes: Any) -> dict[str, Any]:
    made = {"name": "a", "role": "access", "transport": "udp", "address": "127.0.0.1", "port": 5060}
    return {**made, **changes}


def test_listeners_are_set_up_as_configured() -> None:
    config = make_config(sip={"max_connections": 7, "trust_anchors": "roots.pem"})
    access, _, peers = listener_settings(config)
    assert access.tls is None
    assert (str(access.bind), str(access.sent_by)) == ("192.0.2.10:5060", "192.0.2.10:5060")
    assert (str(peers.bind), str(peers.sent_by)) == ("192.0.2.11:5061", "gw1.alpha.example:5061")
    assert peers.max_connections == 7
    assert peers.tls is not None
    assert (peers.tls.certificate_file, peers.tls.trust_anchor_file) == ("a.pem", "roots.pem")


def test_limits_and_timers_are_the_configurations() -> None:
    config = make_config(
        sip={"t1_seconds": 0.1, "invite_timeout_seconds": 30.0, "max_transactions": 100}
    )
    assert (make_timers(config).t1, make_timers(config).timer_c) == (0.1, 30.0)
    assert endpoint_settings(config).max_transactions == 100


def test_media_shows_the_advertised_address() -> None:
    config = make_config(media={"access_advertise": "198.51.100.1", "port_min": 50_000})
    settings = make_media_engine(config).settings
    assert settings.advertised == {"access": "198.51.100.1", "peers": "127.0.0.1"}
    assert settings.networks["access"] == "127.0.0.1"
    assert settings.port_min == 50_000


@pytest.mark.parametrize(
    ("stir", "identity"),
    [({}, "require"), ({"verification": {"trust_anchors": ["a"], "policy": "mark"}}, "mark")],
)
def test_strangers_come_under_the_verification_policy(stir: dict[str, Any], identity: str) -> None:
    assert make_peer_policy(make_config(stir=stir)).terms(FROM_BETA).identity == identity


def test_without_verification_there_is_no_service() -> None:
    assert make_verification(make_config(stir={}), NO_KEYS) is None
    assert make_verification(make_config(), NO_KEYS) is not None


async def test_resolver_and_fetch_client_are_made_without_asking_anybody() -> None:
    config = make_config(dns={"nameservers": ["192.0.2.53:53"]})
    resolver = make_resolver(config)
    assert make_fetch_client(config, resolver) is not None
    await resolver.close()


# --- ports ---------------------------------------------------------------------------------------


def test_every_port_that_is_bound_is_known_by_its_key() -> None:
    config = make_config(
        admin={"token": "x", "port": 9000},
        stir={"repository": REPOSITORY},
    )
    ports = {port.key: (port.kind, port.port) for port in configured_ports(config)}
    assert ports == {
        "listen[0].port": ("udp", 5060),
        "listen[1].port": ("tcp", 5060),
        "listen[2].port": ("tcp", 5061),
        "stir.repository.port": ("tcp", 8443),
        "admin.port": ("tcp", 9000),
    }


class FakeSocket:
    """A socket that can be bound, but to the busy port."""

    def __init__(self, *kind: object) -> None: ...

    def __enter__(self) -> FakeSocket:
        return self

    def __exit__(self, *_: object) -> None: ...

    def setsockopt(self, *_: object) -> None: ...

    def bind(self, place: tuple[str, int]) -> None:
        if place[1] == 6666:
            raise OSError(98, "Address already in use")


@pytest.fixture
def _no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", FakeSocket)


@pytest.mark.usefixtures("_no_sockets")
def test_free_ports_pass() -> None:
    check_ports(make_config(listen=[listen(), listen(name="b", transport="tcp")]))


@pytest.mark.usefixtures("_no_sockets")
def test_a_busy_port_is_named_with_its_address() -> None:
    config = make_config(listen=[listen(), listen(name="b", port=6666)])
    with pytest.raises(ConfigError, match=r"listen\[1\]\.port: cannot bind udp 127\.0\.0\.1:6666"):
        check_ports(config)


@pytest.mark.usefixtures("_no_sockets")
def test_a_port_that_is_configured_twice_is_named_with_both_keys() -> None:
    config = make_config(listen=[listen(), listen(name="b")])
    with pytest.raises(ConfigError, match=r"listen\[1\]\.port: .* is also listen\[0\]\.port"):
        check_ports(config)


# --- metrics -------------------------------------------------------------------------------------


def test_messages_and_what_is_dropped_are_counted(tmp_path: Path) -> None:
    metrics = Metrics()
    trace = MessageTrace("alpha.example", tmp_path / "trace.jsonl")
    observer = SipObserver(metrics, trace)
    observer.message("in", FROM_ALICE, request())
    observer.message("out", FROM_BETA, request())
    for detail in ("one", "two"):
        observer.dropped(f"malformed: {detail}", FROM_ALICE)
    trace.close()
    text = metrics.exposition().decode()
    assert 'spingate_sip_messages_total{direction="in",transport="udp"} 1.0' in text
    assert 'spingate_sip_messages_total{direction="out",transport="tls"} 1.0' in text
    assert 'spingate_sip_dropped_total{reason="malformed"} 2.0' in text
    assert len((tmp_path / "trace.jsonl").read_text().splitlines()) == 2


def test_gauges_and_foreign_counts_are_read_at_each_scrape() -> None:
    metrics, count = Metrics(), [0]
    metrics.gauge("calls_active", "Calls", lambda: count[0])
    metrics.counts("sms", "Messages", ("kind",), lambda: {("sent",): count[0]})
    count[0] = 5
    text = metrics.exposition().decode()
    assert "spingate_calls_active 5.0" in text
    assert 'spingate_sms_total{kind="sent"} 5.0' in text


def test_two_gateways_in_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()
    first.calls.labels("inbound", "486").inc()
    assert b'direction="inbound"' not in second.exposition()
