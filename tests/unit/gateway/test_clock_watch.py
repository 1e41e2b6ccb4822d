"""G5 of the security bar: our own clock is held against those of certificate servers."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from gateway.clock_watch import ClockWatch
from tests.support.stir_authority import NOW, StirWorld


@pytest.fixture(scope="module")
def world() -> StirWorld:
    return StirWorld()


class Scene:
    def __init__(self, world: StirWorld, *, trusted: bool = True) -> None:
        self.credential = world.credential
        self.steady = 1_000.0
        self.watch = ClockWatch(lambda _: trusted, steady=lambda: self.steady)

    def answer(self, host: str, ahead: float, **headers: str) -> None:
        """An answer of a host with the right time; our clock is ahead of it by so much."""
        fields = {"date": formatdate(NOW, usegmt=True), **headers}
        self.watch.answered(f"https://{host}/c.pem", fields, self.credential, NOW + ahead)


@pytest.mark.parametrize("ahead", [90.0, -90.0])
def test_a_clock_that_is_off_is_told_when_two_servers_agree(world: StirWorld, ahead: float) -> None:
    scene = Scene(world)
    scene.answer("a.example", ahead)
    assert (scene.watch.wrong, scene.watch.offset) == (False, None), "one server may be wrong"
    scene.answer("a.example", ahead)
    assert not scene.watch.wrong
    scene.answer("b.example", ahead)
    assert scene.watch.wrong
    assert scene.watch.offset == ahead
    for host in ("a.example", "b.example"):
        scene.answer(host, 0.4)
    assert not scene.watch.wrong


def test_a_minority_with_odd_clocks_says_nothing_about_ours(world: StirWorld) -> None:
    scene = Scene(world)
    for host, ahead in (("a", 90.0), ("b", -3000.0), ("c", 0.2), ("d", 0.1)):
        scene.answer(f"{host}.example", ahead)
    assert not scene.watch.wrong


def test_whoever_has_no_trusted_certificate_has_no_say(world: StirWorld) -> None:
    scene = Scene(world, trusted=False)
    for number in range(5):
        scene.answer(f"{number}.example", 90.0)
    assert scene.watch.offset is None


@pytest.mark.parametrize(
    "headers",
    [
        {"date": ""},
        {"date": "yesterday"},
        {"date": "Sat, 99 Nov 2026 99:99:99 GMT"},
        {"date": "9" * 5000},
        {"age": "-5"},
        {"age": "٣"},
        {"age": "9" * 50},
    ],
)
def test_an_answer_without_a_usable_date_does_not_count(
    world: StirWorld, headers: dict[str, str]
) -> None:
    scene = Scene(world)
    for host in ("a.example", "b.example"):
        scene.answer(host, 90.0, **headers)
    assert not scene.watch.wrong


def test_an_answer_from_a_cache_counts_with_its_age(world: StirWorld) -> None:
    scene = Scene(world)
    for host in ("a.example", "b.example"):
        scene.answer(host, 600.0, age="600")
    assert scene.watch.offset == 0.0


def test_what_was_seen_is_bounded_and_forgotten(world: StirWorld) -> None:
    scene = Scene(world)
    for number in range(16):
        scene.answer(f"old{number}.example", 90.0)
    assert scene.watch.wrong
    for number in range(16):
        scene.answer(f"new{number}.example", 0.0)
    assert scene.watch.offset == 0.0, "the last sixteen count"
    scene.steady += 3_601
    assert scene.watch.offset is None
