"""Tiles and entry bundles: where the hashes of a tree lie (c2sp.org/tlog-tiles).

A tile is 256 consecutive hashes of one level, every eighth level of the tree being stored; the
last tile of a level is partial. An entry bundle is the 256 entries under a tile of level 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from discovery.log.merkle import HASH_SIZE, MAX_SIZE, joined_root, perfect_root
from discovery.log.reason import LogRefusal, LogRefused

TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 1 << TILE_HEIGHT
# Higher levels are empty in any tree of 2**63 - 1 leaves.
MAX_LEVEL: Final = 7
MAX_ENTRY: Final = 65_535
_INDEX: Final = re.compile(r"(?:x[0-9]{3}/){0,6}[0-9]{3}")
_WIDTH: Final = re.compile(r"[1-9][0-9]{0,2}")


@dataclass(frozen=True, slots=True)
class Tile:
    """The tile `index` of a `level` (0 to 7), `width` hashes of it (1 to 256)."""

    level: int
    index: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """Its path under the log's prefix: `tile/0/x001/x234/067.p/12`."""
        return f"tile/{self.level}/{_index_path(self.index, self.width)}"


@dataclass(frozen=True, slots=True)
class Bundle:
    """The entries under tile `index` of level 0, the first `width` of them (1 to 256)."""

    index: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """Its path under the log's prefix: `tile/entries/x001/x234/067.p/12`."""
        return f"tile/entries/{_index_path(self.index, self.width)}"


def parse_index_path(text: str) -> tuple[int, int]:
    """Return index and width of `x001/x234/067` or `x001/x234/067.p/12`.

    Raises LogRefused (MALFORMED) for any other spelling: a resource has one name, so that caches
    hold it once.
    """
    digits, partial, width_text = text.partition(".p/")
    if not _INDEX.fullmatch(digits) or (digits.startswith("x000/")):
        raise LogRefused(LogRefusal.MALFORMED, "not the path of a tile")
    index = int(digits.replace("x", "").replace("/", ""))
    if not partial:
        return index, TILE_WIDTH
    if not _WIDTH.fullmatch(width_text) or int(width_text) >= TILE_WIDTH:
        raise LogRefused(LogRefusal.MALFORMED, "not the width of a partial tile")
    return index, int(width_text)


def tile_width(level: int, index: int, size: int) -> int:
    """Return how many hashes of a tile a tree of `size` leaves has; 0 where it has none."""
    return max(0, min(TILE_WIDTH, (size >> (TILE_HEIGHT * level)) - index * TILE_WIDTH))


def bundles(start: int, end: int) -> Iterator[Bundle]:
    """Yield the bundles that hold the entries from `start` up to `end`, in a tree of size `end`.

    The first may begin before `start`; the last is partial where `end` is no multiple of 256.
    """
    for index in range(start // TILE_WIDTH, -(-end // TILE_WIDTH)):
        yield Bundle(index, min(TILE_WIDTH, end - index * TILE_WIDTH))


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """Return entries as a bundle, each behind its length in two octets.

    Raises ValueError for an entry of more than 65,535 octets.
    """
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > MAX_ENTRY:
            raise ValueError("an entry is longer than 65,535 octets")
        parts += (len(entry).to_bytes(2, "big"), entry)
    return b"".join(parts)


def decode_bundle(data: bytes, width: int) -> list[bytes]:
    """Return the `width` entries of a bundle. Raises LogRefused (MALFORMED)."""
    entries: list[bytes] = []
    place = 0
    while place < len(data) and len(entries) < width:
        end = place + 2 + int.from_bytes(data[place : place + 2], "big")
        entries.append(data[place + 2 : end])
        place = end
    if len(entries) != width or place != len(data):
        raise LogRefused(LogRefusal.MALFORMED, "an entry bundle does not hold what it should")
    return entries


def decode_tile(data: bytes, width: int) -> list[bytes]:
    """Return the `width` hashes of a tile. Raises LogRefused (MALFORMED)."""
    if len(data) != width * HASH_SIZE:
        raise LogRefused(LogRefusal.MALFORMED, "a tile has another width than it should")
    return [data[place : place + HASH_SIZE] for place in range(0, len(data), HASH_SIZE)]


class TileTails:
    """The partial tiles at the right edge of a tree: what a log needs in memory to let it grow.

    At most 255 hashes a level, so below 64 kB for any tree. tails: hashes of the partial tile of
    each level from 0 up. Raises ValueError where they do not fit the size.
    """

    def __init__(self, size: int = 0, tails: Sequence[Sequence[bytes]] = ()) -> None:
        self._size = size
        self._tails = [list(tail) for tail in tails]
        widths = [(size >> (TILE_HEIGHT * level)) % TILE_WIDTH for level in range(len(tails))]
        whole = not size >> (TILE_HEIGHT * len(tails))
        if not 0 <= size <= MAX_SIZE or not whole or widths != [len(t) for t in self._tails]:
            raise ValueError("the tiles do not fit the size")

    @property
    def size(self) -> int:
        """Number of leaves."""
        return self._size

    def extend(self, leaves: Sequence[bytes]) -> list[list[bytes]]:
        """Add hashes of leaves; return the hashes to store behind those each level has, from 0 up.

        A full tile puts its root into the level above (never a partial one).
        """
        added: list[list[bytes]] = []
        fresh = list(leaves)
        self._size += len(fresh)
        level = 0
        while fresh:
            if level == len(self._tails):
                self._tails.append([])
            added.append(fresh)
            row = self._tails[level] + fresh
            full = len(row) // TILE_WIDTH * TILE_WIDTH
            self._tails[level] = row[full:]
            fresh = [
                perfect_root(row[place : place + TILE_WIDTH])
                for place in range(0, full, TILE_WIDTH)
            ]
            level += 1
        return added

    def root(self) -> bytes:
        """Return the root of the whole tree."""
        roots: list[bytes] = []
        for tail in reversed(self._tails):
            place = 0
            for bit in reversed(range(TILE_HEIGHT)):
                if len(tail) >> bit & 1:
                    roots.append(perfect_root(tail[place : place + (1 << bit)]))
                    place += 1 << bit
        return joined_root(roots)


def tail_tiles(size: int) -> list[Tile | None]:
    """Return the partial tile of each level from 0 up in a tree of `size`; None where it is empty.

    Read and given to TileTails, they continue the tree.
    """
    tiles: list[Tile | None] = []
    level = 0
    while size >> (TILE_HEIGHT * level):
        count = size >> (TILE_HEIGHT * level)
        width = count % TILE_WIDTH
        tiles.append(Tile(level, count // TILE_WIDTH, width) if width else None)
        level += 1
    return tiles


def _index_path(index: int, width: int) -> str:
    path = f"{index % 1000:03}"
    while index := index // 1000:
        path = f"x{index % 1000:03}/{path}"
    return path if width == TILE_WIDTH else f"{path}.p/{width}"
