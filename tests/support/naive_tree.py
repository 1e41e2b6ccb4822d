"""The Merkle tree as RFC 9162 section 2.1 defines it, word by word, in O(n) and without thought."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256


def naive_root(entries: Sequence[bytes]) -> bytes:
    """MTH(D[n]) (section 2.1.1)."""
    if not entries:
        return sha256().digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    k = _k(len(entries))
    return sha256(b"\x01" + naive_root(entries[:k]) + naive_root(entries[k:])).digest()


def naive_path(index: int, entries: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D[n]) (section 2.1.3.1)."""
    if len(entries) == 1:
        return []
    k = _k(len(entries))
    if index < k:
        return [*naive_path(index, entries[:k]), naive_root(entries[k:])]
    return [*naive_path(index - k, entries[k:]), naive_root(entries[:k])]


def naive_proof(old_size: int, entries: Sequence[bytes]) -> list[bytes]:
    """PROOF(m, D[n]) (section 2.1.4.1)."""
    return _subproof(old_size, entries, whole=True)


def _subproof(old_size: int, entries: Sequence[bytes], *, whole: bool) -> list[bytes]:
    if old_size == len(entries):
        return [] if whole else [naive_root(entries)]
    k = _k(len(entries))
    if old_size <= k:
        return [*_subproof(old_size, entries[:k], whole=whole), naive_root(entries[k:])]
    return [*_subproof(old_size - k, entries[k:], whole=False), naive_root(entries[:k])]


def _k(count: int) -> int:
    k = 1
    while k * 2 < count:
        k *= 2
    return k
