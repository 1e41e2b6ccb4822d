"""The Merkle tree of RFC 9162 section 2.1 (RFC 6962's, SHA-256): hashes and what proofs prove."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

HASH_SIZE: Final = 32
# A tree has at most 2**63 - 1 leaves, so an inclusion proof has at most 63 hashes. A consistency
# proof has one more where a tree has more than 2**62; witnesses take 63 (c2sp.org/tlog-witness).
MAX_SIZE: Final = 2**63 - 1
MAX_PATH: Final = 63
EMPTY_ROOT: Final = sha256().digest()


def hash_leaf(entry: bytes) -> bytes:
    """Return the hash of a leaf: SHA-256(0x00 || entry)."""
    return sha256(b"\x00" + entry).digest()


def hash_children(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node: SHA-256(0x01 || left || right)."""
    return sha256(b"\x01" + left + right).digest()


def perfect_root(row: Sequence[bytes]) -> bytes:
    """Return the root over a row of 2**k hashes, k >= 0."""
    while len(row) > 1:
        pairs = iter(row)
        row = [
            sha256(b"\x01" + left + right).digest()
            for left, right in zip(pairs, pairs, strict=True)
        ]
    return row[0]


def joined_root(roots: Sequence[bytes]) -> bytes:
    """Return the root over perfect subtrees, given from the largest (leftmost) to the smallest."""
    if not roots:
        return EMPTY_ROOT
    root = roots[-1]
    for left in reversed(roots[:-1]):
        root = hash_children(left, root)
    return root


def verify_inclusion(
    leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes
) -> bool:
    """Tell whether `path` leads from the leaf hash at `index` to the root of a tree of `size`.

    RFC 9162 section 2.1.3.2. Any integers and any number of hashes may be given.
    """
    if not 0 <= index < size <= MAX_SIZE or len(path) > MAX_PATH:
        return False
    position, last, found = index, size - 1, leaf
    for sibling in path:
        if not last:
            return False
        if position & 1 or position == last:
            found = hash_children(sibling, found)
            while position and not position & 1:
                position >>= 1
                last >>= 1
        else:
            found = hash_children(found, sibling)
        position >>= 1
        last >>= 1
    return not last and found == root


def verify_consistency(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, path: Sequence[bytes]
) -> bool:
    """Tell whether the new tree begins with all of the old one (RFC 9162 section 2.1.4.2).

    The empty tree has only one root and is the beginning of every other, with an empty path.
    """
    if not 0 <= old_size <= new_size <= MAX_SIZE or len(path) > MAX_PATH + 1:
        return False
    if not old_size:
        return old_root == EMPTY_ROOT and not path and (new_size > 0 or new_root == EMPTY_ROOT)
    if old_size == new_size:
        return old_root == new_root and not path
    hashes = list(path)
    if not old_size & (old_size - 1):
        hashes.insert(0, old_root)
    if not hashes:
        return False
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position >>= 1
        last >>= 1
    old_found = new_found = hashes[0]
    for sibling in hashes[1:]:
        if not last:
            return False
        if position & 1 or position == last:
            old_found = hash_children(sibling, old_found)
            new_found = hash_children(sibling, new_found)
            while position and not position & 1:
                position >>= 1
                last >>= 1
        else:
            new_found = hash_children(new_found, sibling)
        position >>= 1
        last >>= 1
    return not last and old_found == old_root and new_found == new_root


class CompactRange:
    """The roots of the perfect subtrees that a tree consists of: all it takes to let it grow.

    roots: one for each bit that is set in `size`, the largest first; at most 63 hashes, however
    many leaves. Raises ValueError where they do not fit the size.
    """

    def __init__(self, size: int = 0, roots: Iterable[bytes] = ()) -> None:
        given = list(roots)
        fits = 0 <= size <= MAX_SIZE and len(given) == size.bit_count()
        if not fits or any(len(root) != HASH_SIZE for root in given):
            raise ValueError("the hashes do not fit the size")
        self._size = size
        # By height; the root of 2**height leaves where that bit of the size is set.
        self._by_height = [
            given.pop() if size >> height & 1 else None for height in range(size.bit_length())
        ]

    @property
    def size(self) -> int:
        """Number of leaves."""
        return self._size

    @property
    def roots(self) -> tuple[bytes, ...]:
        """Roots of the perfect subtrees, the largest first."""
        return tuple(root for root in reversed(self._by_height) if root is not None)

    def extend(self, leaves: Sequence[bytes]) -> list[list[bytes]]:
        """Add the hashes of leaves; return the new roots of perfect subtrees by height, from 0 up.

        The first list is `leaves` itself; what a log stores is these, behind those it has.
        """
        added: list[list[bytes]] = []
        fresh = list(leaves)
        self._size += len(fresh)
        while fresh:
            height = len(added)
            if height == len(self._by_height):
                self._by_height.append(None)
            added.append(fresh)
            waiting = self._by_height[height]
            row = fresh if waiting is None else [waiting, *fresh]
            self._by_height[height] = row[-1] if len(row) % 2 else None
            fresh = [
                sha256(b"\x01" + left + right).digest()
                for left, right in zip(row[::2], row[1::2], strict=False)
            ]
        return added

    def root(self) -> bytes:
        """Return the root of the whole tree."""
        return joined_root(self.roots)
