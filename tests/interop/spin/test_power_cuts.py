"""Gateways that are killed: the next process pays what is owed, and takes nothing twice."""

from __future__ import annotations

import json

import pytest

from discovery.spin.rules import Condition, Contact, Rule, Use
from tests.support.journeys_scene import ALICE, BOB, CHAT, WIRE, Journeys, at
from tests.support.two_providers import eventually

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="session")]
FRIEND = (Contact(ALICE[1:]),)
LATER = Rule(Condition(), (), Use.LATER)


async def test_a_postponed_answer_goes_out_although_both_gateways_were_killed(
    both: Journeys,
) -> None:
    await both.decide(BOB, LATER, contacts=FRIEND)
    await both.kill(both.alpha)  # whatever it has found before
    assert await both.found(ALICE, mode="auto") == []
    await both.kill(both.beta)
    await both.kill(both.alpha)
    await both.decide(BOB, Rule(Condition(), (), ("chat",)), contacts=FRIEND)

    async def known() -> str:
        """What Alice's gateway knows without asking anybody: the answer that came by itself."""
        return json.dumps(await both.alpha.admin("/v1/cache"))

    async def came() -> bool:
        return at(CHAT) in await known()

    await eventually(came, "the answer came")
    asked = await both.ask(ALICE, mode="auto")
    assert asked.asked == ("cache: found",)
    assert [uri.uri for uri in asked.uris] == [at(CHAT)]


async def test_an_invitation_that_was_answered_is_refused_after_the_gateway_was_killed(
    both: Journeys,
) -> None:
    await both.decide(BOB, Rule(Condition(), (), ("wire",)), contacts=FRIEND)
    before = len(both.scene.smsc.history)
    assert await both.found(ALICE) == [at(WIRE)]
    sent = [each for each in list(both.scene.smsc.history)[before:] if each.submitter == "alpha"]
    assert sent
    await both.kill(both.beta)

    async def bound() -> bool:
        return "beta" in both.scene.smsc.bound()

    await eventually(bound, "beta is bound again")
    for message in sent:
        both.scene.smsc.submit(message)

    async def replayed() -> bool:
        log = both.beta.log_file.read_text(encoding="utf-8")
        return '"reason": "replayed"' in log

    await eventually(replayed, "beta refused it")
    assert "invitation answered" not in both.beta.log_file.read_text(encoding="utf-8")
