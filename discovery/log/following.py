"""What a follower asks a log for, and how it proves that one tree continues another.

The procedures are generators: they yield what they want to have (`Wanted`), are sent the octets,
and know neither HTTP nor time.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from discovery.log.checkpoint import SignedCheckpoint
from discovery.log.merkle import CompactRange, verify_consistency
from discovery.log.note import MAX_NOTE
from discovery.log.reason import LogRefusal, LogRefused
from discovery.log.seen import SplitView
from discovery.log.tile_proofs import (
    Span,
    consistency_spans,
    perfect_subtrees,
    span_hashes,
    tiles_of,
)
from discovery.log.tiles import Bundle, Tile

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """The checkpoint that a log publishes."""

    path: str = "checkpoint"


Wanted: TypeAlias = tuple[CheckpointFile | Tile | Bundle, ...]
Following: TypeAlias = Generator[Wanted, Sequence[bytes], _T]

MAX_CHECKPOINT = MAX_NOTE


def prove_consistency(older: SignedCheckpoint, newer: SignedCheckpoint) -> Following[None]:
    """Prove by the tiles of the newer tree that it continues the older one.

    Raises SplitView where the newer tree is another one, LogRefused(ENTRIES_DIFFER) where the log
    serves tiles that do not belong to the tree it has signed, so that nothing is proven; MALFORMED.
    """
    old, new = older.checkpoint, newer.checkpoint
    if old.size == new.size or not old.size:
        if not verify_consistency(old.size, old.root, new.size, new.root, ()):
            raise SplitView(older, newer, f"two roots for a tree of {old.size} leaves")
        return
    spans = consistency_spans(old.size, new.size)
    path = yield from _hashes(spans, new.size)
    if verify_consistency(old.size, old.root, new.size, new.root, path):
        return
    (found,) = yield from _hashes([(0, old.size)], new.size)
    if verify_consistency(old.size, found, new.size, new.root, path):
        detail = f"the tree of {new.size} leaves does not continue the one of {old.size}"
        raise SplitView(older, newer, detail)
    raise LogRefused(LogRefusal.ENTRIES_DIFFER, "the tiles are not those of the tree")


def compact_range_of(signed: SignedCheckpoint) -> Following[CompactRange]:
    """Return what is needed to let the tree of a checkpoint grow, without reading its entries.

    Raises LogRefused: ENTRIES_DIFFER, MALFORMED.
    """
    tree = signed.checkpoint
    subtrees = perfect_subtrees((0, tree.size))
    spans = [(start, start + (1 << height)) for start, height in subtrees]
    hashes = yield from _hashes(spans, tree.size)
    compact = CompactRange(tree.size, hashes)
    if compact.root() != tree.root:
        raise LogRefused(LogRefusal.ENTRIES_DIFFER, "the tiles are not those of the tree")
    return compact


def _hashes(spans: Sequence[Span], size: int) -> Following[list[bytes]]:
    tiles = tiles_of(spans, size)
    octets = (yield tuple(tiles)) if tiles else ()
    return span_hashes(spans, size, dict(zip(tiles, octets, strict=True)).__getitem__)
