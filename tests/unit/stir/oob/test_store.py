"""What a call placement service holds: for seconds, and from nobody too much."""

from __future__ import annotations

import os
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stir.oob.rate import Rate, TokenBuckets
from stir.oob.store import PlacementStore, StoreFull, StoreLimits

DEST, ORIG = "12125550123", "14155550100"
ALPHA, MALLORY = b"alpha", b"mallory"


def store(**limits: float) -> PlacementStore:
    return PlacementStore(StoreLimits(**limits), os.urandom)  # type: ignore[arg-type]


def test_what_was_stored_is_found_until_its_time_is_over() -> None:
    held = store(lifetime=15)
    held.add(DEST, ORIG, ALPHA, ("token",), 100.0)
    assert held.find(DEST, ORIG, 114.9) == (("token",),)
    assert held.find(DEST, ORIG, 115.0) == ()
    assert (len(held), held.octets) == (0, 0)


def test_the_two_forms_and_other_numbers_are_other_places() -> None:
    held = store()
    held.add(DEST, None, ALPHA, ("sealed",), 0)
    assert held.find(DEST, ORIG, 1) == ()
    assert held.find("12125550124", None, 1) == ()
    assert held.find(DEST, None, 1) == (("sealed",),)


def test_the_same_content_again_is_kept_once() -> None:
    held = store()
    held.add(DEST, ORIG, ALPHA, ("token",), 0)
    held.add(DEST, ORIG, MALLORY, ("token",), 1)
    assert len(held) == 1


def test_a_publisher_displaces_its_own_oldest_entry_at_a_number() -> None:
    held = store(per_publisher_and_place=2)
    held.add(DEST, None, ALPHA, ("good",), 0)
    for number in range(50):
        held.add(DEST, None, MALLORY, (f"junk {number}",), 1)
    assert held.find(DEST, None, 2) == (("junk 49",), ("junk 48",), ("good",))
    assert held.displaced == 48


def test_a_full_number_displaces_the_one_who_filled_it() -> None:
    held = store(per_place=4, per_publisher_and_place=4)
    held.add(DEST, None, ALPHA, ("good",), 0)
    for number in range(3):
        held.add(DEST, None, MALLORY, (f"junk {number}",), 1)
    held.add(DEST, None, b"gamma", ("also good",), 2)
    contents = {content[0] for content in held.find(DEST, None, 3)}
    assert {"good", "also good"} <= contents


def test_a_publisher_has_a_share_and_the_store_an_end() -> None:
    held = store(per_publisher=3, total=4)
    for number in range(3):
        held.add(f"1212555012{number}", None, MALLORY, ("x",), 0)
    with pytest.raises(StoreFull) as share:
        held.add("12125550129", None, MALLORY, ("x",), 0)
    held.add("12125550128", None, ALPHA, ("x",), 0)
    with pytest.raises(StoreFull) as end:
        held.add("12125550129", None, ALPHA, ("x",), 0)
    assert (share.value.publisher, end.value.publisher) == (True, False)


def test_the_memory_has_an_end() -> None:
    held = store(octets=100)
    held.add(DEST, None, ALPHA, ("x" * 60,), 0)
    with pytest.raises(StoreFull):
        held.add("12125550129", None, ALPHA, ("y" * 60,), 0)


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcd"),
            st.sampled_from([b"p", b"q", b"r"]),
            st.integers(0, 9),
            st.floats(0, 5),
        ),
        max_size=60,
    )
)
def test_whatever_is_stored_the_bounds_hold_and_the_counts_agree(
    steps: list[tuple[str, bytes, int, float]],
) -> None:
    limits = StoreLimits(
        lifetime=8, per_place=4, per_publisher_and_place=2, per_publisher=6, total=9, octets=40
    )
    held, now = PlacementStore(limits, os.urandom), 0.0
    for dest, publisher, content, pause in steps:
        now += pause
        with suppress(StoreFull):
            held.add(dest, None, publisher, ("x" * content,), now)
        assert len(held) <= 9
        assert held.octets <= 40
        assert len(held.find(dest, None, now)) <= 4
    for dest in "abcd":
        assert held.find(dest, None, now + 9) == ()
    assert (len(held), held.octets) == (0, 0)
    assert not held._places
    assert not held._publishers


def test_a_bucket_gives_its_burst_then_its_rate() -> None:
    buckets = TokenBuckets(Rate(per_second=2, burst=3))
    assert [buckets.take("a", 0.0) for _ in range(4)] == [True, True, True, False]
    assert buckets.take("b", 0.0)
    assert not buckets.take("a", 0.4)
    assert buckets.take("a", 1.0)


def test_keys_are_bounded() -> None:
    buckets = TokenBuckets(Rate(1, 1), max_keys=10)
    for number in range(100):
        buckets.take(str(number), 0.0)
    assert len(buckets) == 10
