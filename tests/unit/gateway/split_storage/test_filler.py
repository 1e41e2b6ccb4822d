"""What is put into a bucket store, and when: on a virtual clock, with servers in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from discovery.directory.answer import Status
from discovery.directory.identifier import parse_identifier
from discovery.directory.reason import Refused
from discovery.privacy.split_storage import (
    EvaluationKeys,
    StorageQuestion,
    StorageSecrets,
    blind_evaluator,
)
from gateway.directory.log_sink import NoLog
from gateway.directory.service import DirectoryService
from gateway.http.fetch import FailureReason, FetchFailed
from gateway.split_storage.asking import StoreDescription
from gateway.split_storage.filled import FilledStore
from gateway.split_storage.filler import Filler, FillerSettings
from tests.support.directory_world import NUMBER, DirectoryWorld, Owner, opened

HOUR = 3_600.0
KEYS = blind_evaluator(b"1" * 32).public_keys
NEXT = blind_evaluator(b"2" * 32).public_keys
SERVERS = {
    each.public_keys.generation: each for each in map(blind_evaluator, (b"1" * 32, b"2" * 32))
}


@dataclass
class FakeEvaluator:
    asked: list[tuple[str, ...]] = field(default_factory=list)
    failing: bool = False

    async def secrets(
        self, identifiers: Sequence[str], keys: EvaluationKeys, *, timeout: float
    ) -> list[StorageSecrets]:
        if self.failing:
            raise FetchFailed("evaluator.example", FailureReason.CONNECT, "down")
        self.asked.append(tuple(identifiers))
        server = SERVERS[keys.generation]
        questions = [StorageQuestion(each) for each in identifiers]
        return [each.finish(server.evaluate(each.request), keys) for each in questions]


@dataclass
class FakeStore:
    instance: str = "one"
    held: dict[str, dict[bytes, bytes]] = field(default_factory=dict)
    completed: set[str] = field(default_factory=set)
    failing: bool = False
    entry_seconds: float = 48 * HOUR
    largest: int = 0

    async def describe(self) -> StoreDescription:
        self._fail()
        others = frozenset(self.held) - self.completed
        return StoreDescription(
            self.instance, dict.fromkeys(self.completed, 0), others, self.entry_seconds
        )

    async def put(self, generation: str, entries: Sequence[tuple[bytes, bytes]]) -> str:
        self._fail()
        self.largest = max(self.largest, len(entries))
        self.held.setdefault(generation, {}).update(entries)
        return self.instance

    async def remove(self, generation: str, labels: Sequence[bytes]) -> str:
        self._fail()
        for label in labels:
            self.held.get(generation, {}).pop(label, None)
        return self.instance

    async def complete(self, generation: str) -> str:
        self._fail()
        self.completed.add(generation)
        return self.instance

    async def drop(self, generation: str) -> str:
        self._fail()
        self.held.pop(generation, None)
        self.completed.discard(generation)
        return self.instance

    def _fail(self) -> None:
        if self.failing:
            raise FetchFailed("buckets.example", FailureReason.CONNECT, "down")


@dataclass
class Scene:
    world: DirectoryWorld
    service: DirectoryService
    filled: FilledStore
    evaluator: FakeEvaluator = field(default_factory=FakeEvaluator)
    store: FakeStore = field(default_factory=FakeStore)

    def filler(self, *keys: EvaluationKeys) -> Filler:
        made = Filler(
            FillerSettings(
                self.world.config.directory.url, keys or (KEYS,), refresh=12 * HOUR, compare=HOUR
            ),
            self.service.records,
            NoLog(),
            self.world.keys.signer,
            self.filled,
            self.evaluator,  # type: ignore[arg-type]
            self.store,  # type: ignore[arg-type]
            self.world.clock,
        )
        self.service.registry._changed = made.changed
        return made

    async def register(self, owner: Owner, **changes: object) -> None:
        await self.service.registry.register(owner.token(**changes), owner.chain)

    def found(self, csi: str = NUMBER, keys: EvaluationKeys = KEYS) -> tuple[Status, int] | None:
        """What a gateway would find: status, and when it was signed."""
        question = StorageQuestion(csi)
        secrets = question.finish(SERVERS[keys.generation].evaluate(question.request), keys)
        sealed = self.store.held.get(keys.generation, {}).get(secrets.label)
        if sealed is None:
            return None
        checker, now = self.world.checker(), self.world.clock.now
        checked = checker.check_entry(secrets.open(sealed), parse_identifier(csi), now)
        return checked.status, len(checked.records)


async def all_done(filler: Filler) -> None:
    while await filler.step():
        pass


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    world = DirectoryWorld(tmp_path, directory={"hold_seconds": 100 * HOUR})
    async with opened(world) as service:
        filled = FilledStore(tmp_path / "filled.db")
        yield Scene(world, service, filled)
        filled.close()


async def test_what_is_registered_is_put_and_what_is_removed_goes(scene: Scene) -> None:
    filler, owner = scene.filler(), scene.world.owner()
    await all_done(filler)
    assert scene.store.completed == {KEYS.generation}
    await scene.register(owner)
    await all_done(filler)
    assert scene.found() == (Status.MAPS, 1)
    await scene.register(owner, seq=2, maps=())
    await all_done(filler)
    assert scene.found() == (Status.OPTOUT, 1)
    await scene.service.registry.remove(owner.removal(3), owner.chain)
    await all_done(filler)
    assert scene.found() is None
    assert scene.store.held == {KEYS.generation: {}}
    assert scene.filled.next_due() is None
    assert scene.evaluator.asked == [(NUMBER,)]  # its label is remembered


async def test_an_entry_is_sealed_anew_before_it_ends(scene: Scene) -> None:
    filler, owner = scene.filler(), scene.world.owner()
    await scene.register(owner)
    await all_done(filler)
    (before,) = scene.store.held[KEYS.generation].values()
    scene.world.clock.now += 8 * HOUR
    await all_done(filler)
    assert [*scene.store.held[KEYS.generation].values()] == [before]
    scene.world.clock.now += 4 * HOUR
    await all_done(filler)
    (after,) = scene.store.held[KEYS.generation].values()
    assert before != after
    scene.world.clock.now += 23 * HOUR
    assert scene.found() == (Status.MAPS, 1)
    scene.world.clock.now += 2 * HOUR
    with pytest.raises(Refused, match="not_fresh"):
        scene.found()


async def test_a_record_that_ends_is_taken_away_then(scene: Scene) -> None:
    filler, owner = scene.filler(), scene.world.owner()
    until = int(scene.world.clock.now + HOUR)
    await scene.register(owner, expires_at=until)
    await all_done(filler)
    assert scene.filled.next_due() == until
    scene.world.clock.now = until
    await all_done(filler)
    assert scene.found() is None


async def test_a_record_that_waits_is_put_when_it_begins_to_live(scene: Scene) -> None:
    filler, first, second = scene.filler(), scene.world.owner(), scene.world.owner()
    await scene.register(first)
    await scene.register(second)
    await all_done(filler)
    assert scene.found() == (Status.MAPS, 1)
    scene.world.clock.now += 100 * HOUR
    await all_done(filler)
    assert scene.found() == (Status.CONFLICT, 2)


async def test_after_a_failure_it_is_still_due(scene: Scene) -> None:
    filler = scene.filler()
    await all_done(filler)
    await scene.register(scene.world.owner())
    for broken in (scene.evaluator, scene.store):
        broken.failing = True
        with pytest.raises(FetchFailed):
            await filler.step()
        broken.failing = False
        assert scene.found() is None
    await all_done(filler)
    assert scene.found() == (Status.MAPS, 1)


async def test_a_change_while_an_older_one_is_put_is_not_lost(scene: Scene) -> None:
    filler, owner = scene.filler(), scene.world.owner()
    await all_done(filler)
    await scene.register(owner)
    put = scene.store.put

    async def late(generation: str, entries: Sequence[tuple[bytes, bytes]]) -> str:
        scene.store.put = put  # type: ignore[method-assign]
        await scene.register(owner, seq=2, maps=())
        return await put(generation, entries)

    scene.store.put = late  # type: ignore[method-assign]
    await all_done(filler)
    assert scene.found() == (Status.OPTOUT, 1)


async def test_what_was_missed_is_found_by_comparison(scene: Scene) -> None:
    filler, owner = scene.filler(), scene.world.owner()
    await all_done(filler)
    scene.service.registry._changed = None  # as by another process
    await scene.register(owner)
    await all_done(filler)
    assert scene.found() is None
    scene.world.clock.now += HOUR
    await all_done(filler)
    assert scene.found() == (Status.MAPS, 1)
    await scene.service.registry.remove(owner.removal(2), owner.chain)
    scene.world.clock.now += HOUR
    await all_done(filler)
    assert scene.found() is None


async def test_many_are_put_by_the_batch_and_only_then_is_it_complete(scene: Scene) -> None:
    numbers = [f"tel:+1415555{number:04}" for number in range(100, 150)]
    for number in numbers:
        await scene.register(scene.world.owner(number))
    filler = scene.filler()
    assert await filler.step()
    assert scene.store.completed == set()
    await all_done(filler)
    assert scene.store.completed == {KEYS.generation}
    assert [scene.found(number) for number in numbers] == [(Status.MAPS, 1)] * 50
    assert scene.store.largest == max(map(len, scene.evaluator.asked)) == 16


async def test_a_store_that_lost_everything_is_filled_again(scene: Scene) -> None:
    filler = scene.filler()
    await scene.register(scene.world.owner())
    await all_done(filler)
    scene.store.instance, scene.store.held, scene.store.completed = "two", {}, set()
    scene.world.clock.now += 61
    await all_done(filler)
    assert scene.found() == (Status.MAPS, 1)
    assert scene.store.completed == {KEYS.generation}
    assert len(scene.evaluator.asked) == 1


async def test_another_generation_is_filled_beside_and_the_former_dropped(scene: Scene) -> None:
    await scene.register(scene.world.owner())
    await all_done(scene.filler())
    await all_done(scene.filler(NEXT, KEYS))
    assert scene.found(keys=KEYS) == scene.found(keys=NEXT) == (Status.MAPS, 1)
    assert scene.store.completed == {KEYS.generation, NEXT.generation}
    await all_done(scene.filler(NEXT))
    assert set(scene.store.held) == {NEXT.generation}
    assert scene.filled.secrets(KEYS.generation, [NUMBER]) == {}
