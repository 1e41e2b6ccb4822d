"""The seven critical user journeys of the MIMI discovery requirements, between two gateways.

Alice and Carol are at one provider, Bob at the other; invitations travel by SMPP, answers over
HTTPS, all of it signed; applications speak to the agents as applications do.
"""

from __future__ import annotations

import base64
import json

import pytest

from discovery.client import agent
from discovery.model import Service
from discovery.spin.rules import Condition, Contact, Rule, Use
from tests.support.journeys_scene import (
    ALICE,
    BOB,
    CAROL,
    CHAT,
    WIRE,
    Journeys,
    at,
    refused,
)

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="session")]
FRIENDS = (Contact(ALICE[1:]), Contact(CAROL[1:]))
ANYBODY = Rule(Condition(), (), Use.DEFAULT)


async def mappings(both: Journeys) -> list[tuple[str, list[str]]]:
    """What Alice's gateway has in its cache."""
    held = (await both.alpha.admin("/v1/cache"))["cache"]
    return [(entry["number"], entry["uris"]) for entry in held if "uris" in entry]


async def test_cuj_1_one_app_everybody_finds_bob_where_he_chose_to_be(both: Journeys) -> None:
    await both.decide(BOB, ANYBODY, contacts=FRIENDS)
    for name, domain in (("wire", WIRE), ("chat", CHAT)):
        session = await both.user(BOB)
        listed = await session.send(agent.Request("GET", f"{agent.PREFIX}/handlers"))
        assert isinstance(listed["handlers"], list)
        chosen = next(h["id"] for h in listed["handlers"] if h["app_id"] == name)
        await session.send(agent.choose_default(Service.IM, str(chosen)))
        assert await both.found(ALICE) == [at(domain)]
        assert await both.found(CAROL, app_id="chat") == [at(domain)]


async def test_cuj_2_same_app_bob_is_found_from_the_app_that_asks_or_nowhere(
    both: Journeys,
) -> None:
    await both.decide(
        BOB, Rule(Condition(same_provider=True), (), Use.SAME), Rule(Condition(), (), Use.SILENT)
    )
    before = await mappings(both)
    assert await both.found(ALICE, omsp=WIRE.msp) == [at(WIRE)]
    assert await both.found(CAROL, app_id="chat", omsp=CHAT.msp) == [at(CHAT)]
    assert await both.found(ALICE) == []
    # What was found for one app is kept for no other question.
    assert await mappings(both) == before


async def test_cuj_2_an_app_names_its_own_domain_and_no_other(both: Journeys) -> None:
    assert await refused(both.ask(ALICE, omsp=CHAT.msp)) == 403
    assert await refused(both.ask(CAROL, app_id="chat", omsp=WIRE.msp)) == 403
    # Carol has let wire in, but neither she nor the domain has agreed to a handler there.
    assert await refused(both.ask(CAROL, app_id="wire", omsp=WIRE.msp)) == 403
    assert await refused(both.ask(ALICE, omsp="alpha.example")) == 403
    assert await refused(both.ask(ALICE, omsp="Not a domain")) == 422


async def test_cuj_3_no_hunting_the_same_one_app_answers_every_time(both: Journeys) -> None:
    await both.decide(BOB, ANYBODY, contacts=FRIENDS)
    answers = [tuple(await both.found(ALICE)) for _ in range(4)]
    assert len(set(answers)) == 1
    assert len(answers[0]) == 1


async def test_cuj_4_no_duplicates_one_uri_goes_out_unless_bob_allows_more(
    both: Journeys,
) -> None:
    await both.decide(BOB, ANYBODY, contacts=FRIENDS)
    assert len(await both.found(ALICE)) == 1
    await both.decide(BOB, Rule(Condition(contact=True), (), ("wire", "chat")), contacts=FRIENDS)
    asked = await both.ask(ALICE)
    assert [(uri.msp, uri.prio) for uri in asked.uris] == [(WIRE.msp, 10), (CHAT.msp, 20)]


async def test_cuj_5_per_sender_what_alice_found_is_not_carols_answer(both: Journeys) -> None:
    await both.decide(
        BOB,
        Rule(Condition(frozenset({ALICE[1:]})), (), ("wire",)),
        Rule(Condition(frozenset({CAROL[1:]})), (), ("chat",)),
    )
    # As calls ask, cache and all.
    assert await both.found(ALICE, mode="auto") == [at(WIRE)]
    assert await both.found(CAROL, app_id="chat", mode="auto") == [at(CHAT)]
    again = await both.ask(ALICE, mode="auto")
    assert [uri.uri for uri in again.uris] == [at(WIRE)]
    assert again.asked == ("cache: found",)


async def test_cuj_6_closed_group_only_soccer_parents_find_bob(both: Journeys) -> None:
    group = (Contact(ALICE[1:], groups=("soccer",)), Contact(CAROL[1:]))
    await both.decide(
        BOB,
        Rule(Condition(group="soccer"), (), ("chat",)),
        Rule(Condition(), (), Use.SILENT),
        contacts=group,
    )
    assert await both.found(ALICE) == [at(CHAT)]
    assert await both.found(CAROL, app_id="chat") == []


async def test_cuj_7_open_group_whoever_comes_on_business_finds_bob_at_wire(
    both: Journeys,
) -> None:
    await both.decide(BOB, Rule(Condition(tag="business"), (), ("wire",)), ANYBODY)
    assert await both.found(CAROL, app_id="chat", tag="business") == [at(WIRE)]
    assert await both.found(CAROL, app_id="chat") == []
    assert await both.found(CAROL, app_id="chat", tag="pleasure") == []


async def test_what_was_found_is_called_with_a_passport_for_these_two_numbers_alone(
    both: Journeys,
) -> None:
    await both.decide(BOB, ANYBODY, contacts=FRIENDS)
    asked = await both.ask(ALICE)
    wire = await both.application(ALICE, "wire")
    signed = await wire.send(agent.passport(asked.question_id, Service.IM))
    payload = str(signed["identity"]).split(";")[0].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["orig"] == {"tn": ALICE[1:]}
    assert claims["dest"] == {"tn": [BOB[1:]]}
    # Another app, another number's app, a question that was never asked.
    for other in (
        await both.application(ALICE, "chat"),
        await both.application(CAROL, "chat"),
        await both.user(ALICE),
    ):
        assert await refused(other.send(agent.passport(asked.question_id, Service.IM))) == 404
    assert await refused(wire.send(agent.passport("made-up", Service.IM))) == 404
