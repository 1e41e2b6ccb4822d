"""A mapping found by SPIN is soft state: it is used while it lives, and asked for again after."""

from __future__ import annotations

import asyncio
import time

import pytest

from gateway.demo.scene import BOB
from tests.support.stir_peer import Caller, Handset, pbx
from tests.support.troubled_scene import TroubledScene, metric

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

LIFETIME = 3.0
SETTINGS = {"discovery": {"cache_seconds": LIFETIME}}


async def sent_by_a_call(scene: TroubledScene, trunk: Caller, call_id: str) -> int:
    """Call Bob; return how many short messages that took."""
    before = len(scene.smsc.history)
    response = await trunk.call(to=BOB, domain="alpha.example", call_id=call_id)
    assert response.status_code == 486
    return len(scene.smsc.history) - before


async def test_a_mapping_serves_calls_until_its_life_is_over(
    scene: TroubledScene, bob: Handset
) -> None:
    async with pbx(scene) as trunk:
        assert await sent_by_a_call(scene, trunk, "first@pbx") > 0
        found = time.monotonic()
        assert await sent_by_a_call(scene, trunk, "second@pbx") == 0
        assert time.monotonic() - found < LIFETIME, "this machine is too slow for the test"
        await asyncio.sleep(LIFETIME + 0.2)
        assert await sent_by_a_call(scene, trunk, "third@pbx") > 0
    for source, outcome, times in (("cache", "found", 1), ("spin", "found", 2)):
        name = "spingate_discoveries_total"
        assert await metric(scene.alpha, name, source=source, outcome=outcome) == times
