"""When renewal is tried, how long is waited after failures, and what becomes of the signer."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.renewal.service import Pace, RenewalService
from gateway.renewal.store import CertificateStore, Failure, HeldCertificate, LockedElsewhere
from stir.acme.problem import AcmeError, Fault, Later
from tests.support.stir_authority import NOW
from tests.support.virtual_loop import VirtualLoop

PACE = Pace(tick=1800, first_backoff=30, longest_backoff=3600, jitter=0.0)
DAY = 86_400.0
QUICK = pytest.mark.parametrize("scene", [Pace(tick=60, jitter=0.0)], indirect=True)


class Scene:
    """A renewal whose outcome is written down beforehand, on a virtual clock."""

    def __init__(self, folder: Path, *, pace: Pace = PACE) -> None:
        self.loop = VirtualLoop()
        self.store = CertificateStore(folder)
        self.outcomes: list[Exception | None] = []
        self.tried: list[float] = []
        self.days_left, self.name = 30.0, "first"
        self.reloads = 0
        self.ends = NOW + 30 * DAY
        self.renew_at = NOW + 20 * DAY
        self.tidied = 0
        fake: Any = self
        self.service = RenewalService(
            fake, self.store, fake, self.now, pace=pace, random=random.Random(1)
        )

    def pass_time(self, seconds: float) -> None:
        """Let time pass from timer to timer."""
        end = self.loop.time() + seconds
        while True:
            timers = [timer.when() for timer in self.loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
            following = min(timers, default=end)
            if following >= end:
                break
            self.loop.advance(max(following - self.loop.time(), 0.001))
        self.loop.advance(max(end - self.loop.time(), 0.0))

    def now(self) -> float:
        return NOW + self.loop.time()

    # the renewal
    def due(self) -> float:
        return self.renew_at

    async def renew(self) -> None:
        self.tried.append(self.loop.time())
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if outcome is not None:
            raise outcome
        self.renew_at = self.now() + 20 * DAY

    async def restore_publication(self) -> None:
        return

    def tidy(self) -> None:
        self.tidied += 1

    def note_failure(self, error: AcmeError) -> Failure:
        return Failure(self.now(), 1, error.text, str(error.fault), error.advice)

    # the signer
    def reload(self) -> None:
        self.reloads += 1
        current = self.store.current()
        if current is not None:
            self.name = current.name


@pytest.fixture
def scene(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Scene]:
    made = Scene(tmp_path, pace=getattr(request, "param", PACE))
    yield made
    made.loop.result(made.service.stop())
    made.loop.finish()


FAILED = AcmeError("no", fault=Fault.NETWORK, advice="wait")


def start(scene: Scene) -> None:
    scene.loop.do(scene.service.start)


def test_nothing_is_asked_before_its_time(scene: Scene) -> None:
    start(scene)
    scene.pass_time(20 * DAY - 120)
    assert scene.tried == []
    scene.pass_time(180)
    assert len(scene.tried) == 1
    assert scene.reloads == 1
    scene.pass_time(15 * DAY)
    assert len(scene.tried) == 1


def test_an_overdue_certificate_is_renewed_at_start(scene: Scene) -> None:
    scene.renew_at = NOW - 1
    start(scene)
    scene.pass_time(1)
    assert scene.tried == [0.0]


def test_failures_are_followed_by_longer_and_longer_pauses(scene: Scene) -> None:
    scene.renew_at = 0.0
    scene.outcomes = [FAILED] * 12
    start(scene)
    scene.pass_time(2 * DAY)
    pauses = [round(b - a) for a, b in zip(scene.tried, scene.tried[1:], strict=False)]
    assert pauses[:12] == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600, 3600]
    assert scene.service.outcomes == {"renewed": 1, "failed": 12, "delayed": 0}
    assert scene.service.failures_in_a_row == 0


def test_the_less_time_is_left_the_oftener_it_is_tried(scene: Scene) -> None:
    scene.renew_at, scene.days_left = 0.0, 600 / DAY
    scene.outcomes = [FAILED] * 6
    start(scene)
    scene.pass_time(3600)
    pauses = [round(b - a) for a, b in zip(scene.tried, scene.tried[1:], strict=False)]
    assert pauses == [30, 60, 60, 60, 60, 60]


def test_a_time_the_authority_names_is_kept(scene: Scene) -> None:
    scene.renew_at = 0.0
    scene.outcomes = [Later("rateLimited", 5000.0)]
    start(scene)
    scene.pass_time(10_000)
    assert scene.tried == [0.0, pytest.approx(5000, abs=1)]
    assert scene.service.outcomes["delayed"] == 1


@QUICK
def test_another_process_at_work_is_waited_for_without_a_failure(scene: Scene) -> None:
    scene.renew_at = 0.0
    scene.outcomes = [LockedElsewhere("busy", fault=Fault.OURS, advice="wait")]
    start(scene)
    scene.pass_time(61)
    assert len(scene.tried) == 2
    assert scene.service.outcomes["failed"] == 0


@QUICK
def test_what_the_command_line_obtained_is_signed_with_within_a_minute(scene: Scene) -> None:
    start(scene)
    scene.pass_time(10)
    assert scene.reloads == 0
    held = HeldCertificate("second", "https://x/second.pem", "id", NOW, NOW + 30 * DAY)
    scene.store.switch(held, NOW)
    scene.pass_time(60)
    assert (scene.reloads, scene.name) == (1, "second")
    scene.pass_time(600)
    assert scene.reloads == 1


@QUICK
def test_a_damaged_folder_is_told_and_does_not_end_the_service(scene: Scene) -> None:
    start(scene)
    scene.pass_time(1)
    (scene.store.folder).mkdir(exist_ok=True)
    (scene.store.folder / "current.json").write_text("{}")
    scene.pass_time(120)
    assert scene.service.outcomes["failed"] >= 1
    (scene.store.folder / "current.json").unlink()
    scene.renew_at = 0.0
    scene.pass_time(7200)
    assert scene.service.outcomes["renewed"] == 1


def test_chance_only_ever_brings_renewal_forward(tmp_path: Path) -> None:
    scene = Scene(tmp_path, pace=Pace(tick=3600, jitter=0.05))
    start(scene)
    scene.pass_time(20 * DAY + 60)
    assert 18.9 * DAY < scene.tried[0] <= 20 * DAY + 60
    scene.loop.result(scene.service.stop())
    scene.loop.finish()
