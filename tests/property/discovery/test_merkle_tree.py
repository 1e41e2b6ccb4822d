"""The tree, its tiles and its proofs against the definition, for any size and any pair of sizes."""

from __future__ import annotations

import contextlib
from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from discovery.log.merkle import (
    CompactRange,
    hash_leaf,
    verify_consistency,
    verify_inclusion,
)
from discovery.log.reason import LogRefused
from discovery.log.tile_proofs import (
    consistency_path,
    consistency_spans,
    inclusion_path,
    inclusion_spans,
    node_hashes,
    root_of,
    span_hashes,
    tiles_of,
)
from discovery.log.tiles import (
    Bundle,
    Tile,
    bundles,
    decode_bundle,
    encode_bundle,
    parse_index_path,
    tile_width,
)
from tests.support.log_world import MemoryLog
from tests.support.naive_tree import naive_path, naive_proof, naive_root

ENTRIES = [number.to_bytes(4, "big") for number in range(700)]
SIZES = st.integers(1, len(ENTRIES))
HASHES = st.binary(min_size=32, max_size=32)


@cache
def whole() -> MemoryLog:
    log = MemoryLog()
    log.append_raw(ENTRIES)
    return log


@given(SIZES, st.data())
def test_inclusion_proofs_are_those_of_the_definition(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    path = inclusion_path(index, size, whole().read)
    root = naive_root(ENTRIES[:size])
    assert path == naive_path(index, ENTRIES[:size])
    assert root_of(size, len(ENTRIES), whole().read) == root
    assert verify_inclusion(hash_leaf(ENTRIES[index]), index, size, path, root)
    other = data.draw(st.integers(0, size - 1).filter(lambda n: n != index)) if size > 1 else 1
    assert not verify_inclusion(hash_leaf(ENTRIES[other]), index, size, path, root)
    assert not verify_inclusion(hash_leaf(ENTRIES[index]), other, size, path, root)
    assert not verify_inclusion(hash_leaf(ENTRIES[index]), index, size, [*path, root], root)
    assert not verify_inclusion(hash_leaf(ENTRIES[index]), index, size, path[:-1], root) or not path


@given(SIZES, SIZES)
def test_consistency_proofs_are_those_of_the_definition(one: int, two: int) -> None:
    old, new = sorted((one, two))
    path = consistency_path(old, new, whole().read)
    old_root, new_root = naive_root(ENTRIES[:old]), naive_root(ENTRIES[:new])
    assert path == naive_proof(old, ENTRIES[:new])
    assert verify_consistency(old, old_root, new, new_root, path)
    forked = naive_root([*ENTRIES[: old - 1], b"another"])
    assert not verify_consistency(old, forked, new, new_root, path)
    if path:
        assert not verify_consistency(old, old_root, new, new_root, path[:-1])
    assert not verify_consistency(old, old_root, new, new_root, [*path, new_root])


@given(st.lists(st.integers(0, 300), max_size=6))
def test_a_tree_grown_in_pieces_is_the_tree_grown_at_once(pieces: list[int]) -> None:
    log = MemoryLog()
    for piece in pieces:
        size = log.tree.size
        log.append_raw((ENTRIES * 3)[size : size + piece])
        log.tree = CompactRange(log.tree.size, log.tree.roots)
    size = sum(pieces)
    assert log.tree.size == size
    assert log.tree.root() == naive_root((ENTRIES * 3)[:size])
    for height, nodes in enumerate(log.nodes):
        assert len(nodes) == size >> height
        if nodes:
            first = (ENTRIES * 3)[(len(nodes) - 1) << height : len(nodes) << height]
            assert nodes[-1] == naive_root(first)


@given(SIZES, SIZES)
def test_nodes_and_tiles_give_the_same_hashes(one: int, two: int) -> None:
    old, new = sorted((one, two))
    spans = consistency_spans(old, new) + inclusion_spans(old - 1, new)
    nodes = node_hashes(spans, lambda height, position: whole().nodes[height][position])
    assert nodes == span_hashes(spans, new, whole().read)


@given(st.integers(1, 2**63 - 1), st.data())
def test_a_proof_of_the_largest_tree_takes_few_tiles(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    spans = inclusion_spans(index, size)
    assert len(spans) <= 63
    tiles = tiles_of(spans, size)
    assert len(tiles) <= 16
    assert all(tile.width == tile_width(tile.level, tile.index, size) > 0 for tile in tiles)
    older = data.draw(st.integers(0, size))
    assert len(consistency_spans(older, size)) <= 64


def test_the_longest_consistency_proof_holds_one_hash_more_than_any_inclusion_proof() -> None:
    assert len(consistency_spans(3, 2**62 + 1)) == 64
    assert len(consistency_spans(3, 2**62)) == 63


@given(st.integers(0, 2**55), st.integers(1, 256))
def test_a_path_leads_back_to_its_tile(index: int, width: int) -> None:
    for path in (Tile(3, index, width).path, Bundle(index, width).path):
        assert parse_index_path(path.split("/", 2)[2]) == (index, width)


@given(st.text(alphabet="x0123456789/.p", max_size=24))
def test_every_tile_has_one_path(text: str) -> None:
    try:
        index, width = parse_index_path(text)
    except LogRefused:
        return
    assert Tile(0, index, width).path == f"tile/0/{text}"


@given(st.lists(st.binary(max_size=80), max_size=20), st.binary(max_size=200), st.integers(0, 256))
def test_bundles_come_back_and_broken_ones_are_refused(
    entries: list[bytes], noise: bytes, width: int
) -> None:
    assert decode_bundle(encode_bundle(entries), len(entries)) == entries
    with contextlib.suppress(LogRefused):
        assert encode_bundle(decode_bundle(noise, width)) == noise


@given(st.integers(0, 5000), st.integers(0, 5000))
def test_bundles_cover_what_is_new(one: int, two: int) -> None:
    start, end = sorted((one, two))
    covered = [
        n for b in bundles(start, end) for n in range(b.index * 256, b.index * 256 + b.width)
    ]
    assert set(range(start, end)) <= set(covered)
    assert not covered or covered[-1] == end - 1


@given(
    st.integers(-1, 2**64), HASHES, st.integers(-1, 2**64), HASHES, st.lists(HASHES, max_size=70)
)
def test_verifying_noise_is_false_and_nothing_else(
    one: int, root: bytes, two: int, other: bytes, path: list[bytes]
) -> None:
    assert not verify_inclusion(root, one, two, path, other) or not path
    if root != other:
        assert not verify_consistency(one, root, two, other, path)
