"""Tiles and entry bundles: where the hashes of a tree lie (c2sp.org/tlog-tiles).

A tile is 256 consecutive hashes of one level, every eighth level of the tree being stored; the
last tile of a level is partial. An entry bundle is the 256 entries under a tile of level 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from discovery.log.merkle import HASH_SIZE
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


def _index_path(index: int, width: int) -> str:
    path = f"{index % 1000:03}"
    while index := index // 1000:
        path = f"x{index % 1000:03}/{path}"
    return path if width == TILE_WIDTH else f"{path}.p/{width}"
