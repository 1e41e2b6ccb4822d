"""F2 for the agent: whatever is sent, only what is described comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.http.agent_openapi import DESCRIPTION
from tests.support.agent_scene import PROVIDER_TOKEN, AgentScene, AppDomain, agent_scene
from tests.support.openapi_contract import Contract, Mode, Send, over
from tests.support.spin_passports import ALICE, BOB

pytestmark = pytest.mark.real


async def tokens_of(scene: AgentScene) -> tuple[str, str, str]:
    """A token of each kind, provider's, user's and application's, with a handler to hit upon."""
    scene.finder.go.set()
    await scene.register(AppDomain())
    return PROVIDER_TOKEN, scene.session, await scene.token_for("wire")


def sending(scene: AgentScene, *tokens: str) -> Send:
    """Ask with these tokens in turn."""
    base = str(scene.client.make_url("/os/v1")).rstrip("/")
    return over(scene.client.session, base, *(f"Bearer {token}" for token in tokens))


@pytest.mark.parametrize(("method", "path", "mode"), list(Contract(DESCRIPTION).cases()))
async def test_every_operation_keeps_to_its_description(
    tmp_path: Path, method: str, path: str, mode: Mode
) -> None:
    async with agent_scene(tmp_path, max_handlers=50) as scene:
        send = sending(scene, *await tokens_of(scene))
        await Contract(DESCRIPTION).hold(method, path, mode, send)


async def test_operations_in_any_order_keep_to_it(tmp_path: Path) -> None:
    async with agent_scene(tmp_path, max_handlers=50) as scene:
        provider, user, app = await tokens_of(scene)
        contract = Contract(DESCRIPTION)
        (handler,) = await scene.store.handlers_for(BOB, None)
        contract.known = [handler.handler_id]
        # What is made up seldom makes anything: there is something of everything to begin with.
        await contract.walk(
            sending(scene, user),
            ("get", "/handlers/{id}", None),
            ("post", "/handlers/{id}/consent", None),
            ("put", "/rules", {"rules": []}),
        )
        await contract.walk(
            sending(scene, app),
            ("post", "/nonces", None),
            ("post", "/resolve", {"tn": f"+{ALICE}", "svc": "im"}),
            ("get", "/resolve/{id}", None),
        )
        await contract.walk(sending(scene, provider), ("get", "/handlers", None))
        assert len(contract.known) > 1
        assert {200, 201, 202, 204} <= set(contract.seen)
        walked = contract.seen.total()
        await contract.hold_in_any_order(sending(scene, provider, user, app))
        assert contract.seen.total() > walked
