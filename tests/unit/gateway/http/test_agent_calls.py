"""Resolving, signing and attesting for applications."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from discovery.sources import About
from discovery.spin.limits import RateLimit
from gateway.http.agent_calls import CallLimits
from tests.support.agent_scene import PROVIDER_TOKEN, AgentScene, AppDomain, agent_scene
from tests.support.spin_passports import ALICE, BOB

pytestmark = pytest.mark.real
QUESTION = {"tn": f"+{ALICE}", "svc": "voice"}
JKT = "a" * 43


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[AgentScene]:
    limits = CallLimits(
        max_questions=5,
        max_per_caller=3,
        max_held=4,
        max_listeners=2,
        attestations=RateLimit(2, 60),
    )
    async with agent_scene(tmp_path, limits=limits) as held:
        yield held


@pytest.fixture
async def app(scene: AgentScene) -> str:
    return await scene.token_for("wire")


async def asked(scene: AgentScene, app: str, **changes: object) -> str:
    response = await scene.call("POST", "/resolve", {**QUESTION, **changes}, token=app)
    document = await response.json()
    assert response.status == 202
    assert document["state"] == "waiting"
    assert response.headers["Location"] == f"/os/v1/resolve/{document['id']}"
    return str(document["id"])


async def answered(scene: AgentScene, question: str, app: str) -> dict[str, object]:
    scene.finder.go.set()
    await asyncio.sleep(0.01)
    return await scene.told("GET", f"/resolve/{question}", token=app)


async def test_a_question_is_taken_at_once_and_answered_in_its_time(
    scene: AgentScene, app: str
) -> None:
    question = await asked(scene, app, mode="sms", timeout=20)
    waiting = await scene.told("GET", f"/resolve/{question}", token=app)
    assert waiting["state"] == "waiting"
    document = await answered(scene, question, app)
    assert document["state"] == "done"
    assert document["uris"] == [
        {
            "svc": "voice",
            "uri": f"sip:+{ALICE}@a.example",
            "msp": "a.example",
            "prio": 10,
            "assurance": "signed",
            "expires_at": scene.now[0] + 9,
        }
    ]
    assert scene.finder.asked == [(ALICE, BOB, "sms")]


async def test_whoever_waits_is_told_by_server_sent_events(scene: AgentScene, app: str) -> None:
    question = await asked(scene, app)
    response = await scene.call(
        "GET", f"/resolve/{question}", token=app, Accept="text/event-stream"
    )
    assert response.content_type == "text/event-stream"
    first = await response.content.readuntil(b"\n\n")
    assert first.startswith(b"event: waiting\ndata: {")
    scene.finder.go.set()
    rest = (await response.content.read()).decode()
    name, data = rest.strip().split("\n")
    assert name == "event: done"
    assert json.loads(data.removeprefix("data: "))["uris"]


async def test_a_passport_is_signed_for_the_users_number_to_the_one_resolved(
    scene: AgentScene, app: str
) -> None:
    question = await asked(scene, app)
    body = {"resolve_id": question, "svc": "voice"}
    assert (await scene.call("POST", "/passport", body, token=app)).status == 409
    await answered(scene, question, app)
    signed = await scene.told("POST", "/passport", body, token=app)
    assert signed == {"identity": f"{BOB}>{ALICE}"}
    for changes, status in (
        ({"svc": "im"}, 422),
        ({"mky": []}, 422),
        ({"resolve_id": "another"}, 404),
        ({"dest": f"+{ALICE}"}, 422),
        ({"orig": "+14155550199"}, 422),
    ):
        response = await scene.call("POST", "/passport", {**body, **changes}, token=app)
        assert response.status == status


async def test_a_handler_that_waits_for_consent_lends_an_app_nothing(scene: AgentScene) -> None:
    """What lets it call as its user is the token the user gave it, for as long as it is given."""
    domain = AppDomain()
    handler = await scene.register(domain, consent=False)
    app = await scene.token_for("wire")
    at_domain = {**QUESTION, "omsp": domain.msp}
    assert (await scene.call("POST", "/resolve", at_domain, token=app)).status == 403
    question = await asked(scene, app)
    await answered(scene, question, app)
    body = {"resolve_id": question, "svc": "voice"}
    signed = await scene.told("POST", "/passport", body, token=app)
    assert signed == {"identity": f"{BOB}>{ALICE}"}
    assert (await scene.call("POST", f"/handlers/{handler}/consent", token=app)).status == 403
    assert (await scene.call("POST", "/resolve", at_domain, token=app)).status == 403
    await scene.told("POST", f"/handlers/{handler}/consent")
    assert (await scene.call("POST", "/resolve", at_domain, token=app)).status == 202
    await scene.told("DELETE", "/apps/wire")
    assert (await scene.call("POST", "/passport", body, token=app)).status == 401
    assert (await scene.call("POST", "/resolve", QUESTION, token=app)).status == 401


async def test_another_app_cannot_use_a_question(scene: AgentScene, app: str) -> None:
    question = await asked(scene, app)
    await answered(scene, question, app)
    other = await scene.token_for("mallory")
    body = {"resolve_id": question, "svc": "voice"}
    assert (await scene.call("POST", "/passport", body, token=other)).status == 404
    assert (await scene.call("GET", f"/resolve/{question}", token=other)).status == 404


async def test_nothing_is_signed_where_nothing_was_found(scene: AgentScene, app: str) -> None:
    question = await asked(scene, app, tn="+14155550199")
    document = await answered(scene, question, app)
    assert (document["state"], document["uris"]) == ("done", [])
    body = {"resolve_id": question, "svc": "voice"}
    assert (await scene.call("POST", "/passport", body, token=app)).status == 409


async def test_a_question_is_good_for_a_few_passports_and_two_minutes(
    scene: AgentScene, app: str
) -> None:
    question = await asked(scene, app)
    await answered(scene, question, app)
    body = {"resolve_id": question, "svc": "voice"}
    statuses = [(await scene.call("POST", "/passport", body, token=app)).status for _ in range(9)]
    assert statuses == [200] * 8 + [429]
    scene.now[0] += 151
    assert (await scene.call("POST", "/passport", body, token=app)).status == 404
    await asked_again(scene, app)
    assert (await scene.call("GET", f"/resolve/{question}", token=app)).status == 404


async def asked_again(scene: AgentScene, app: str) -> None:
    assert (await scene.call("POST", "/resolve", QUESTION, token=app)).status == 202


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"tn": "Bob"}, 422),
        ({"tn": 7}, 422),
        ({"svc": "fax"}, 422),
        ({"svc": []}, 422),
        ({"mode": "magic"}, 422),
        ({"mode": []}, 422),
        ({"mode": "directory"}, 422),
        ({"timeout": 0}, 422),
        ({"timeout": 1000}, 422),
        ({"timeout": True}, 422),
        ({"from": "+14155550199"}, 403),
        ({"from": "+12125550124"}, 403),
    ],
)
async def test_a_question_out_of_shape_is_refused(
    scene: AgentScene, app: str, changes: dict[str, object], status: int
) -> None:
    response = await scene.call("POST", "/resolve", {**QUESTION, **changes}, token=app)
    assert response.status == status


async def test_an_app_of_the_provider_says_for_whom_it_asks(scene: AgentScene) -> None:
    wide = await scene.token_for("softphone", number="+1212555")
    assert (await scene.call("POST", "/resolve", QUESTION, token=wide)).status == 422
    asking = {**QUESTION, "from": f"+{BOB}"}
    assert (await scene.call("POST", "/resolve", asking, token=wide)).status == 202
    assert (await scene.call("POST", "/resolve", asking, token=PROVIDER_TOKEN)).status == 403


async def test_questions_are_bounded_for_each_caller_and_in_all(
    scene: AgentScene, app: str
) -> None:
    statuses = [
        (await scene.call("POST", "/resolve", QUESTION, token=app)).status for _ in range(4)
    ]
    assert statuses == [202, 202, 202, 429]
    wide = await scene.token_for("softphone", number="+1212555")
    statuses = [
        (
            await scene.call(
                "POST", "/resolve", {**QUESTION, "from": f"+1212555014{n}"}, token=wide
            )
        ).status
        for n in range(3)
    ]
    assert statuses == [202, 202, 503]


async def test_questions_that_are_answered_at_once_take_no_place_from_others(
    scene: AgentScene, app: str
) -> None:
    """Numbers in the cache cost nothing to ask for, and each answer is held for two minutes."""
    scene.finder.go.set()
    latest = ""
    for _ in range(12):
        response = await scene.call("POST", "/resolve", QUESTION, token=app)
        assert response.status == 202
        latest = (await response.json())["id"]
    body = {"resolve_id": latest, "svc": "voice"}
    assert (await scene.call("POST", "/passport", body, token=app)).status == 200
    wide = await scene.token_for("softphone", number="+1212555")
    asking = {**QUESTION, "from": "+12125550140"}
    assert (await scene.call("POST", "/resolve", asking, token=wide)).status == 202


async def test_listeners_of_one_number_are_few(scene: AgentScene, app: str) -> None:
    """Each holds a connection, of which there are so many for all applications."""
    questions = [await asked(scene, app) for _ in range(2)]
    streams = [
        await scene.call("GET", f"/resolve/{each}", token=app, Accept="text/event-stream")
        for each in (*questions, questions[0])
    ]
    assert [each.status for each in streams] == [200, 200, 429]
    scene.finder.go.set()
    for each in streams:
        await each.read()
    again = await scene.call(
        "GET", f"/resolve/{questions[0]}", token=app, Accept="text/event-stream"
    )
    assert again.status == 200


async def test_a_key_is_attested_for_the_users_number_within_limits(
    scene: AgentScene, app: str
) -> None:
    made = await scene.told("POST", "/attest-key", {"kind": "mls", "jkt": JKT}, token=app)
    assert made == {"passport": f"{BOB}:mls:{JKT}", "expires_at": scene.now[0] + 7 * 86_400}
    for changes, status in (
        ({"kind": "pgp"}, 422),
        ({"jkt": "a" * 42}, 422),
        ({"jkt": "a" * 42 + "="}, 422),
        ({"number": "+12125550124"}, 403),
    ):
        body = {"kind": "mls", "jkt": JKT, **changes}
        assert (await scene.call("POST", "/attest-key", body, token=app)).status == status
    body = {"kind": "dtls", "jkt": JKT}
    statuses = [(await scene.call("POST", "/attest-key", body, token=app)).status for _ in range(2)]
    assert statuses == [201, 429]


async def test_an_app_says_from_which_of_its_own_domains_it_asks_and_what_about(
    scene: AgentScene,
) -> None:
    wire = AppDomain()
    app = await scene.token_for("wire")
    asking = {**QUESTION, "omsp": wire.msp, "tag": "business"}
    assert (await scene.call("POST", "/resolve", asking, token=app)).status == 403
    await scene.register(wire, consent=False)
    assert (await scene.call("POST", "/resolve", asking, token=app)).status == 403
    handler = (await scene.store.handlers(limit=1))[0]
    await scene.told("POST", f"/handlers/{handler.handler_id}/consent")
    assert (await scene.call("POST", "/resolve", asking, token=app)).status == 202
    other = await scene.token_for("mallory")
    for token in (other, scene.session):
        assert (await scene.call("POST", "/resolve", asking, token=token)).status == 403
    odd: tuple[tuple[str, object], ...] = (
        ("omsp", "Wire"),
        ("omsp", 7),
        ("tag", "a b"),
        ("tag", []),
    )
    for member, value in odd:
        response = await scene.call("POST", "/resolve", {**QUESTION, member: value}, token=app)
        assert response.status == 422
    await asyncio.sleep(0)
    assert scene.finder.about == [About(wire.msp, "business")]


async def test_an_app_of_the_provider_asks_from_the_providers_domains(scene: AgentScene) -> None:
    wide = await scene.token_for("softphone", number="+1212555")
    asking = {**QUESTION, "from": f"+{BOB}", "omsp": "beta.example"}
    assert (await scene.call("POST", "/resolve", asking, token=wide)).status == 202
    asking["omsp"] = "chat.example"
    assert (await scene.call("POST", "/resolve", asking, token=wide)).status == 403
