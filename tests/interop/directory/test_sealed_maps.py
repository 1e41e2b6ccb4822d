"""Maps for some senders: registered by the owner's command, found by the gateway of one of them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from discovery.cache import MappingCache
from discovery.directory.record import Map, Selection
from discovery.directory.sealed_maps import SealedMap, seal_maps
from discovery.model import Service
from gateway.config.load import ConfigError
from gateway.directory.sealing import sealing_key
from gateway.directory_source import DirectorySource
from gateway.resolution import Resolver, ResolverLimits, TimedSource
from tests.interop.directory.test_command_line import NUMBER, _free_port, spingate
from tests.interop.directory.test_gateway_resolves import DIGITS, Scene
from tests.support.directory_world import TOKEN, VOICE_URI, DirectoryWorld, running

pytestmark = pytest.mark.real
ALICE, CAROL = "12125550100", "12125550111"
SECRET = "a secret of the team that is long enough"
FOR_ALICE = Map("w.example", (Service.VOICE,), "sip:bob@w.example", 10)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        yield Scene(tmp_path, stack)


async def registered(scene: Scene, **changes: Any) -> tuple[DirectoryWorld, DirectorySource]:
    world = await scene.add()
    key = sealing_key(world.folder / "alice.key")
    owner = world.owner()
    sealed = seal_maps(owner.csi, 1, [SealedMap(key.public_key(), FOR_ALICE)])
    kept = await scene.clients[0].register(owner, sealed=sealed, **changes)
    assert kept.status == 200
    private = {"numbers": (f"+{ALICE}",), "private_key": world.folder / "alice.key"}
    return world, scene.source(sealed_key=(private,))


async def test_a_caller_gets_what_was_sealed_for_it_and_others_do_not(scene: Scene) -> None:
    _, source = await registered(scene, selection=Selection.ALL)
    for caller, uris in ((ALICE, [FOR_ALICE.uri, VOICE_URI]), (CAROL, [VOICE_URI]), ("", None)):
        answer = await source.find(DIGITS, Service.VOICE, caller=caller)
        assert [each.uri for each in answer.uris] == (uris or [VOICE_URI])


async def test_what_one_caller_was_told_is_cached_for_it_alone(scene: Scene) -> None:
    world, source = await registered(scene)
    cache = MappingCache()
    limits = ResolverLimits(unshared=source.personal)
    resolver = Resolver([TimedSource(source, 5.0)], cache, wall_clock=world.clock, limits=limits)
    for _ in range(2):
        for caller, uri in ((CAROL, VOICE_URI), (ALICE, FOR_ALICE.uri), ("12125550112", VOICE_URI)):
            found = await resolver.resolve(DIGITS, Service.VOICE, caller=caller)
            assert [each.uri for each in found.uris] == [uri]
    assert scene.clients[0].service.lookups.answered == 2
    resolver.forget(DIGITS, Service.VOICE, caller=ALICE)
    assert len(cache) == 1
    await resolver.close()


async def test_a_key_that_cannot_be_read_is_named(scene: Scene) -> None:
    world, _ = await registered(scene)
    (world.folder / "short").write_text("short\n")
    for given, key in (
        ({"private_key": world.folder / "numbers.pem"}, "sealed_key[0].private_key"),
        ({"private_key": world.folder / "https.key"}, "sealed_key[0].private_key"),
        ({"group_secret_file": world.folder / "short"}, "sealed_key[0].group_secret_file"),
        ({"group_secret_file": world.folder / "absent"}, "sealed_key[0].group_secret_file"),
    ):
        with pytest.raises(ConfigError) as caught:
            scene.source(sealed_key=({"numbers": (f"+{ALICE}",), **given},))
        assert caught.value.key == f"discovery.directory.{key}"


async def test_owner_sender_and_group_use_the_command_line(tmp_path: Path) -> None:
    url = f"https://127.0.0.1:{_free_port()}"
    world = DirectoryWorld(tmp_path, directory={"url": url})
    world.clock.now = time.time()
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "team.secret").write_text(f"{SECRET}\n")
    alice, team = tmp_path / "alice.key", tmp_path / "team.secret"
    code, said, _ = await spingate("sealing-key", str(alice), "--json")
    assert (code, alice.stat().st_mode & 0o077) == (0, 0)
    assert (await spingate("sealing-key", str(alice), "--json"))[1] == said

    trust = ("--directory", url, "--trust-anchors", str(tmp_path / "tls-root.pem"), "--json")
    owner = (*trust, "--key", str(tmp_path / "owner.key"))
    anchors = ("--owner-trust-anchors", str(tmp_path / "numbers.pem"))
    sender = (*trust, *anchors, "--token-file", str(tmp_path / "token"))
    maps = (
        *("--sealed-for", f"{said[0]['public_key']}:voice={FOR_ALICE.uri}"),
        *("--group", f"{team}:voice,im=sip:bob@t.example"),
    )
    async with running(world):
        code, _, _ = await spingate("register", NUMBER, *maps, *owner)
        assert code == 1  # the code is to come
        given = ("--code", world.couriers.code)
        code, kept, error = await spingate("register", NUMBER, *maps, *given, *owner)
        assert (code, error) == (0, ""), kept
        for keys, opened in (
            ((), []),
            (("--sealed-key", str(alice)), [FOR_ALICE.uri]),
            (("--group-secret", str(team)), ["sip:bob@t.example"]),
        ):
            code, found, _ = await spingate("lookup", NUMBER, *sender, *keys)
            (record,) = found[0]["records"]
            assert (code, record["claims"]["maps"]) == (0, [])
            assert len(record["claims"]["sealed"]) == 4
            assert [each["uri"] for each in record["opened"]] == opened


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--sealed-for", "voice=sip:bob@b.example"),
        ("--sealed-for", "AAAA:voice=sip:bob@b.example"),
        ("--sealed-for", f"{'A' * 43}:fax=sip:bob@b.example"),
        ("--sealed-for", f"{'A' * 43}:im=mimi://b.example/{'x' * 100}"),
        ("--group", "/absent/file:voice=sip:bob@b.example"),
        ("--sealed-for", f"{'A' * 43}:voice=sip:bob@b.example") * 5,
    ],
)
async def test_wrong_use_is_one_line_and_exit_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    key = ("--directory", "https://dp.example", "--key", str(tmp_path / "key"))
    code, lines, error = await spingate("register", NUMBER, *arguments, *key)
    assert (code, lines) == (2, [])
    assert error.startswith("spingate:")
    assert not (tmp_path / "key").exists()
