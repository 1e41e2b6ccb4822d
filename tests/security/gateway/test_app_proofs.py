"""Identity misbinding: no application registers what its domain has not signed for this user."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.agent_scene import PROVIDER_TOKEN, AgentScene, AppDomain, agent_scene
from tests.support.spin_passports import base64url, canonical

pytestmark = pytest.mark.real
WIRE = AppDomain("chat.example", "wire")


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[AgentScene]:
    async with agent_scene(tmp_path) as held:
        held.web.publish(WIRE)
        yield held


async def nonce(scene: AgentScene, token: str) -> str:
    return str((await scene.told("POST", "/nonces", token=token))["nonce"])


async def registering(
    scene: AgentScene, token: str, document: dict[str, object]
) -> tuple[int, str]:
    response = await scene.call("POST", "/handlers", document, token=token)
    return response.status, str((await response.json()).get("detail", ""))


async def test_a_genuine_proof_registers_a_handler_that_waits_for_its_user(
    scene: AgentScene,
) -> None:
    handler = await scene.register(WIRE, consent=False)
    document = await scene.told("GET", f"/handlers/{handler}")
    assert document["state"] == "pending-consent"
    assert scene.web.asked == ["https://chat.example/.well-known/spin-app/wire"]
    assert (await scene.call("POST", f"/handlers/{handler}/consent")).status == 204
    assert (await scene.told("GET", f"/handlers/{handler}"))["state"] == "active"


async def test_without_a_proof_nobody_but_the_provider_registers_anything(
    scene: AgentScene,
) -> None:
    token = await scene.token_for("wire")
    status, detail = await registering(scene, token, WIRE.handler())
    assert (status, detail) == (403, "msp is not a domain of this agent: proof is needed")
    own = WIRE.handler(uri="sip:{tn}@beta.example", msp="beta.example")
    assert (await registering(scene, token, own))[0] == 403
    vouched = await scene.token_for("wire", number="+1212555")
    assert (await registering(scene, vouched, WIRE.handler()))[0] == 403


@pytest.mark.parametrize(
    "changes",
    [
        {"uri": "mimi://chat.example/u/mallory"},
        {"number": "+12125550124"},
        {"app_id": "mallory"},
        {"aud": "another.example"},
        {"svc": ["im", "voice"]},
        {"nonce": "AAAAAAAAAAAAAAAAAAAAAA"},
    ],
)
async def test_a_proof_for_anything_else_is_refused(
    scene: AgentScene, changes: dict[str, object]
) -> None:
    token = await scene.token_for("wire")
    claims = {**WIRE.claims(await nonce(scene, token)), **changes}
    status, _ = await registering(scene, token, WIRE.handler(WIRE.proof(claims)))
    assert status == 403
    assert await scene.store.count_handlers() == 0


async def test_a_malicious_app_cannot_bind_a_user_to_another_domains_uri(
    scene: AgentScene,
) -> None:
    mallory = AppDomain("evil.example", "wire")
    scene.web.publish(mallory)
    token = await scene.token_for("wire")
    # Signed by Mallory's own key, for a URI of the domain whose key is another.
    stolen = AppDomain("chat.example", "wire")
    proof = mallory.proof(stolen.claims(await nonce(scene, token)))
    status, detail = await registering(scene, token, stolen.handler(proof))
    assert (status, detail) == (403, "no key of this app at chat.example signed the proof")
    # A URI elsewhere than at the domain that signed.
    claims = mallory.claims(await nonce(scene, token), uri="mimi://chat.example/u/{tn}")
    document = mallory.handler(mallory.proof(claims), uri="mimi://chat.example/u/{tn}")
    assert (await registering(scene, token, document))[0] == 422


async def test_an_app_speaks_in_its_own_name_and_for_its_own_users_number_only(
    scene: AgentScene,
) -> None:
    token = await scene.token_for("mallory")
    claims = WIRE.claims(await nonce(scene, token))
    assert (await registering(scene, token, WIRE.handler(WIRE.proof(claims))))[0] == 403
    token = await scene.token_for("wire")
    claims = WIRE.claims(await nonce(scene, token), number="+12125550124")
    document = WIRE.handler(WIRE.proof(claims), number="+12125550124")
    assert (await registering(scene, token, document))[0] == 403


async def test_a_nonce_counts_once_for_whoever_got_it_and_for_five_minutes(
    scene: AgentScene,
) -> None:
    token = await scene.token_for("wire")
    other = await scene.token_for("wire")
    proof = WIRE.proof(WIRE.claims(await nonce(scene, token)))
    assert (await registering(scene, other, WIRE.handler(proof)))[0] == 403
    assert (await registering(scene, token, WIRE.handler(proof)))[0] == 201
    assert (await registering(scene, token, WIRE.handler(proof)))[0] == 403
    late = WIRE.proof(WIRE.claims(await nonce(scene, token)))
    scene.now[0] += 300
    assert (await registering(scene, token, WIRE.handler(late)))[0] == 403


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ({"alg": "none"}, 422),
        ({"alg": "HS256"}, 422),
        ({"typ": "JWT"}, 422),
        ({"jwk": WIRE.jwk()}, 422),
        ({"x5u": "https://evil.example/c"}, 422),
        ({"crit": ["b64"]}, 422),
        ({"kid": "1"}, 201),
    ],
)
async def test_a_proof_brings_no_key_and_no_algorithm_of_its_own(
    scene: AgentScene, header: dict[str, object], status: int
) -> None:
    token = await scene.token_for("wire")
    proof = WIRE.proof(WIRE.claims(await nonce(scene, token)), **header)
    assert (await registering(scene, token, WIRE.handler(proof)))[0] == status


@pytest.mark.parametrize(
    "published",
    [
        b"",
        b"[]",
        b"<html>",
        b'{"keys":[]}',
        b'{"keys":[1]}',
        b'{"keys":' + canonical([WIRE.jwk()] * 5) + b"}",
        canonical({**WIRE.jwk(), "crv": "P-384"}),
        canonical({**WIRE.jwk(), "x": base64url(bytes(32))}),
        canonical({**WIRE.jwk(), "y": "\u00e4"}),
        canonical({**WIRE.jwk(), "x": 7}),
        canonical(WIRE.jwk()) + b" " * 5000,
    ],
)
async def test_keys_that_cannot_be_read_are_the_domains_fault(
    scene: AgentScene, published: bytes
) -> None:
    scene.web.documents[WIRE.url] = published
    token = await scene.token_for("wire")
    proof = WIRE.proof(WIRE.claims(await nonce(scene, token)))
    status, detail = await registering(scene, token, WIRE.handler(proof))
    assert status == 502
    assert "chat.example" in detail


async def test_a_domain_that_does_not_answer_is_named(scene: AgentScene) -> None:
    scene.web.documents.clear()
    token = await scene.token_for("wire")
    proof = WIRE.proof(WIRE.claims(await nonce(scene, token)))
    status, detail = await registering(scene, token, WIRE.handler(proof))
    assert (status, detail) == (502, "chat.example: connect")


async def test_registrations_of_one_app_are_limited(scene: AgentScene) -> None:
    token = await scene.token_for("wire")
    statuses = [(await registering(scene, token, WIRE.handler()))[0] for _ in range(65)]
    assert statuses == [403] * 60 + [429] * 5


async def test_another_users_handlers_cannot_be_seen_removed_or_agreed_to(
    scene: AgentScene,
) -> None:
    handler = await scene.register(WIRE)
    other = await scene.open_session("+12125550124")
    for method, path in (
        ("GET", f"/handlers/{handler}"),
        ("DELETE", f"/handlers/{handler}"),
        ("POST", f"/handlers/{handler}/consent"),
    ):
        assert (await scene.call(method, path, token=other)).status == 404
    assert await scene.told("GET", "/handlers", token=other) == {"handlers": []}
    choice = {"handler": handler}
    assert (await scene.call("PUT", "/defaults/im", choice, token=other)).status == 404
    rule = {"rules": [{"use": "wire"}]}
    assert (await scene.call("PUT", "/rules", rule, token=other)).status == 422
    assert (await scene.call("GET", "/handlers", token=PROVIDER_TOKEN)).status == 200


async def test_nonces_are_handed_out_within_a_limit(scene: AgentScene) -> None:
    """Each stays in the database for five minutes."""
    app, other = await scene.token_for("wire"), await scene.token_for("mallory")
    statuses = [(await scene.call("POST", "/nonces", token=other)).status for _ in range(61)]
    assert statuses == [201] * 60 + [429]
    assert (await scene.call("POST", "/nonces", token=app)).status == 201
