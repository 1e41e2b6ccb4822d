"""The fuzz targets hold on their seed corpora, every way of cutting a seed short, and changes."""

import random
from pathlib import Path

import pytest

from tests.fuzz.discovery.enum.targets import TARGETS

SEEDS = sorted(path for path in (Path(__file__).parent / "corpus").glob("*/*") if path.is_file())


def test_every_target_has_seeds() -> None:
    assert {seed.parent.name for seed in SEEDS} == set(TARGETS)


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"{seed.parent.name}/{seed.name}")
def test_seeds_and_their_beginnings(seed: Path) -> None:
    data = seed.read_bytes()
    target = TARGETS[seed.parent.name]
    for end in range(0, len(data) + 1, max(1, len(data) // 40)):
        target(data[:end])
    target(data)


def test_changed_answers_are_never_believed() -> None:
    dice = random.Random(6116)
    for _ in range(400):
        TARGETS["dnssec"](bytes(dice.randrange(256) for _ in range(1 + 3 * dice.randrange(1, 4))))
