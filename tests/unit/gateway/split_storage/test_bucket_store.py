"""The bucket store's file: buckets that grow, entries that end, limits, what a restart keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from discovery.privacy.split_storage import BUCKET_OCTETS, SEALED_SIZES, bucket_of, encode_bucket
from gateway.split_storage.bucket_store import (
    MAX_GENERATIONS,
    BucketStore,
    StoreRefused,
    StoreUnavailable,
    WrongPrefix,
)

GENERATION = "a" * 16
SMALL, MIDDLE, LARGE = sorted(SEALED_SIZES)
NOW = 1_795_000_000.0


def label(number: int) -> bytes:
    return (number * 0x9E3779B1 % 2**32).to_bytes(4, "big") + number.to_bytes(28, "big")


def make(folder: Path, max_entries: int = 10_000) -> BucketStore:
    return BucketStore(folder / "buckets.db", max_entries=max_entries)


def test_the_prefix_grows_until_every_bucket_fits(tmp_path: Path) -> None:
    store = make(tmp_path)
    for start in range(0, 2_000, 16):
        entries = [(label(number), bytes(SMALL)) for number in range(start, start + 16)]
        store.put(GENERATION, entries, NOW)
    bits = store.generations[GENERATION].bits
    assert 7 <= bits <= 10
    found: set[bytes] = set()
    for number in range(1 << bits):
        bucket = store.bucket(GENERATION, bits, number)
        assert {bucket_of(held, bits) for held, _ in bucket} <= {number}
        assert len(encode_bucket(bucket)) == BUCKET_OCTETS
        found |= {held for held, _ in bucket}
    assert found == {label(number) for number in range(2_000)}
    with pytest.raises(WrongPrefix):
        store.bucket(GENERATION, bits - 1, 0)
    with pytest.raises(KeyError):
        store.bucket("b" * 16, 0, 0)
    store.close()


def test_large_entries_count_by_their_size(tmp_path: Path) -> None:
    store = make(tmp_path)
    store.put(GENERATION, [(label(number), bytes(LARGE)) for number in range(4)], NOW)
    assert store.generations[GENERATION].bits == 0
    store.put(GENERATION, [(label(number), bytes(MIDDLE)) for number in range(4, 7)], NOW)
    assert store.generations[GENERATION].bits >= 1
    store.close()


def test_labels_that_begin_alike_are_refused_and_nothing_of_the_request_is_kept(
    tmp_path: Path,
) -> None:
    store = make(tmp_path)
    alike = [(bytes(28) + number.to_bytes(4, "big"), bytes(SMALL)) for number in range(20)]
    store.put(GENERATION, alike[:10], NOW)
    with pytest.raises(StoreRefused, match="begin alike"):
        store.put(GENERATION, alike[10:], NOW)
    assert store.entries == 10
    assert store.generations[GENERATION].bits == 0
    assert len(store.bucket(GENERATION, 0, 0)) == 10
    store.close()


def test_an_entry_replaces_the_former_one_of_its_label(tmp_path: Path) -> None:
    store = make(tmp_path)
    store.put(GENERATION, [(label(1), bytes(SMALL)), (label(1), b"x" * SMALL)], NOW)
    store.put(GENERATION, [(label(1), b"y" * SMALL)], NOW)
    assert store.bucket(GENERATION, 0, 0) == [(label(1), b"y" * SMALL)]
    assert store.entries == 1
    store.remove(GENERATION, [label(1), label(2)])
    assert store.entries == 0
    store.close()


def test_entries_end_that_nobody_renews(tmp_path: Path) -> None:
    store = make(tmp_path)
    store.put(GENERATION, [(label(1), bytes(SMALL))], NOW)
    store.put(GENERATION, [(label(2), bytes(SMALL))], NOW + 100)
    assert store.sweep(NOW) == 0
    assert store.sweep(NOW + 50) == 1
    assert [held for held, _ in store.bucket(GENERATION, 0, 0)] == [label(2)]
    store.close()


def test_there_is_a_limit_of_entries_and_of_generations(tmp_path: Path) -> None:
    store = make(tmp_path, max_entries=2)
    store.put(GENERATION, [(label(1), bytes(SMALL)), (label(2), bytes(SMALL))], NOW)
    with pytest.raises(StoreRefused, match="entries"):
        store.put(GENERATION, [(label(3), bytes(SMALL))], NOW)
    store.put(GENERATION, [(label(2), b"x" * SMALL)], NOW)
    for number in range(1, MAX_GENERATIONS):
        store.complete(str(number) * 16)
    with pytest.raises(StoreRefused):
        store.complete("f" * 16)
    with pytest.raises(StoreRefused):
        store.put("f" * 16, [(label(2), bytes(SMALL))], NOW)
    store.drop(GENERATION)
    assert (store.entries, GENERATION in store.generations) == (0, False)
    store.close()


def test_a_restart_keeps_everything_and_another_file_is_another_store(tmp_path: Path) -> None:
    store = make(tmp_path)
    store.put(GENERATION, [(label(n), bytes(SMALL)) for n in range(16)], NOW)
    store.put(GENERATION, [(label(n), bytes(SMALL)) for n in range(16, 32)], NOW)
    store.complete(GENERATION)
    before = (store.instance, store.entries, store.generations)
    store.close()
    again = make(tmp_path)
    assert (again.instance, again.entries, again.generations) == before
    again.close()
    other = make(tmp_path / "other")
    assert other.instance != before[0]
    other.close()
    (tmp_path / "buckets.db").write_bytes(b"no database" * 1_000)
    with pytest.raises(StoreUnavailable):
        make(tmp_path)
