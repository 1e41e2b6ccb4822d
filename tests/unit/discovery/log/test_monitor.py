"""A monitor reads every leaf once, tells what concerns its owner, and notices a log that cheats."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from discovery.log.checkpoint import SignedCheckpoint
from discovery.log.entry import EntryType, LogEntry, log_entry
from discovery.log.following import CheckpointFile, Wanted, prove_consistency
from discovery.log.logged import LogPolicy
from discovery.log.monitor import MonitorState, Progress, Sighting, follow
from discovery.log.reason import LogRefusal, LogRefused
from discovery.log.seen import SplitView
from discovery.log.tiles import Bundle, Tile
from tests.support.log_world import NONCE, NOW, MemoryLog, cosigner, label, policy

W1 = cosigner(1)
MINE = frozenset({label(42)})


def entry(owner: int, entry_type: EntryType = EntryType.RECORD) -> LogEntry:
    return log_entry(entry_type, label(owner), b"content", NONCE)


def others(count: int) -> list[LogEntry]:
    return [entry(7)] * count


class Scene:
    """A log and a monitor of it; `shown` overrides the checkpoint, `broken` the octets given."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.state = MonitorState()
        self.shown: SignedCheckpoint | None = None
        self.sightings: list[Sighting] = []
        self.read = 0
        self.stop_after: int | None = None
        self.broken: bytes | None = None

    def give(self, wanted: Wanted) -> list[bytes]:
        return [self._one(each) for each in wanted]

    def _one(self, wanted: CheckpointFile | Tile | Bundle) -> bytes:
        if isinstance(wanted, CheckpointFile):
            return str((self.shown or self.log.checkpoint(W1)).note).encode()
        if isinstance(wanted, Tile):
            return self.log.read(wanted)
        self.read += 1
        data = self.log.bundle(wanted)
        return self.broken + data[len(self.broken) :] if self.broken else data

    def look(
        self, *, demanded: LogPolicy | None = None, from_start: bool = True, now: float = NOW
    ) -> None:
        steps = follow(self.state, MINE, demanded or policy(W1), now, from_start=from_start)
        given: Sequence[bytes] | None = None
        while True:
            try:
                step = steps.send(given) if given is not None else next(steps)
            except StopIteration:
                return
            if isinstance(step, Progress):
                self.sightings += step.sightings
                self.state = step.state
                given = ()
                if self.stop_after is not None and step.state.size >= self.stop_after:
                    return
            else:
                given = self.give(step)

    def refusal(self) -> LogRefusal:
        with pytest.raises(LogRefused) as caught:
            self.look()
        return caught.value.reason


def test_an_own_entry_is_seen_once_wherever_it_is() -> None:
    scene = Scene()
    scene.log.append(*others(300), entry(42), *others(5000), entry(42, EntryType.REMOVAL))
    scene.look()
    kinds = [(each.index, each.entry.type) for each in scene.sightings]
    assert kinds == [(300, EntryType.RECORD), (5301, EntryType.REMOVAL)]
    scene.look()
    assert len(scene.sightings) == 2
    scene.log.append(entry(42, EntryType.CLAIM))
    scene.look()
    assert scene.sightings[-1].index == 5302
    assert scene.state.size == 5303
    assert scene.state.target == ""


def test_an_empty_log_is_followed_until_it_grows() -> None:
    scene = Scene()
    scene.look()
    assert scene.state.size == 0
    scene.log.append(entry(42))
    scene.look()
    assert [each.index for each in scene.sightings] == [0]


def test_a_new_monitor_may_begin_with_what_comes() -> None:
    scene = Scene()
    scene.log.append(*others(700), entry(42))
    scene.look(from_start=False)
    assert (scene.sightings, scene.read, scene.state.size) == ([], 0, 701)
    scene.log.append(entry(42))
    scene.look()
    assert [each.index for each in scene.sightings] == [701]


def test_a_monitor_that_was_stopped_goes_on_where_it_was() -> None:
    scene = Scene()
    scene.log.append(entry(42), *others(9_000), entry(42))
    scene.stop_after = 4096
    scene.look()
    assert scene.state.size == 4096
    assert scene.state.target
    scene.stop_after = None
    scene.log.append(*others(500), entry(42))
    scene.read = 0
    scene.look()
    assert [each.index for each in scene.sightings] == [0, 9001, 9502]
    assert scene.read <= 23
    assert scene.state.size == 9503


def test_an_entry_of_a_kind_to_come_is_passed_over() -> None:
    scene = Scene()
    scene.log.append_raw([b"\x02" * 70])
    scene.log.append(entry(42))
    scene.look()
    assert [each.index for each in scene.sightings] == [1]


@pytest.mark.parametrize(("before", "after"), [(5, 9), (256, 600), (300, 5000), (8, 9)])
def test_a_log_that_was_forked_is_caught_with_both_checkpoints(before: int, after: int) -> None:
    scene = Scene()
    scene.log.append(*others(before))
    scene.look()
    known = scene.state
    scene.log = MemoryLog()
    scene.log.append(entry(8), *others(after - 1))
    with pytest.raises(SplitView) as caught:
        scene.look()
    assert caught.value.one.checkpoint.size == before
    assert caught.value.other.checkpoint.size == after
    assert scene.state == known


def test_two_trees_of_one_size_are_caught() -> None:
    scene = Scene()
    scene.log.append(*others(5))
    scene.look()
    scene.log = MemoryLog()
    scene.log.append(*others(4), entry(8))
    assert scene.refusal() is LogRefusal.SPLIT_VIEW


def test_a_log_that_shrank_is_caught() -> None:
    scene = Scene()
    scene.log.append(*others(5))
    older = scene.log.checkpoint(W1)
    scene.log.append(*others(300))
    scene.look()
    scene.shown = older
    assert scene.refusal() is LogRefusal.ROLLED_BACK


def test_entries_that_are_not_those_of_the_tree_are_caught_and_read_again() -> None:
    scene = Scene()
    scene.log.append(*others(5))
    scene.look()
    scene.log.append(*others(5_000), entry(42))
    scene.broken = b"\x00\x42\x01\x01another"
    assert scene.refusal() is LogRefusal.ENTRIES_DIFFER
    assert scene.state.size == 5
    scene.broken = None
    scene.look()
    assert scene.state.size == 5_006


def test_entries_that_differ_after_a_stop_throw_it_back_to_what_is_proven() -> None:
    scene = Scene()
    scene.log.append(*others(5))
    scene.look()
    scene.log.append(*others(9_000))
    scene.stop_after = 4_096
    scene.look()
    scene.stop_after = None
    scene.broken = b"\x00\x42\x01\x01another"
    assert scene.refusal() is LogRefusal.ENTRIES_DIFFER
    assert (scene.state.size, scene.state.target) == (5, "")
    scene.broken = None
    scene.look()
    assert scene.state.size == 9_005


def test_a_first_tree_that_is_not_as_signed_leaves_nothing_behind() -> None:
    scene = Scene()
    scene.log.append(*others(9_000))
    scene.stop_after = 4_096
    scene.look()
    scene.stop_after = None
    scene.broken = b"\x00\x42\x01\x01another"
    assert scene.refusal() is LogRefusal.ENTRIES_DIFFER
    assert scene.state == MonitorState()


def test_a_checkpoint_that_no_witness_has_seen_is_not_followed() -> None:
    scene = Scene()
    scene.shown = scene.log.checkpoint()
    assert scene.refusal() is LogRefusal.UNWITNESSED
    scene.shown = scene.log.checkpoint(W1, at=NOW - 10_000)
    assert scene.refusal() is LogRefusal.STALE_CHECKPOINT


def test_state_of_another_log_is_not_gone_on_with() -> None:
    scene = Scene()
    scene.log.append(*others(2))
    scene.look()
    other = Scene()
    other.state = MonitorState(scene.state.checkpoint.replace("directory", "other"), 2, ())
    assert other.refusal() is LogRefusal.WRONG_LOG


def test_tiles_that_do_not_belong_to_a_tree_prove_nothing() -> None:
    scene = Scene()
    scene.log.append(*others(5))
    older = scene.log.checkpoint(W1)
    scene.log.append(*others(900))
    newer = scene.log.checkpoint(W1)
    wanted = prove_consistency(older, newer)
    tiles = next(wanted)
    again = wanted.send([b"\x01" * len(scene.log.read(each)) for each in _tiles(tiles)])
    with pytest.raises(LogRefused) as caught:
        wanted.send([b"\x02" * len(scene.log.read(each)) for each in _tiles(again)])
    assert caught.value.reason is LogRefusal.ENTRIES_DIFFER


def _tiles(wanted: Wanted) -> list[Tile]:
    return [each for each in wanted if isinstance(each, Tile)]
