"""What owners tagged `enum` is published over DNS, and found by a gateway that pins the DS."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from discovery.directory.record import Map
from discovery.enum.dnssec.anchor import trust_anchor
from discovery.enum.domain import Tree
from discovery.model import Outcome, Service
from gateway.config.load import ConfigError
from gateway.directory.service import DirectoryService
from gateway.dns import DnsResolver, DnsSettings
from gateway.enum_source import EnumSource, PinnedTree
from tests.support.directory_world import VOICE_URI, DirectoryWorld, running

pytestmark = pytest.mark.real
DIGITS = "14155550123"
TREE = Tree("1", "e164.dp.example")
PUBLISHED = Map("b.example", (Service.VOICE,), VOICE_URI, 10, ("enum", "business"))
PRIVATE = Map("c.example", (Service.VOICE,), "sip:bob@c.example", 5, ("personal",))


def _world(folder: Path, **changes: object) -> DirectoryWorld:
    enum = {
        "suffix": TREE.suffix,
        "prefix": "+1",
        "address": "127.0.0.1",
        "nameservers": ("ns1.b.example",),
        "hostmaster": "hostmaster.b.example",
        **changes,
    }
    world = DirectoryWorld(folder, enum=enum)
    assert world.config.enum is not None
    section = world.config.enum.model_copy(update={"port": 0})  # any free one
    world.config = world.config.model_copy(update={"enum": section})
    return world


async def _uris(world: DirectoryWorld, service: DirectoryService) -> tuple[Outcome, list[str]]:
    server = service.enum
    assert server is not None
    place = (("127.0.0.1", server.port),)
    pinned = PinnedTree(TREE, trust_anchor(TREE.suffix, server.ds), place)
    source = EnumSource((pinned,), DnsResolver(DnsSettings(place)), wall_clock=world.clock)
    answer = await source.find(DIGITS, Service.VOICE, caller="")
    return answer.outcome, [uri.uri for uri in answer.uris]


async def test_only_maps_that_their_owner_tagged_are_published(tmp_path: Path) -> None:
    world = _world(tmp_path)
    owner = world.owner()
    async with running(world) as client:
        assert await _uris(world, client.service) == (Outcome.NOT_FOUND, [])
        assert (await client.register(owner, maps=(PRIVATE,))).status < 300
        assert await _uris(world, client.service) == (Outcome.NOT_FOUND, [])
        assert (await client.register(owner, seq=2, maps=(PRIVATE, PUBLISHED))).status < 300
        assert await _uris(world, client.service) == (Outcome.FOUND, [VOICE_URI])
        assert (await client.register(owner, seq=3, maps=())).status < 300
        assert await _uris(world, client.service) == (Outcome.NOT_FOUND, [])


async def test_an_expired_record_is_published_no_more(tmp_path: Path) -> None:
    world = _world(tmp_path)
    owner = world.owner()
    async with running(world) as client:
        await client.register(owner, maps=(PUBLISHED,))
        world.clock.now += 8 * 86_400  # the owner's certificate has ended
        assert await _uris(world, client.service) == (Outcome.NOT_FOUND, [])


async def test_the_zones_key_is_made_once_and_for_us_alone(tmp_path: Path) -> None:
    first = _world(tmp_path).service()
    again = _world(tmp_path).service()
    assert first.enum is not None
    assert again.enum is not None
    assert first.enum.ds == again.enum.ds
    key = tmp_path / "state" / "enum.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    for service in (first, again):
        await service.stop()


def test_a_key_of_another_kind_is_named(tmp_path: Path) -> None:
    key = tmp_path / "wrong.key"
    key.write_text("nonsense", encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        _world(tmp_path, key=key)
    assert refused.value.key == "enum.key"


def test_name_servers_are_outside_of_the_tree(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="outside of the tree"):
        _world(tmp_path, nameservers=(f"ns.{TREE.suffix}",))
