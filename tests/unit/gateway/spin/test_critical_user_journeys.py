"""The seven critical user journeys of the MIMI discovery requirements (appendix B), at the agent.

Bob chooses at the agent's interface; Alice, Carol and strangers invite him by text message; what
they get is what the agent posts to them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from discovery.model import Service
from discovery.number import NumberRanges
from discovery.spin.agent import Agent, AgentPolicy
from discovery.spin.answer import Answer, AnswerStatus, parse_answer
from discovery.spin.carriage import to_parts, to_text
from gateway.http.fetch import Fetched
from gateway.sms.message import esm_class, incoming_sms
from gateway.spin.terminating import SpinTerminator
from tests.support.agent_scene import NUMBERS, AgentScene, AppDomain, agent_scene
from tests.support.spin_passports import (
    ALICE,
    BOB,
    NOW,
    KeySigner,
    KeyVerifier,
    invitation_claims,
)

pytestmark = pytest.mark.real
CAROL, STRANGER = "14155550177", "14155550188"
NAMES = {ALICE: "spin.alpha.example", CAROL: "spin.whatsapp.example", STRANGER: "spin.lead.example"}
SIGNERS = {number: KeySigner(number, name) for number, name in NAMES.items()}
WHATSAPP = AppDomain("whatsapp.example", "whatsapp")
WIRE = AppDomain("wire.example", "wire")


class Journey:
    """Bob's agent with two applications registered, and those who invite him."""

    def __init__(self, scene: AgentScene) -> None:
        self.scene = scene
        self.posted: list[bytes] = []
        self.jti = 0
        self.side = SpinTerminator(
            Agent(AgentPolicy(numbers=NumberRanges(NUMBERS)), lambda count: b"\x07" * count),
            scene.store,
            KeyVerifier(*SIGNERS.values()),
            KeySigner(BOB),
            self,
            lambda _: None,
            wall_clock=lambda: NOW,
        )

    async def get(self, url: str, *, accept: str = "*/*") -> Fetched:
        return Fetched(404, {}, b"")

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Fetched:
        self.posted.append(body)
        return Fetched(204, {}, b"")

    async def invited(self, by: str, service: Service = Service.IM, **claims: object) -> list[str]:
        """Return the URIs that somebody gets who invites Bob; none for silence."""
        answer = await self.answer(by, service, **claims)
        return [uri.uri for uri in answer.uris] if answer is not None else []

    async def answer(
        self, by: str, service: Service = Service.IM, **claims: object
    ) -> Answer | None:
        self.jti += 1
        invitation = invitation_claims(
            orig={"tn": by},
            cb=f"https://{NAMES[by]}/s/9vTabcdefghijklmnopq22",
            svc=[str(service)],
            jti=f"{self.jti:016}",
            **claims,
        )
        before = len(self.posted)
        text = to_text(SIGNERS[by].sign("spin", invitation), by, service)
        for part in to_parts(text, self.jti & 0xFF):
            self.side.on_message(
                incoming_sms(
                    source=by,
                    destination=BOB,
                    short_message=part.octets,
                    esm_class=esm_class(part),
                    data_coding=0,
                    parameters=(),
                )
            )
        await self.settle()
        if len(self.posted) == before:
            return None
        return parse_answer(self.posted[-1].decode())[1]

    async def settle(self) -> None:
        await self.side.idle()

    async def rules(self, *rules: dict[str, object]) -> None:
        await self.scene.told("PUT", "/rules", {"rules": list(rules)})

    async def knows(self, *contacts: dict[str, object]) -> None:
        await self.scene.told("PUT", "/contacts", {"contacts": list(contacts)})


@pytest.fixture
async def bob(tmp_path: Path) -> AsyncIterator[Journey]:
    async with agent_scene(tmp_path) as scene:
        await scene.register(WHATSAPP)
        await scene.register(WIRE)
        journey = Journey(scene)
        yield journey
        await journey.side.close()


AT_WHATSAPP = [f"mimi://whatsapp.example/u/+{BOB}"]
AT_WIRE = [f"mimi://wire.example/u/+{BOB}"]


async def test_cuj_1_sender_mapping_bob_is_found_on_the_one_app_he_chose(bob: Journey) -> None:
    await bob.knows({"number": f"+{ALICE}"}, {"number": f"+{CAROL}"})
    wire = next(h.handler_id for h in await bob.scene.store.handlers(limit=9) if h.app_id == "wire")
    await bob.scene.told("PUT", "/defaults/im", {"handler": wire})
    assert await bob.invited(ALICE) == AT_WIRE
    assert await bob.invited(CAROL) == AT_WIRE


async def test_cuj_2_same_app_alice_finds_bob_where_she_is_herself_or_nowhere(
    bob: Journey,
) -> None:
    await bob.rules({"if": {"omsp": "same"}, "use": "same"}, {"use": "silent"})
    assert await bob.invited(ALICE, omsp="alpha.example") == []
    assert await bob.invited(CAROL, omsp="whatsapp.example") == AT_WHATSAPP
    # Whoever only says so, without a certificate that does, is not there.
    assert await bob.invited(CAROL, omsp="wire.example") == []
    assert await bob.invited(CAROL) == []


async def test_cuj_3_no_random_mapping_the_same_one_app_answers_every_time(bob: Journey) -> None:
    await bob.knows({"number": f"+{ALICE}"})
    assert {tuple(await bob.invited(ALICE)) for _ in range(5)} == {tuple(AT_WHATSAPP)}


async def test_cuj_4_no_duplication_exactly_one_uri_goes_out_unless_bob_allows_more(
    bob: Journey,
) -> None:
    await bob.knows({"number": f"+{ALICE}"})
    assert len(await bob.invited(ALICE)) == 1
    await bob.rules({"if": {"contact": True}, "use": ["wire", "whatsapp"]})
    answer = await bob.answer(ALICE)
    assert answer is not None
    assert [(uri.msp, uri.prio) for uri in answer.uris] == [
        ("wire.example", 10),
        ("whatsapp.example", 20),
    ]


async def test_cuj_5_per_sender_alices_messages_go_elsewhere_than_carols(bob: Journey) -> None:
    await bob.rules(
        {"if": {"from": [f"+{ALICE}"]}, "svc": ["im"], "use": "wire"},
        {"if": {"from": [f"+{CAROL}"]}, "use": "whatsapp"},
    )
    assert await bob.invited(ALICE) == AT_WIRE
    assert await bob.invited(CAROL) == AT_WHATSAPP
    assert await bob.invited(STRANGER) == []


async def test_cuj_6_closed_group_only_soccer_parents_find_bob(bob: Journey) -> None:
    await bob.knows({"number": f"+{ALICE}", "groups": ["soccer"]}, {"number": f"+{CAROL}"})
    await bob.rules({"if": {"group": "soccer"}, "use": "whatsapp"}, {"use": "silent"})
    assert await bob.invited(ALICE) == AT_WHATSAPP
    assert await bob.invited(CAROL) == []
    assert await bob.invited(STRANGER) == []


async def test_cuj_7_open_group_whoever_comes_on_business_finds_bob_at_wire(
    bob: Journey,
) -> None:
    await bob.knows({"number": f"+{CAROL}", "tags": ["business"]})
    await bob.rules({"if": {"tag": "business"}, "use": "wire"}, {"use": "default"})
    assert await bob.invited(STRANGER, tag="business") == AT_WIRE  # a lead, never heard of before
    assert await bob.invited(CAROL) == AT_WIRE  # a contact of that kind, whatever she says
    assert await bob.invited(STRANGER) == []
    assert await bob.invited(STRANGER, tag="pleasure") == []


# --- beyond the seven ------------------------------------------------------------------------


async def test_a_stranger_hears_nothing_as_if_the_phone_were_off(bob: Journey) -> None:
    assert await bob.answer(STRANGER) is None
    await bob.rules({"if": {"contact": False}, "use": "silent"}, {"use": "default"})
    assert await bob.answer(STRANGER) is None


@pytest.mark.parametrize("status", ["declined", "later", "directory"])
async def test_a_rule_may_say_no_politely(bob: Journey, status: str) -> None:
    await bob.rules({"if": {"from": [f"+{ALICE}"]}, "use": status})
    answer = await bob.answer(ALICE)
    assert answer is not None
    assert answer.status is AnswerStatus(status)
    assert answer.uris == ()


async def test_an_app_that_was_put_out_hands_its_callers_to_no_other(bob: Journey) -> None:
    await bob.knows({"number": f"+{ALICE}"})
    await bob.rules({"if": {"contact": True}, "use": "wire"})
    await bob.scene.told("DELETE", "/apps/wire")
    answer = await bob.answer(ALICE)
    assert answer is not None
    assert answer.status is AnswerStatus.NO_HANDLER


async def test_a_handler_bob_never_agreed_to_answers_nobody(bob: Journey) -> None:
    await bob.knows({"number": f"+{ALICE}"})
    for app in ("wire", "whatsapp"):
        await bob.scene.told("DELETE", f"/apps/{app}")
    await bob.scene.register(WIRE, consent=False)
    answer = await bob.answer(ALICE)
    assert answer is not None
    assert answer.status is AnswerStatus.NO_HANDLER


async def test_later_becomes_an_answer_once_bob_has_chosen(bob: Journey) -> None:
    await bob.knows({"number": f"+{ALICE}"})
    await bob.rules({"use": "later"})
    put_off = await bob.answer(ALICE, exp=int(NOW) + 72 * 3600)
    assert put_off is not None
    assert put_off.status is AnswerStatus.LATER
    assert await bob.answer(ALICE, Service.VOICE) is not None  # who is not waited for
    bob.posted.clear()
    bob.scene.changed.clear()
    await bob.rules({"use": "wire"})
    assert bob.scene.changed == [BOB]
    bob.side.reconsider(BOB)
    await bob.settle()
    (body,) = bob.posted
    _, answer = parse_answer(body.decode())
    assert [uri.msp for uri in answer.uris] == ["wire.example"]
    assert answer.invitation == put_off.invitation
    bob.side.reconsider(BOB)
    await bob.settle()
    assert len(bob.posted) == 1
