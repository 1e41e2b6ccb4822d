"""The monitor of an owner: follows a log leaf by leaf and tells what concerns the owner's labels.

Every entry is hashed into a compact range, so that the monitor knows the whole tree without storing
it: what it read is what everybody was shown. What it has seen survives in a MonitorState.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, TypeAlias

from discovery.log.checkpoint import SignedCheckpoint, parse_checkpoint
from discovery.log.entry import LogEntry, parse_entry
from discovery.log.following import (
    CheckpointFile,
    Wanted,
    compact_range_of,
    prove_consistency,
)
from discovery.log.logged import LogPolicy, verify_checkpoint
from discovery.log.merkle import CompactRange, hash_leaf
from discovery.log.reason import LogRefusal, LogRefused
from discovery.log.tiles import TILE_WIDTH, bundles, decode_bundle

# Bundles asked for at once: below 5,000 entries, 300 kB.
_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class MonitorState:
    """Where a monitor is. Stored whole, read back whole.

    checkpoint: the note of the last tree verified, empty before the first. size, roots: the leaves
    read so far and their compact range; beyond that tree only while `target` (its note) is being
    read.
    """

    checkpoint: str = ""
    size: int = 0
    roots: tuple[bytes, ...] = ()
    target: str = ""


@dataclass(frozen=True, slots=True)
class Sighting:
    """An entry under a watched label."""

    index: int
    entry: LogEntry


@dataclass(frozen=True, slots=True)
class Progress:
    """What the monitor has seen since the last time; the state is to be stored before it goes on.

    Sightings are told before the tree they are in is proven, and once more if it was not.
    """

    state: MonitorState
    sightings: tuple[Sighting, ...] = ()


Steps: TypeAlias = Generator[Wanted | Progress, Sequence[bytes], None]


def follow(
    state: MonitorState,
    labels: frozenset[bytes],
    policy: LogPolicy,
    now: float,
    *,
    from_start: bool = True,
) -> Steps:
    """Follow a log to the checkpoint it publishes now.

    from_start: a new monitor reads the log from its first entry; otherwise it begins with what
    comes after the present tree. Yields what to fetch and Progress (to be answered with nothing).
    Raises SplitView and LogRefused: what verify_checkpoint says, ROLLED_BACK where the log
    publishes a smaller tree than it did, ENTRIES_DIFFER where entries or tiles are not those of the
    tree, MALFORMED.
    """
    (data,) = yield (CheckpointFile(),)
    published = parse_checkpoint(data)
    verify_checkpoint(published, policy, now)
    yield from _check_growth(state, published)
    if not state.checkpoint and not from_start:
        compact = yield from compact_range_of(published)
        yield Progress(MonitorState(str(published.note), compact.size, compact.roots))
        return
    if state.target:
        # Left in the middle: first to the end of that tree, and from there to the new one.
        state = yield from _read_up_to(state, parse_checkpoint(state.target), labels)
    if published.checkpoint.size > state.size:
        state = yield from _read_up_to(state, published, labels)
    elif state.checkpoint != str(published.note):
        yield Progress(replace(state, checkpoint=str(published.note)))


def _check_growth(state: MonitorState, published: SignedCheckpoint) -> Steps:
    for note in filter(None, (state.checkpoint, state.target)):
        known = parse_checkpoint(note)
        if known.checkpoint.origin != published.checkpoint.origin:
            raise LogRefused(LogRefusal.WRONG_LOG, "what is stored is of another log")
        if published.checkpoint.size < known.checkpoint.size:
            yield from prove_consistency(published, known)
            detail = f"from {known.checkpoint.size} to {published.checkpoint.size} leaves"
            raise LogRefused(LogRefusal.ROLLED_BACK, detail)
        yield from prove_consistency(known, published)


def _read_up_to(
    state: MonitorState, target: SignedCheckpoint, labels: frozenset[bytes]
) -> Generator[Wanted | Progress, Sequence[bytes], MonitorState]:
    tree, note = target.checkpoint, str(target.note)
    compact = CompactRange(state.size, state.roots)
    verified = state
    # Lazily: a log may sign that it has 2**63 - 1 entries.
    parts = bundles(compact.size, tree.size)
    while wanted := tuple(islice(parts, _AT_ONCE)):
        sightings: list[Sighting] = []
        for bundle, data in zip(wanted, (yield wanted), strict=True):
            entries = decode_bundle(data, bundle.width)[compact.size - bundle.index * TILE_WIDTH :]
            sightings += _sightings(entries, compact.size, labels)
            compact.extend([hash_leaf(entry) for entry in entries])
        done = compact.size == tree.size
        if done and compact.root() != tree.root:
            # Back to the last tree that was proven: nothing read since then counts.
            yield from _forget(state)
            raise LogRefused(LogRefusal.ENTRIES_DIFFER, "the entries are not those of the tree")
        position = MonitorState(
            note if done else state.checkpoint, compact.size, compact.roots, "" if done else note
        )
        yield Progress(position, tuple(sightings))
        verified = position
    return verified


def _forget(state: MonitorState) -> Steps:
    if not state.target:
        yield Progress(state)
    elif not state.checkpoint:
        yield Progress(MonitorState())
    else:
        compact = yield from compact_range_of(parse_checkpoint(state.checkpoint))
        yield Progress(MonitorState(state.checkpoint, compact.size, compact.roots))


def _sightings(entries: Sequence[bytes], start: int, labels: frozenset[bytes]) -> list[Sighting]:
    found = []
    for index, data in enumerate(entries, start):
        # An entry of a kind this version does not know is hashed like any other and passed over.
        try:
            entry = parse_entry(data)
        except LogRefused:
            continue
        if entry.label in labels:
            found.append(Sighting(index, entry))
    return found
