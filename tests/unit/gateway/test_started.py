"""What a process does once all of it has been made."""

import gc
from collections.abc import Iterator

import pytest

from gateway.started import settle_memory


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def test_what_start_up_made_is_not_searched_for_cycles_again() -> None:
    made = [[number] for number in range(1_000)]
    settle_memory()
    assert gc.get_freeze_count() >= len(made)
    assert not any(each is made for each in gc.get_objects())


def test_cycles_that_come_later_are_still_found() -> None:
    settle_memory()
    cycle: list[object] = []
    cycle.append(cycle)
    del cycle
    assert gc.collect() >= 1
