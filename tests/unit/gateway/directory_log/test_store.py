"""The log on disk: proofs as of the definition, and no crash leaves anything but a signed tree."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from discovery.log.checkpoint import sign_checkpoint
from discovery.log.merkle import verify_consistency, verify_inclusion
from discovery.log.tiles import Bundle, Tile, decode_bundle
from gateway.directory_log.store import LogCorrupted, LogStore
from tests.support.log_world import log_signer
from tests.support.naive_tree import naive_path, naive_proof, naive_root

SIGNER = log_signer()


def entries(start: int, end: int) -> list[bytes]:
    return [number.to_bytes(66, "big") for number in range(start, end)]


def opened(folder: Path) -> LogStore:
    return LogStore(folder, SIGNER.verifier, sync=False)


def grow(store: LogStore, count: int, *, publish: bool = True) -> None:
    tree = store.append(entries(store.size, store.size + count))
    store.commit(sign_checkpoint(tree, SIGNER))
    if publish:
        assert store.committed is not None
        store.publish(store.committed)


def test_a_log_that_is_closed_and_opened_goes_on(tmp_path: Path) -> None:
    for count in (0, 1, 255, 1, 300, 7):
        store = opened(tmp_path)
        grow(store, count)
        store.close()
    store = opened(tmp_path)
    assert store.size == 564
    tree = entries(0, 564)
    assert store.committed is not None
    assert store.committed.checkpoint.root == naive_root(tree)
    assert store.entries(250, 600) == tree[250:]
    assert store.entries(564, 600) == []
    for index in (0, 255, 256, 511, 563):
        path = store.inclusion_path(index, 564)
        assert path == naive_path(index, tree)
    assert store.inclusion_path(3, 300) == naive_path(3, tree[:300])
    for old in (1, 256, 300, 512, 564):
        assert store.consistency_path(old, 564) == naive_proof(old, tree)
    store.close()


def test_no_proof_is_made_of_what_is_not_there(tmp_path: Path) -> None:
    store = opened(tmp_path)
    grow(store, 5)
    with pytest.raises(ValueError, match="no such leaf"):
        store.inclusion_path(5, 5)
    with pytest.raises(ValueError, match="has 5 leaves"):
        store.inclusion_path(0, 6)
    with pytest.raises(ValueError, match="octets"):
        store.append([b"short"])
    store.close()


def test_tiles_and_bundles_are_given_as_far_as_the_tree_is_published(tmp_path: Path) -> None:
    store = opened(tmp_path)
    assert store.read_tile(Tile(0, 0, 1)) is None
    grow(store, 700)
    grow(store, 100, publish=False)
    assert len(store.read_tile(Tile(0, 1)) or b"") == 8192
    assert len(store.read_tile(Tile(0, 2, 188)) or b"") == 188 * 32
    assert store.read_tile(Tile(0, 2, 189)) is None
    assert store.read_tile(Tile(1, 0, 3)) is None
    assert len(store.read_tile(Tile(1, 0, 2)) or b"") == 64
    assert store.read_tile(Tile(7, 10**20)) is None
    assert decode_bundle(store.read_bundle(Bundle(2, 188)) or b"", 188) == entries(512, 700)
    assert store.read_bundle(Bundle(2)) is None
    store.close()


@pytest.mark.parametrize("count", [1, 200, 600])
def test_what_was_written_and_not_signed_is_cut_off(tmp_path: Path, count: int) -> None:
    store = opened(tmp_path)
    grow(store, 300)
    store.append(entries(9_000, 9_000 + count))
    store.close()  # as a crash before the commit leaves it
    store = opened(tmp_path)
    assert store.size == 300
    grow(store, 5)
    assert store.committed is not None
    assert store.committed.checkpoint.root == naive_root(entries(0, 305))
    store.close()


def test_an_append_that_is_not_committed_does_not_count(tmp_path: Path) -> None:
    store = opened(tmp_path)
    grow(store, 3)
    store.append(entries(50, 80))
    grow(store, 2)
    assert store.committed is not None
    assert store.committed.checkpoint.root == naive_root(entries(0, 5))
    store.close()


def test_a_full_disk_leaves_the_log_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(tmp_path)
    grow(store, 300)
    pwrite, written = os.pwrite, 0

    def full(file: int, data: memoryview, place: int) -> int:
        nonlocal written
        written += 1
        if written > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return pwrite(file, data[: max(len(data) // 2, 1)], place)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="space"):
        store.append(entries(300, 900))
    monkeypatch.undo()
    grow(store, 4)
    assert store.committed is not None
    assert store.committed.checkpoint.root == naive_root(entries(0, 304))
    store.close()


def test_two_processes_do_not_write_one_log(tmp_path: Path) -> None:
    store = opened(tmp_path)
    with pytest.raises(OSError, match="unavailable"):
        opened(tmp_path)
    store.close()
    opened(tmp_path).close()


@pytest.mark.parametrize("name", ["entries", "nodes-00", "nodes-08", "nodes-09"])
def test_a_lost_file_is_noticed_and_not_made_up_for(tmp_path: Path, name: str) -> None:
    store = opened(tmp_path)
    grow(store, 600)
    store.close()
    (tmp_path / name).unlink()
    with pytest.raises(LogCorrupted, match="missing"):
        opened(tmp_path)


@pytest.mark.parametrize("name", ["entries", "nodes-00", "nodes-09"])
def test_an_edge_that_was_changed_is_noticed(tmp_path: Path, name: str) -> None:
    store = opened(tmp_path)
    grow(store, 600)
    store.close()
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    with pytest.raises(LogCorrupted):
        opened(tmp_path)


def test_a_checkpoint_of_another_key_is_noticed(tmp_path: Path) -> None:
    store = opened(tmp_path)
    grow(store, 5)
    store.close()
    with pytest.raises(LogCorrupted, match="wrong_log"):
        LogStore(tmp_path, log_signer(2).verifier)


def test_a_checkpoint_older_than_what_was_published_is_noticed(tmp_path: Path) -> None:
    store = opened(tmp_path)
    grow(store, 5)
    store.close()
    shutil.copy(tmp_path / "checkpoint", tmp_path / "old")
    store = opened(tmp_path)
    grow(store, 5)
    store.close()
    (tmp_path / "old").replace(tmp_path / "checkpoint")
    with pytest.raises(LogCorrupted, match="published"):
        opened(tmp_path)


def test_proofs_of_a_large_tree_hold(tmp_path: Path) -> None:
    store = opened(tmp_path)
    roots = {}
    for count in (70_000, 1, 5_000):
        grow(store, count)
        assert store.committed is not None
        roots[store.size] = store.committed.checkpoint.root
    size = store.size
    for index in (0, 65_535, 65_536, 69_999, 70_000, size - 1):
        leaf = store.inclusion_path(index ^ 1, size)[0] if (index ^ 1) < size else None
        found = store._node(0, index)
        assert leaf in (found, None)
        assert verify_inclusion(found, index, size, store.inclusion_path(index, size), roots[size])
    for old in (70_000, 70_001):
        path = store.consistency_path(old, size)
        assert verify_consistency(old, roots[old], size, roots[size], path)
    store.close()
