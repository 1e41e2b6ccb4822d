"""One of the two servers lies, is down or has lost everything; keys change; quotas end."""

from __future__ import annotations

from typing import Any

import pytest

from discovery.directory.record import Map
from discovery.model import Outcome, Service
from discovery.privacy.split_storage import (
    BUCKET_OCTETS,
    EvaluationKeys,
    blind_evaluator,
    parse_evaluation_keys,
)
from gateway.directory.keys import EcSigner
from gateway.directory_source import DirectorySource
from gateway.split_storage import buckets as buckets_module
from stir.certificates.issuing import new_key
from tests.support.directory_world import NUMBER, VOICE_URI
from tests.support.split_scene import (
    ALPHA,
    EVALUATOR_TOKEN,
    FILLER_TOKEN,
    GENERATION,
    KEYS,
    NEXT_GENERATION,
    NEXT_KEYS,
    NEXT_SECRET,
    SECRET,
    SplitScene,
)

pytestmark = pytest.mark.real
DIGITS = NUMBER.removeprefix("tel:+")
OTHER = "tel:+14155550199"
Entry = tuple[bytes, bytes]


async def find(source: DirectorySource) -> Any:
    return await source.find(DIGITS, Service.VOICE, caller=ALPHA)


def stored(scene: SplitScene) -> list[Entry]:
    return scene.buckets.store.bucket(GENERATION, 0, 0)


def put(scene: SplitScene, *entries: Entry) -> None:
    scene.buckets.store.put(GENERATION, entries, scene.world.clock())


async def registered(scene: SplitScene, **changes: Any) -> DirectorySource:
    await scene.start(**changes)
    await scene.client.register(scene.world.owner())
    await scene.filled(1)
    return scene.source()


async def test_an_evaluation_by_another_key_is_forged(scene: SplitScene) -> None:
    source = await registered(scene)
    scene.evaluator._generations = {GENERATION: blind_evaluator(b"x" * 32)}
    answer = await find(source)
    assert (answer.outcome, answer.uris) == (Outcome.UNAVAILABLE, ())
    assert "evaluator 127.0.0.1" in answer.detail
    assert "forged" in answer.detail


async def test_an_altered_entry_and_that_of_another_number_do_not_open(scene: SplitScene) -> None:
    source = await registered(scene)
    ((label, sealed),) = stored(scene)
    for place in (0, 12, 500, len(sealed) - 1):
        altered = bytearray(sealed)
        altered[place] ^= 1
        put(scene, (label, bytes(altered)))
        answer = await find(source)
        assert (answer.outcome, answer.uris) == (Outcome.UNAVAILABLE, ())
        assert "bucket store 127.0.0.1" in answer.detail
        assert "undecryptable" in answer.detail
    put(scene, (label, sealed))
    await scene.client.register(scene.world.owner(OTHER))
    await scene.filled(2)
    ((_, other),) = [entry for entry in stored(scene) if entry[0] != label]
    put(scene, (label, other))
    assert "undecryptable" in (await find(source)).detail


async def test_an_older_entry_is_believed_until_its_statement_ends(scene: SplitScene) -> None:
    await scene.start()
    owner = scene.world.owner()
    await scene.client.register(owner)
    await scene.filled(1)
    (older,) = stored(scene)
    source = scene.source()
    newer = (Map("c.example", (Service.VOICE,), "sip:bob@c.example"),)
    await scene.client.register(owner, seq=2, maps=newer)

    async def changed() -> bool:
        return [each.uri for each in (await find(source)).uris] == ["sip:bob@c.example"]

    await scene.settled(changed)
    put(scene, older)
    assert [each.uri for each in (await find(source)).uris] == [VOICE_URI]
    scene.world.clock.now += 2 * 43_200 + 61
    scene.buckets.store.put(GENERATION, [older], scene.world.clock())
    assert "not_fresh" in (await find(source)).detail


async def test_an_entry_signed_by_another_key_sends_nobody_to_the_directory(
    scene: SplitScene,
) -> None:
    source = await registered(scene)
    assert (await find(source)).outcome is Outcome.FOUND
    asked = 0
    describe = scene.client.service.api._settings.description

    def described() -> Any:
        nonlocal asked
        asked += 1
        return describe()

    object.__setattr__(scene.client.service.api._settings, "description", described)
    # The directory marks one number, to see who comes for the key that its entry needs.
    scene.filler._signer = EcSigner(new_key())
    await scene.client.register(scene.world.owner(), seq=2)
    scene.world.clock.now += 3_700

    async def marked() -> bool:
        return "bad_signature" in (await find(source)).detail

    await scene.settled(marked)
    assert asked == 0


async def test_a_store_that_hides_an_entry_is_believed(scene: SplitScene) -> None:
    source = await registered(scene)
    ((label, _),) = stored(scene)
    scene.buckets.store.remove(GENERATION, [label])
    assert (await find(source)).outcome is Outcome.NOT_FOUND  # "none" is the store's word alone


@pytest.mark.parametrize("octets", [b"", b"\xff" * BUCKET_OCTETS, bytes(BUCKET_OCTETS + 1)])
async def test_a_bucket_that_is_none_is_refused(
    scene: SplitScene, monkeypatch: pytest.MonkeyPatch, octets: bytes
) -> None:
    source = await registered(scene)
    monkeypatch.setattr(buckets_module, "encode_bucket", lambda *_: octets)
    answer = await find(source)
    assert answer.outcome is Outcome.UNAVAILABLE
    assert "bucket store 127.0.0.1" in answer.detail


async def test_a_server_that_is_down_is_named(scene: SplitScene) -> None:
    source = await registered(scene)
    assert (await find(source)).outcome is Outcome.FOUND
    await scene.buckets.listener.stop()
    answer = await find(source)
    assert (answer.outcome, answer.uris) == (Outcome.UNAVAILABLE, ())
    await scene.evaluator.listener.stop()
    assert (await find(source)).outcome is Outcome.UNAVAILABLE


async def test_quotas_and_wrong_tokens_end_evaluations(scene: SplitScene) -> None:
    scene.make_world()
    peers = (
        {"name": "alpha", "token": EVALUATOR_TOKEN, "lookups_per_day": 2},
        {"name": "directory", "token": FILLER_TOKEN},
    )
    await scene.start_evaluator(peer=peers)
    await scene.start_buckets()
    await scene.start_directory()
    await scene.client.register(scene.world.owner())
    await scene.filled(1)
    source = scene.source()
    outcomes = [(await find(source)).outcome for _ in range(3)]
    assert outcomes == [Outcome.FOUND, Outcome.FOUND, Outcome.UNAVAILABLE]
    assert "429" in (await find(source)).detail
    assert "401" in (await find(scene.source(token="another-token-entirely"))).detail


async def test_a_store_that_wants_to_know_more_of_a_label_is_not_asked(scene: SplitScene) -> None:
    source = await registered(scene)
    held = scene.buckets.store._generations[GENERATION]
    scene.buckets.store._generations[GENERATION] = type(held)(bits=25, complete=True)
    answer = await find(source)
    assert "25 bits" in answer.detail
    assert scene.buckets.outcomes["read", "given"] == 0


async def test_a_prefix_that_has_grown_is_read_anew(scene: SplitScene) -> None:
    source = await registered(scene)
    assert (await find(source)).outcome is Outcome.FOUND
    ((_, sealed),) = stored(scene)
    put(scene, *((bytes((i,)) * 32, sealed) for i in range(0, 250, 10)))
    assert scene.buckets.store.generations[GENERATION].bits == 1
    assert (await find(source)).outcome is Outcome.FOUND


async def test_a_store_that_lost_everything_is_filled_again(scene: SplitScene) -> None:
    await registered(scene)
    await scene.buckets.stop()
    await scene.start_buckets("state-after-the-fire")
    assert scene.buckets.store.entries == 0
    assert "nothing under the evaluator's keys" in (await find(scene.source())).detail
    scene.world.clock.now += 61  # the directory looks once a minute
    scene.filler._changed.set()
    await scene.filled(1)
    assert (await find(scene.source())).outcome is Outcome.FOUND


async def test_keys_are_replaced_while_both_generations_are_served(scene: SplitScene) -> None:
    scene.make_world(keys=(NEXT_KEYS, KEYS))
    await scene.start_evaluator((NEXT_SECRET, SECRET))
    await scene.start_buckets()
    await scene.start_directory()
    await scene.client.register(scene.world.owner())
    await scene.filled(2, GENERATION, NEXT_GENERATION)
    for keys in ((KEYS,), (NEXT_KEYS,), (NEXT_KEYS, KEYS)):
        assert (await find(scene.source(evaluator_keys=keys))).outcome is Outcome.FOUND
    held = scene.buckets.store._generations[NEXT_GENERATION]
    scene.buckets.store._generations[NEXT_GENERATION] = type(held)(held.bits, complete=False)
    both = await find(scene.source(evaluator_keys=(NEXT_KEYS, KEYS)))
    assert both.outcome is Outcome.FOUND  # by the older one, which is complete
    only = await find(scene.source(evaluator_keys=(NEXT_KEYS,)))
    assert "is being filled" in only.detail
    unknown = blind_evaluator(b"y" * 32).public_keys
    assert isinstance(unknown, EvaluationKeys)
    assert parse_evaluation_keys(str(unknown)) == unknown
    assert "nothing under" in (await find(scene.source(evaluator_keys=(str(unknown),)))).detail


async def test_a_generation_no_longer_configured_is_dropped(scene: SplitScene) -> None:
    await scene.start()
    scene.buckets.store.put("f" * 16, [(bytes(32), bytes(3_100))], scene.world.clock())
    await scene.client.register(scene.world.owner())
    scene.world.clock.now += 61
    scene.filler._changed.set()
    await scene.filled(1)
