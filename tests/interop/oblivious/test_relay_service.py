"""The relay as a service: where it leads, whom it lets in, and what it gives out for everybody."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from discovery.privacy.ohttp_keys import MEDIA_TYPE as KEYS_MEDIA_TYPE
from discovery.privacy.ohttp_keys import parse_key_configurations
from gateway.relay_service import RelayService
from tests.support.oblivious import NOW, Origin, oblivious_world
from tests.support.oblivious_services import https, relay_config, running_relay, tls_root

pytestmark = pytest.mark.real


def url_of(service: RelayService, name: str = "dp") -> str:
    return f"https://127.0.0.1:{service.listener.port}/relay/{name}"


async def test_the_relay_keeps_one_copy_of_the_keys_for_everybody(tmp_path: Path) -> None:
    async with oblivious_world(tmp_path) as world:
        root = tls_root(tmp_path)
        anchors = (tmp_path / "both.pem", tmp_path / "tls-root.pem", world.authority.trust_file)
        anchors[0].write_bytes(anchors[1].read_bytes() + anchors[2].read_bytes())
        config = relay_config(
            tmp_path, root, {"dp": world.gateway_url}, trust_anchors=anchors[0], keys_seconds=10.0
        )
        async with running_relay(config) as relay, https(tmp_path) as ask:
            for _ in range(100):
                answer = await ask("GET", url_of(relay))
                if answer.status == 200:
                    break
                assert answer.status == 503  # not fetched yet
                await asyncio.sleep(0.02)
            assert (answer.status, answer.kind) == (200, KEYS_MEDIA_TYPE)
            assert parse_key_configurations(answer.body) == (world.key.configuration,)
            assert (await ask("GET", url_of(relay, "other"))).status == 404
            refused = await ask("POST", url_of(relay), data=b"x")
            assert refused.status == 415
        assert Origin().asked == []
        assert world.now == NOW


async def test_a_target_that_is_down_is_a_502_and_nothing_is_kept(tmp_path: Path) -> None:
    config = relay_config(tmp_path, tls_root(tmp_path), {"dp": "https://dp.example:1"})
    assert config.target[0].url == "https://dp.example:1/.well-known/ohttp-gateway"
    async with running_relay(config) as relay, https(tmp_path) as ask:
        headers = {"Content-Type": "message/ohttp-req"}
        answer = await ask("POST", url_of(relay), data=b"x" * 100, headers=headers)
        assert answer.status == 502
        assert (await ask("GET", url_of(relay))).status == 503


async def test_only_networks_that_are_named_get_in_and_only_so_often(tmp_path: Path) -> None:
    root = tls_root(tmp_path)
    targets = {"dp": "https://dp.example:1"}
    closed = relay_config(tmp_path, root, targets, allow_networks=("192.0.2.0/24",))
    async with running_relay(closed) as relay, https(tmp_path) as ask:
        assert (await ask("POST", url_of(relay), data=b"x")).status == 403
        assert (await ask("GET", url_of(relay))).status == 403
    limited = relay_config(tmp_path, root, targets, requests_per_minute=2)
    async with running_relay(limited) as relay, https(tmp_path) as ask:
        statuses = [(await ask("GET", url_of(relay))).status for _ in range(3)]
        assert statuses == [503, 503, 429]
        assert len(relay.relay._sources) == 1
        relay.relay._wall_clock = lambda: time.time() + 61
        relay.relay.forget_old()
        assert len(relay.relay._sources) == 0
