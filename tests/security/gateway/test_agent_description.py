"""F2 for the agent: whatever is sent, only what is described comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.http.agent_openapi import DESCRIPTION
from tests.support.agent_scene import PROVIDER_TOKEN, AgentScene, AppDomain, agent_scene
from tests.support.openapi_contract import Contract, Mode, Send, over

pytestmark = pytest.mark.real


async def asking(scene: AgentScene) -> Send:
    """Ask with a token of each kind in turn, with a handler to hit upon."""
    scene.finder.go.set()
    await scene.register(AppDomain())
    tokens = (PROVIDER_TOKEN, scene.session, await scene.token_for("wire"))
    base = str(scene.client.make_url("/os/v1")).rstrip("/")
    return over(scene.client.session, base, *(f"Bearer {token}" for token in tokens))


@pytest.mark.parametrize(("method", "path", "mode"), list(Contract(DESCRIPTION).cases()))
async def test_every_operation_keeps_to_its_description(
    tmp_path: Path, method: str, path: str, mode: Mode
) -> None:
    async with agent_scene(tmp_path, max_handlers=50) as scene:
        await Contract(DESCRIPTION).hold(method, path, mode, await asking(scene))


async def test_operations_in_any_order_keep_to_it(tmp_path: Path) -> None:
    async with agent_scene(tmp_path, max_handlers=50) as scene:
        contract = Contract(DESCRIPTION)
        await contract.hold_in_any_order(await asking(scene))
        assert contract.known
        assert {200, 201, 204} <= set(contract.seen)
