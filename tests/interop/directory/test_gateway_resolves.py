"""A gateway's resolver finds numbers in running directories, and shows what it may not use."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from discovery.directory.prefix_map import DirectoryName, PrefixMap, sign_prefix_map
from discovery.directory.record import Map, Selection
from discovery.model import Assurance, Outcome, Service
from gateway.config.directory_client import DirectoryClientSection
from gateway.directory.keys import EcSigner
from gateway.directory_making import make_directory_source
from gateway.directory_source import DirectorySource
from gateway.resolution import Resolver, TimedSource
from stir.certificates.issuing import new_key
from tests.support.directory_world import (
    NOW,
    TOKEN,
    VOICE_URI,
    DirectoryClient,
    DirectoryWorld,
    running,
)
from tests.support.log_world import log_signer

pytestmark = pytest.mark.real
DIGITS = "14155550123"


class Addresses:
    async def addresses(self, name: str) -> tuple[str, ...]:
        if not name.endswith("dp.example"):
            return ()
        return ("127.0.0.1",)


@dataclass
class Scene:
    """Running directories, all with one number authority."""

    folder: Path
    stack: AsyncExitStack
    worlds: list[DirectoryWorld] = field(default_factory=list)
    clients: list[DirectoryClient] = field(default_factory=list)
    sources: list[DirectorySource] = field(default_factory=list)

    async def add(self, **changes: Any) -> DirectoryWorld:
        folder = self.folder / str(len(self.worlds))
        folder.mkdir()
        url = f"https://dp.example:{_free_port()}"
        first = self.worlds[0] if self.worlds else None
        world = DirectoryWorld(folder, shared=first, directory={"url": url, **changes})
        self.worlds.append(world)
        self.clients.append(await self.stack.enter_async_context(running(world)))
        return world

    def source(self, **changes: Any) -> DirectorySource:
        servers = [{"url": each.config.directory.url, "token": TOKEN} for each in self.worlds]
        first = self.worlds[0]
        settings = DirectoryClientSection.model_validate(
            {
                "owner_trust_anchors": (first.folder / "numbers.pem",),
                "trust_anchors": first.folder / "tls-root.pem",
                "budget_seconds": 5.0,
                "server": servers,
                **changes,
            }
        )
        source = make_directory_source(
            settings,
            Addresses(),
            own_domains=frozenset({"a.example"}),
            wall_clock=first.clock,
        )
        assert source is not None
        self.stack.push_async_callback(source.close)
        return source


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        yield Scene(tmp_path, stack)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _pem(signer: EcSigner) -> bytes:
    return signer.public.public_key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


async def find(source: DirectorySource, service: Service = Service.VOICE) -> Any:
    return await source.find(DIGITS, service, caller="12125550100")


async def test_a_number_is_found_with_its_assurance_and_end(scene: Scene) -> None:
    world = await scene.add()
    owner = world.owner()
    await scene.clients[0].register(owner)
    resolver = Resolver([TimedSource(scene.source(), 5.0)], None, wall_clock=world.clock)
    found = await resolver.resolve(DIGITS, Service.VOICE, caller="12125550100")
    assert [(each.uri, each.msp, each.assurance) for each in found.uris] == [
        (VOICE_URI, "b.example", Assurance.SIGNED)
    ]
    assert found.uris[0].expires_at == NOW + 7 * 86_400
    assert (await resolver.resolve(DIGITS, Service.IM, caller="12125550100")).uris == ()


async def test_what_is_not_there_is_not_found_and_a_silent_directory_is_named(
    scene: Scene,
) -> None:
    await scene.add()
    answer = await find(scene.source())
    assert (answer.outcome, answer.detail) == (Outcome.NOT_FOUND, "")
    await scene.clients[0].service.listener.stop()
    answer = await find(scene.source())
    assert answer.outcome is Outcome.UNAVAILABLE
    assert "dp.example" in answer.detail


async def test_an_opted_out_number_is_asked_of_nobody_else(scene: Scene) -> None:
    world = await scene.add()
    await scene.clients[0].register(world.owner(), maps=())
    answer = await find(scene.source())
    assert (answer.outcome, answer.final) == (Outcome.DECLINED, True)


async def test_two_owners_in_two_directories_are_a_conflict_that_is_shown(scene: Scene) -> None:
    world = await scene.add()
    await scene.add()
    await scene.clients[0].register(world.owner())
    await scene.clients[1].register(world.owner())
    answer = await find(scene.source())
    assert (answer.outcome, answer.final, answer.uris) == (Outcome.REFUSED, True, ())
    assert answer.detail == "conflict: 2 owners"


async def test_the_latest_record_of_one_owner_counts_wherever_it_is(scene: Scene) -> None:
    world = await scene.add()
    await scene.add()
    owner = world.owner()
    newer = (Map("c.example", (Service.VOICE,), "sip:bob@c.example"),)
    await scene.clients[0].register(owner)
    await scene.clients[1].register(owner, seq=2, maps=newer)
    answer = await find(scene.source())
    assert [each.msp for each in answer.uris] == ["c.example"]


async def test_a_dead_directory_does_not_keep_the_others_from_being_heard(scene: Scene) -> None:
    world = await scene.add()
    await scene.add()
    await scene.clients[0].register(world.owner())
    await scene.clients[1].service.listener.stop()
    answer = await find(scene.source())
    assert answer.outcome is Outcome.FOUND
    assert "dp.example" in answer.detail


async def test_a_wrong_token_and_a_wrong_key_find_nothing(scene: Scene) -> None:
    world = await scene.add()
    await scene.clients[0].register(world.owner())
    url = world.config.directory.url
    wrong_token = scene.source(server=[{"url": url, "token": "another-token-entirely"}])
    answer = await find(wrong_token)
    assert (answer.outcome, answer.uris) == (Outcome.UNAVAILABLE, ())
    assert "401" in answer.detail
    wrong_key = scene.source(server=[{"url": url, "token": TOKEN, "key": "A" * 43}])
    answer = await find(wrong_key)
    assert (answer.outcome, answer.uris) == (Outcome.UNAVAILABLE, ())


async def test_records_that_are_not_logged_are_refused_by_policy(scene: Scene) -> None:
    world = await scene.add()
    await scene.clients[0].register(world.owner())
    server = {
        "url": world.config.directory.url,
        "token": TOKEN,
        "log_keys": [str(log_signer().verifier)],
    }
    answer = await find(scene.source(require_logged=True, server=[server]))
    assert (answer.outcome, answer.detail) == (Outcome.REFUSED, "record is not logged")


async def test_only_the_directories_of_a_prefix_are_asked(scene: Scene) -> None:
    world = await scene.add()
    other = await scene.add()
    await scene.clients[0].register(world.owner())
    authority = EcSigner(new_key())
    names = [
        DirectoryName(each.config.directory.url, each.keys.signer.public.thumbprint)
        for each in (world, other)
    ]
    prefixes = PrefixMap(int(NOW), int(NOW) + 86_400, {"+1": (names[1],), "+1415": (names[0],)})
    (world.folder / "map.jws").write_text(sign_prefix_map(prefixes, authority) + "\n")
    (world.folder / "map.pem").write_bytes(_pem(authority))
    source = scene.source(
        prefix_map=world.folder / "map.jws", prefix_map_key=world.folder / "map.pem"
    )
    assert (await find(source)).outcome is Outcome.FOUND
    assert scene.clients[1].service.lookups.answered == 0
    elsewhere = await source.find("12125550199", Service.VOICE, caller="12125550100")
    assert elsewhere.outcome is Outcome.NOT_FOUND
    assert scene.clients[1].service.lookups.answered == 1
    world.clock.now += 86_400
    ended = await find(source)
    assert (ended.outcome, ended.detail) == (Outcome.UNAVAILABLE, "the prefix map has expired")


async def test_a_record_that_says_all_gives_every_uri_in_the_owners_order(scene: Scene) -> None:
    world = await scene.add()
    maps = (
        Map("c.example", (Service.VOICE,), "sip:bob@c.example", 20),
        Map("b.example", (Service.VOICE,), VOICE_URI, 10),
        Map("d.example", (Service.VOICE,), "sip:bob@d.example", 5, ("same-msp-only",)),
    )
    await scene.clients[0].register(world.owner(), maps=maps, selection=Selection.ALL)
    answer = await find(scene.source())
    assert [each.msp for each in answer.uris] == ["b.example", "c.example"]
