"""Inclusion and consistency proofs out of stored nodes, or out of tiles: first which, then hashes.

A proof is a list of spans of leaves (RFC 9162 sections 2.1.3.1 and 2.1.4.1); a span is a few
perfect subtrees; the root of a perfect subtree is computed from hashes of one tile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from discovery.log.merkle import MAX_SIZE, joined_root, perfect_root
from discovery.log.tiles import TILE_HEIGHT, TILE_WIDTH, Tile, decode_tile, tile_width

Span: TypeAlias = tuple[int, int]
ReadTile: TypeAlias = Callable[[Tile], bytes]
# Of height and position: the root of the leaves from position << height, 2**height of them.
ReadNode: TypeAlias = Callable[[int, int], bytes]


def inclusion_spans(index: int, size: int) -> list[Span]:
    """Return the spans whose hashes prove leaf `index` in a tree of `size`, from the leaf up.

    Raises ValueError where there is no such leaf.
    """
    if not 0 <= index < size <= MAX_SIZE:
        raise ValueError("there is no such leaf")
    spans: list[Span] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((start, middle))
            start = middle
    return spans[::-1]


def consistency_spans(old_size: int, new_size: int) -> list[Span]:
    """Return the spans whose hashes prove that a tree of `old_size` became one of `new_size`.

    Empty where the sizes are equal or the old tree is. Raises ValueError for a tree that shrank.
    """
    if not 0 <= old_size <= new_size <= MAX_SIZE:
        raise ValueError("a tree does not shrink")
    if old_size in (0, new_size):
        return []
    spans: list[Span] = []
    start, end = 0, new_size
    while old_size != end:
        middle = start + _split(end - start)
        if old_size <= middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((start, middle))
            start = middle
    if start:
        spans.append((start, end))
    return spans[::-1]


def tiles_of(spans: Sequence[Span], size: int) -> list[Tile]:
    """Return the tiles of a tree of `size` that the hashes of the spans are computed from."""
    tiles: dict[Tile, None] = {}
    for span in spans:
        for start, height in perfect_subtrees(span):
            tiles[_tile(start, height, size)] = None
    return list(tiles)


def span_hashes(spans: Sequence[Span], size: int, read: ReadTile) -> list[bytes]:
    """Return the Merkle tree hash of each span, each tile being read once.

    Raises LogRefused (MALFORMED) for a tile of the wrong length, and what `read` raises.
    """
    rows: dict[Tile, list[bytes]] = {}

    def root(start: int, height: int) -> bytes:
        tile = _tile(start, height, size)
        if tile not in rows:
            rows[tile] = decode_tile(read(tile), tile.width)
        level_height = TILE_HEIGHT * tile.level
        first = (start >> level_height) % TILE_WIDTH
        return perfect_root(rows[tile][first : first + (1 << (height - level_height))])

    return [joined_root([root(*subtree) for subtree in perfect_subtrees(span)]) for span in spans]


def inclusion_path(index: int, size: int, read: ReadTile) -> list[bytes]:
    """Return the inclusion proof of a leaf, from its sibling up (RFC 9162 section 2.1.3.1)."""
    return span_hashes(inclusion_spans(index, size), size, read)


def consistency_path(old_size: int, new_size: int, read: ReadTile) -> list[bytes]:
    """Return the consistency proof between two sizes (RFC 9162 section 2.1.4.1)."""
    return span_hashes(consistency_spans(old_size, new_size), new_size, read)


def node_hashes(spans: Sequence[Span], read: ReadNode) -> list[bytes]:
    """Return the Merkle tree hash of each span from stored nodes, and what `read` raises."""
    return [
        joined_root([read(height, start >> height) for start, height in perfect_subtrees(span)])
        for span in spans
    ]


def root_of(size: int, tree_size: int, read: ReadTile) -> bytes:
    """Return the root of the first `size` leaves, read from the tiles of a tree of `tree_size`."""
    return span_hashes([(0, size)], tree_size, read)[0]


def _split(count: int) -> int:
    """Return the largest power of two below `count` (two or more)."""
    return 1 << ((count - 1).bit_length() - 1)


def perfect_subtrees(span: Span) -> list[tuple[int, int]]:
    """Return start and height of the perfect subtrees of a span of a proof, the largest first."""
    start, end = span
    found = []
    while start < end:
        height = (end - start).bit_length() - 1
        found.append((start, height))
        start += 1 << height
    return found


def _tile(start: int, height: int, size: int) -> Tile:
    level = height // TILE_HEIGHT
    index = start >> (TILE_HEIGHT * (level + 1))
    return Tile(level, index, tile_width(level, index, size))
