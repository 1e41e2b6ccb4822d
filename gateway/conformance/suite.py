"""Running the cases against a target, one after the other and not too fast."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Protocol

from gateway.conformance.case import Attempt, Case, Observation, Outcome, Workshop, assess
from gateway.conformance.cases import CASES
from gateway.conformance.credentials import Credentials


class Target(Protocol):
    """Whoever is tested; `now` is in epoch seconds."""

    async def attempt(self, attempt: Attempt, now: float) -> Observation: ...

    async def learn(self, attempt: Attempt, now: float) -> None: ...


async def run(
    target: Target,
    workshop: Workshop,
    *,
    served: bool,
    pause: float,
    chosen: Sequence[str] = (),
) -> AsyncIterator[Outcome]:
    """Yield the outcome of every case, or of those chosen by name, in order.

    `served`: whether the suite's own certificates can be fetched; cases that need them are skipped
    otherwise. `pause`: seconds between two cases.
    """
    first = next(case for case in CASES if case.name == "valid")
    await target.learn(first.build(_now(workshop)), time.time())
    for case in CASES:
        if chosen and case.name not in chosen:
            continue
        await asyncio.sleep(pause)
        yield await _try(target, case, _now(workshop), served=served)


async def _try(target: Target, case: Case, workshop: Workshop, *, served: bool) -> Outcome:
    attempt = case.build(workshop)
    if not served and _is_ours(attempt, workshop.credentials):
        why = "its certificate is not served: give --serve and --base-url"
        return assess(case, Observation("untried", detail=why))
    if case.name == "http" and workshop.credentials.base_url.startswith("http:"):
        why = "all certificates are served by plain http here"
        return assess(case, Observation("untried", detail=why))
    return assess(case, await target.attempt(attempt, float(workshop.now)))


def _is_ours(attempt: Attempt, credentials: Credentials) -> bool:
    """Whether a certificate of the suite's own repository is needed."""
    return any(f"info=<{credentials.base_url}/" in value for value in attempt.identities)


def _now(workshop: Workshop) -> Workshop:
    return replace(workshop, now=int(time.time()))
