"""A log on disk: flat files that only grow, and the signed checkpoint that says how far they count.

    entries           68 octets an entry: its length and itself, as a bundle has them
    nodes-00, ...     32 octets a node: the roots of all perfect subtrees of height 0, 1, ...
    checkpoint        the log's signed checkpoint: replaced at once, after all else is on the disk
    published         the checkpoint that is shown to others, with cosignatures
    lock              held while a process has the log open

Any tile and bundle, partial ones of any tree size included, is a piece of one file. After a crash
whatever lies beyond the checkpoint is cut off: nobody was ever told of it.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Final

from discovery.log.checkpoint import Checkpoint, SignedCheckpoint, open_checkpoint
from discovery.log.entry import ENTRY_SIZE
from discovery.log.merkle import EMPTY_ROOT, HASH_SIZE, CompactRange, hash_leaf
from discovery.log.note import VerifierKey
from discovery.log.reason import LogRefused
from discovery.log.tile_proofs import consistency_spans, inclusion_spans, node_hashes
from discovery.log.tiles import TILE_HEIGHT, TILE_WIDTH, Bundle, Tile, encode_bundle, tile_width

_RECORD: Final = 2 + ENTRY_SIZE
_SEARCHED_AT_ONCE: Final = 8_192


class LogCorrupted(Exception):
    """The files are not those of the tree that the checkpoint says; an operator has to look.

    A log restored from a backup, or of which a file was lost, must not go on: it would sign a
    second tree.
    """


class LogStore:
    """The files of one log, to be written by one process.

    Opening reads the checkpoint, cuts off what a crash left behind and checks the right edge of
    the tree: a few reads, however large the log. Memory: one hash a level. Raises LogCorrupted;
    OSError, also where another process has the log open.
    """

    def __init__(self, folder: Path, key: VerifierKey, *, sync: bool = True) -> None:
        self._folder = folder
        self._key = key
        self._sync = os.fdatasync if sync else _leave
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._files: dict[str, int] = {}
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._committed = self._read_checkpoint("checkpoint")
            self._published = self._read_checkpoint("published")
            self._tree = self._grown = self._recover()
        except BaseException:
            self.close()
            raise

    @property
    def committed(self) -> SignedCheckpoint | None:
        """The last checkpoint signed; None before the first."""
        return self._committed

    @property
    def published(self) -> SignedCheckpoint | None:
        """The last checkpoint shown to others; None before the first."""
        return self._published

    @property
    def size(self) -> int:
        """Number of entries that a signed checkpoint covers."""
        return self._committed.checkpoint.size if self._committed else 0

    def append(self, entries: Sequence[bytes]) -> Checkpoint:
        """Write entries of 66 octets behind the last ones; return the tree they lead to.

        It counts from `commit` on; until then nobody may be told. Raises OSError (what was
        written is cut off again) and ValueError for entries of another length.
        """
        if any(len(entry) != ENTRY_SIZE for entry in entries):
            raise ValueError(f"an entry has {ENTRY_SIZE} octets")
        tree = CompactRange(self._tree.size, self._tree.roots)
        added = tree.extend([hash_leaf(entry) for entry in entries])
        touched = []
        try:
            touched.append(
                self._write("entries", self._tree.size * _RECORD, encode_bundle(entries))
            )
            for height, nodes in enumerate(added):
                place = (self._tree.size >> height) * HASH_SIZE
                touched.append(self._write(_nodes(height), place, b"".join(nodes)))
            for file in touched:
                self._sync(file)
        except OSError:
            self._cut(self._tree.size)
            raise
        self._grown = tree
        return Checkpoint(self._key.name, tree.size, tree.root())

    def commit(self, signed: SignedCheckpoint) -> None:
        """Make the tree that `append` returned the log's, by its signed checkpoint.

        Raises OSError: then the log is still what it was.
        """
        self._replace("checkpoint", signed)
        self._committed = signed
        self._tree = self._grown

    def publish(self, signed: SignedCheckpoint) -> None:
        """Show a committed checkpoint, with its cosignatures, to others. Raises OSError."""
        self._replace("published", signed)
        self._published = signed

    def read_tile(self, tile: Tile) -> bytes | None:
        """Return a tile; None where the published tree has none of this width."""
        width = tile_width(tile.level, tile.index, self._published_size())
        if tile.width > width:
            return None
        place = tile.index * TILE_WIDTH * HASH_SIZE
        return self._read(_nodes(TILE_HEIGHT * tile.level), place, tile.width * HASH_SIZE)

    def read_bundle(self, bundle: Bundle) -> bytes | None:
        """Return an entry bundle; None where the published tree has none of this width."""
        if bundle.width > tile_width(0, bundle.index, self._published_size()):
            return None
        place = bundle.index * TILE_WIDTH * _RECORD
        return self._read("entries", place, bundle.width * _RECORD)

    def entries(self, start: int, end: int) -> list[bytes]:
        """Return committed entries, at most 10,000 of them."""
        last = min(end, self.size, start + 10_000)
        if last <= start:
            return []
        data = self._read("entries", start * _RECORD, (last - start) * _RECORD)
        return [data[place + 2 : place + _RECORD] for place in range(0, len(data), _RECORD)]

    def find(self, leaves: Set[bytes]) -> dict[bytes, int]:
        """Return the indices of those of these leaf hashes that are committed, the newest ones.

        Reads from the end until all are found: 72 ns of processor and 32 octets a leaf.
        """
        found: dict[bytes, int] = {}
        end = self.size
        while end and len(found) < len(leaves):
            start = max(end - _SEARCHED_AT_ONCE, 0)
            hashes = self._read(_nodes(0), start * HASH_SIZE, (end - start) * HASH_SIZE)
            for index, (leaf,) in enumerate(struct.iter_unpack(f"{HASH_SIZE}s", hashes), start):
                if leaf in leaves:
                    found[leaf] = index
            end = start
        return found

    def inclusion_path(self, index: int, size: int) -> list[bytes]:
        """Return the inclusion proof of a leaf in a tree of committed size (RFC 9162 2.1.3.1).

        Raises ValueError where there is no such leaf.
        """
        return node_hashes(inclusion_spans(index, self._checked(size)), self._node)

    def consistency_path(self, old_size: int, size: int) -> list[bytes]:
        """Return the consistency proof between two committed sizes (RFC 9162 2.1.4.1).

        Raises ValueError where a size is not the log's.
        """
        return node_hashes(consistency_spans(old_size, self._checked(size)), self._node)

    def close(self) -> None:
        """Close the files and let go of the lock."""
        for file in (*self._files.values(), self._lock):
            os.close(file)
        self._files.clear()

    def _checked(self, size: int) -> int:
        if size > self.size:
            raise ValueError(f"the log has {self.size} leaves")
        return size

    def _published_size(self) -> int:
        return self._published.checkpoint.size if self._published else 0

    def _node(self, height: int, position: int) -> bytes:
        return self._read(_nodes(height), position * HASH_SIZE, HASH_SIZE)

    def _recover(self) -> CompactRange:
        committed = self._committed
        tree = committed.checkpoint if committed else Checkpoint(self._key.name, 0, EMPTY_ROOT)
        if self._published and self._published.checkpoint.size > tree.size:
            raise LogCorrupted(f"{self._folder}: more was published than is stored")
        self._cut(tree.size)
        roots, position = [], 0
        for height in reversed(range(tree.size.bit_length())):
            if tree.size >> height & 1:
                roots.append(self._node(height, position >> height))
                position += 1 << height
        compact = CompactRange(tree.size, roots)
        last = self.entries(max(tree.size - TILE_WIDTH, 0), tree.size)
        leaves = b"".join(map(hash_leaf, last))
        place = (tree.size - len(last)) * HASH_SIZE
        if compact.root() != tree.root or self._read(_nodes(0), place, len(leaves)) != leaves:
            raise LogCorrupted(f"{self._folder}: the files are not those of the checkpoint")
        return compact

    def _cut(self, size: int) -> None:
        """Cut every file to what a tree of this size has. Raises LogCorrupted, OSError."""
        names = {"entries": size * _RECORD}
        names |= {_nodes(height): 0 for height in range(64) if self._exists(height)}
        names |= {
            _nodes(height): (size >> height) * HASH_SIZE for height in range(size.bit_length())
        }
        for name, length in names.items():
            file = self._open(name)
            held = os.fstat(file).st_size
            if held < length:
                raise LogCorrupted(f"{self._folder / name}: {length - held} octets are missing")
            if held > length:
                os.ftruncate(file, length)

    def _exists(self, height: int) -> bool:
        return (self._folder / _nodes(height)).exists()

    def _open(self, name: str) -> int:
        file = self._files.get(name)
        if file is None:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            file = self._files[name] = os.open(self._folder / name, flags, 0o640)
        return file

    def _read(self, name: str, place: int, length: int) -> bytes:
        data = os.pread(self._open(name), length, place) if length else b""
        if len(data) != length:
            raise LogCorrupted(f"{self._folder / name}: {length - len(data)} octets are missing")
        return data

    def _write(self, name: str, place: int, data: bytes) -> int:
        file = self._open(name)
        rest = memoryview(data)
        while rest:
            written = os.pwrite(file, rest, place)
            place += written
            rest = rest[written:]
        return file

    def _read_checkpoint(self, name: str) -> SignedCheckpoint | None:
        try:
            data = (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None
        try:
            return open_checkpoint(data, self._key)
        except LogRefused as error:
            raise LogCorrupted(f"{self._folder / name}: {error}") from None

    def _replace(self, name: str, signed: SignedCheckpoint) -> None:
        path = self._folder / name
        fresh = path.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(str(signed.note).encode())
            file.flush()
            self._sync(file.fileno())
        fresh.replace(path)
        folder = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._sync(folder)
        finally:
            os.close(folder)


def _nodes(height: int) -> str:
    return f"nodes-{height:02}"


def _leave(_file: int) -> None:
    """Leave it to the system when octets reach the disk: for benchmarks."""
