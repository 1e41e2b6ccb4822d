"""Renewal while the gateway runs: at start, then when the certificate's time has come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random, SystemRandom

import structlog

from gateway.renewal.credential import Signer
from gateway.renewal.renewal import Renewal
from gateway.renewal.store import CertificateStore, LockedElsewhere
from stir.acme.problem import AcmeError, Later

_log = structlog.get_logger("spingate.certificate")


@dataclass(frozen=True, slots=True)
class Pace:
    """How often is looked, and how long is waited after failures, in seconds.

    jitter: the part of the time until renewal that chance may take off, so that gateways started
    together do not ask together.
    """

    tick: float = 60.0
    first_backoff: float = 30.0
    longest_backoff: float = 3_600.0
    jitter: float = 0.05


class RenewalService:
    """Renews in the background and has the signer follow; calls never wait for it."""

    def __init__(
        self,
        renewal: Renewal,
        store: CertificateStore,
        signer: Signer,
        wall_clock: Callable[[], float],
        *,
        pace: Pace | None = None,
        random: Random | None = None,
    ) -> None:
        self._renewal = renewal
        self._store = store
        self._signer = signer
        self._wall_clock = wall_clock
        self._pace = pace or Pace()
        self._random = random or SystemRandom()
        self._early = self._random.random() * self._pace.jitter
        self._not_before = 0.0
        self._task: asyncio.Task[None] | None = None
        self.outcomes = {"renewed": 0, "failed": 0, "delayed": 0}
        self.failures_in_a_row = 0

    def start(self) -> None:
        """Begin to look after the certificate."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="renewal")

    async def stop(self) -> None:
        """End; an order under way is continued at the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._look()
            await asyncio.sleep(self._pause())

    async def _look(self) -> None:
        """Follow the store, tidy, and renew if it is time."""
        try:
            current = self._store.current()
            if current is not None and current.name != self._signer.name:
                self._signer.reload()
            await self._renewal.restore_publication()
            self._renewal.tidy()
            if self._wall_clock() >= max(self._when(), self._not_before):
                await self._renew()
        except LockedElsewhere:
            return
        except Later as error:
            self._delayed(error)
        except AcmeError as error:
            self._failed(error)

    def _when(self) -> float:
        due, now = self._renewal.due(), self._wall_clock()
        return due - max(due - now, 0.0) * self._early if due else 0.0

    def _pause(self) -> float:
        try:
            wanted = max(self._when(), self._not_before) - self._wall_clock()
        except AcmeError:
            wanted = self._pace.tick
        return min(max(wanted, self._pace.tick / 60), self._pace.tick)

    async def _renew(self) -> None:
        await self._renewal.renew()
        self._signer.reload()
        self.outcomes["renewed"] += 1
        self.failures_in_a_row = 0
        self._not_before = 0.0
        self._early = self._random.random() * self._pace.jitter

    def _delayed(self, error: Later) -> None:
        """The authority named a time: keep to it."""
        self.outcomes["delayed"] += 1
        self._not_before = self._wall_clock() + error.seconds
        _log.info("certificate renewal put off", detail=error.text, seconds=round(error.seconds))

    def _failed(self, error: AcmeError) -> None:
        self.outcomes["failed"] += 1
        self.failures_in_a_row += 1
        failure = self._renewal.note_failure(error)
        pace = self._pace
        backoff = min(
            pace.first_backoff * 2 ** min(self.failures_in_a_row - 1, 20), pace.longest_backoff
        )
        # The shorter the time that is left, the more often it is tried.
        left = max(self._signer.days_left * 86_400.0, 0.0)
        backoff = max(min(backoff, left / 10), pace.first_backoff)
        pause = backoff * (1 + self._random.random() * pace.jitter)
        self._not_before = self._wall_clock() + pause
        _log.error(
            "certificate renewal failed: the old certificate signs on",
            detail=failure.text,
            fault=failure.fault,
            advice=failure.advice,
            attempts=self.failures_in_a_row,
            days_left=round(self._signer.days_left, 2),
            next_attempt_seconds=round(pause),
        )
