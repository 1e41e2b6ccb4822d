"""What callers link to must not hold their calls up for as long as they like."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from gateway import caller_display
from gateway.caller_display import CallerDisplay
from gateway.config.rich_call_data import CallerDisplay as Settings
from gateway.http.fetch import Fetched, GuardedClient
from stir.rich_call_data import rcd_claims
from stir.verification import VerificationPolicy
from tests.support.stir_authority import FACTS, NOW, StirWorld
from tests.unit.gateway.test_out_of_band import invite

CARD, ICON = "https://www.alpha.example/card.json", "https://www.alpha.example/icon.png"
WAITED = 0.02


class Slow:
    """Servers that answer when the test is long over."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def get(self, url: str) -> Fetched:
        self.asked.append(url)
        await asyncio.Event().wait()
        raise AssertionError


async def test_slow_pictures_are_given_up_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = StirWorld()
    monkeypatch.setattr(caller_display, "FETCH_SECONDS", WAITED)
    contents = {"/jcl": b"[]", "/icn": b"picture"}
    claims = rcd_claims("Alpha", card_url=CARD, icon=ICON, contents=contents)
    verdict = world.verify(
        world.identity(claims=claims), facts=FACTS, policy=VerificationPolicy(), now=NOW
    )
    assert verdict.outcome == "valid"
    client = Slow()
    display = CallerDisplay(Settings(fetch=True), cast(GuardedClient, client), lambda: NOW)
    async with asyncio.timeout(50 * WAITED):
        headers, checks = await display.shown(invite(), verdict)
    assert "Call-Info" not in headers
    assert [check.outcome for check in checks] == ["unavailable"]
    assert client.asked == [CARD]
