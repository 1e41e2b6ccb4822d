"""An owner registers with a directory, two servers are filled, a gateway resolves through both."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from discovery.directory.jws import encode
from discovery.directory.record import Map
from discovery.directory.sealed_maps import SealedMap, open_maps, seal_maps
from discovery.model import Assurance, Outcome, Service
from gateway.directory_source import DirectorySource
from gateway.token_issuer.key_folder import KeyFolder
from tests.support.directory_world import NUMBER, VOICE_URI
from tests.support.oblivious_services import (
    CLIENT_TOKEN,
    ISSUER,
    RELAY,
    issuer_config,
    relay_config,
    running_issuer,
    running_relay,
)
from tests.support.split_scene import ALPHA, SplitScene

pytestmark = pytest.mark.real
DIGITS = NUMBER.removeprefix("tel:+")


async def find(source: DirectorySource, number: str = DIGITS) -> Any:
    return await source.find(number, Service.VOICE, caller=ALPHA)


async def test_a_number_is_found_without_the_directory_being_asked(scene: SplitScene) -> None:
    await scene.start()
    await scene.client.register(scene.world.owner())
    await scene.filled(1)
    source = scene.source()
    answer = await find(source)
    assert [(each.uri, each.assurance) for each in answer.uris] == [(VOICE_URI, Assurance.SIGNED)]
    assert scene.client.service.lookups.answered == 0
    absent = await find(source, "14155550199")
    assert (absent.outcome, absent.uris) == (Outcome.NOT_FOUND, ())
    assert scene.buckets.outcomes["read", "given"] == 2
    assert scene.evaluator.access.outcomes["alpha", "admitted"] == 2


async def test_changes_and_removals_reach_the_store(scene: SplitScene) -> None:
    await scene.start()
    owner = scene.world.owner()
    await scene.client.register(owner)
    await scene.filled(1)
    source = scene.source()
    assert (await find(source)).outcome is Outcome.FOUND
    await scene.client.register(owner, seq=2, maps=())

    async def declined() -> bool:
        return (await find(source)).outcome is Outcome.DECLINED

    await scene.settled(declined)
    await scene.client.send(
        "DELETE", "/dp/v1/records", {"removal": owner.removal(3), "chain": owner.chain}
    )
    await scene.filled(0)
    assert (await find(source)).outcome is Outcome.NOT_FOUND


async def test_a_record_is_shown_to_be_logged_by_its_entry(scene: SplitScene) -> None:
    await scene.start(transparency_log={"interval_seconds": 0.05})
    await scene.client.register(scene.world.owner())
    await scene.filled(1)
    described = (await scene.client.send("GET", "/.well-known/spin-dp")).document
    source = scene.source(
        server={"log_keys": (described["log"],), "log_labels": described["log_labels"]}
    )

    async def logged() -> bool:
        found = await find(source)
        return [each.assurance for each in found.uris] == [Assurance.LOGGED]

    await scene.settled(logged)


async def test_two_owners_are_a_conflict_and_a_sealed_map_is_opened(scene: SplitScene) -> None:
    await scene.start(directory={"hold_seconds": 0.0})
    key = X25519PrivateKey.generate()
    owner = scene.world.owner()
    private = Map("w.example", (Service.VOICE,), "sip:bob@w.example")
    sealed = seal_maps(owner.csi, 1, [SealedMap(key.public_key(), private)])
    await scene.client.register(owner, sealed=sealed)
    await scene.filled(1)
    source = scene.source()
    source.begin()
    (connection,) = source._connections.values()
    answer = await connection.ask(owner.csi, Service.VOICE, timeout=5)
    assert open_maps(answer.records[0].record, [key]) == (private,)
    await scene.client.register(scene.world.owner())
    scene.world.clock.now += 1
    await scene.client.register(scene.world.owner())

    async def conflict() -> bool:
        return bool((await find(scene.source())).detail == "conflict: 2 owners")

    await scene.settled(conflict)


async def test_neither_server_learns_who_asks_through_relays_and_with_tokens(
    scene: SplitScene,
) -> None:
    scene.make_world()
    root, clock = scene.world.tls_root, scene.world.clock
    keys = KeyFolder(scene.folder / "issuer" / "keys", 86_400.0).load(clock())
    (scene.folder / "tokens.der").write_bytes(keys[0].public.spki)
    issuer = await scene.stack.enter_async_context(
        running_issuer(issuer_config(scene.folder, root, overlap_days=1), clock)
    )
    taken = ({"name": ISSUER, "key_file": scene.folder / "tokens.der"},)
    await scene.start_evaluator(issuer=taken)
    await scene.start_buckets()
    await scene.start_directory()
    targets = {"a": scene.url("evaluator"), "b": scene.url("buckets")}
    relay = await scene.stack.enter_async_context(
        running_relay(relay_config(scene.folder, root, targets))
    )
    await scene.client.register(scene.world.owner())
    await scene.filled(1)
    at = f"https://{RELAY}:{relay.listener.port}/relay"
    source = scene.source(
        relay=f"{at}/b",
        token=None,
        oblivious={
            "relay": f"{at}/a",
            "issuer": f"https://{ISSUER}:{issuer.listener.port}",
            "issuer_keys": [encode(keys[0].public.key_id)],
            "token": CLIENT_TOKEN,
        },
    )
    before = dict(scene.evaluator.access.outcomes)

    async def found() -> bool:
        return (await find(source)).outcome is Outcome.FOUND

    await scene.settled(found)
    counts = scene.evaluator.access.outcomes
    assert counts["token", "admitted"] == 1
    assert counts["alpha", "admitted"] == 0
    assert counts["directory", "admitted"] == before["directory", "admitted"]
    assert scene.buckets.outcomes["read inside", "given"] == 1
    assert scene.buckets.outcomes["read", "given"] == 0
