"""F2 for the agent and the callback: whatever is sent, only what is described comes back."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.http.agent_openapi import DESCRIPTION
from tests.security.gateway.test_callback import BETA, Scene, answer, make_scene
from tests.support.agent_scene import PROVIDER_TOKEN, AgentScene, AppDomain, agent_scene
from tests.support.spin_passports import KeyVerifier

pytestmark = pytest.mark.real
_EXAMPLES = 80


def _plain() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(DESCRIPTION))
    return document


# Only what takes a body can be sent a wrong one.
CASES = [
    (method, path, mode)
    for path, item in _plain()["paths"].items()
    for method, operation in item.items()
    if method in ("get", "put", "post", "delete") and path != "/openapi.json"
    for mode in ("positive", "negative")
    if mode == "positive" or "requestBody" in operation
]


async def tokens_of(scene: AgentScene) -> tuple[str, ...]:
    """One token of each kind, with a handler and contacts to hit upon."""
    await scene.register(AppDomain())
    return PROVIDER_TOKEN, scene.session, await scene.token_for("wire")


@pytest.mark.parametrize(("method", "path", "mode"), CASES)
async def test_every_operation_keeps_to_its_description(
    tmp_path: Path, method: str, path: str, mode: str
) -> None:
    operation = schemathesis.openapi.from_dict(_plain())[path][method.upper()]
    raw = operation.definition.raw
    declared = set(raw["responses"]) | {"404", "405"}
    loop = asyncio.get_running_loop()
    async with agent_scene(tmp_path, max_handlers=50) as scene:
        scene.finder.go.set()
        tokens = await tokens_of(scene)
        seen: set[int] = set()

        async def send(case: Any, token: str) -> None:
            headers = {"Authorization": f"Bearer {token}"}
            unset = isinstance(case.body, type(schemathesis.core.NOT_SET))
            body = None if unset else json.dumps(case.body, default=repr).encode()
            if body is not None:
                headers["Content-Type"] = "application/json"
            response = await scene.client.request(
                method, "/os/v1" + case.formatted_path, data=body, headers=headers
            )
            await response.read()
            seen.add(response.status)
            assert str(response.status) in declared, response.status
            assert response.status < 500 or response.status in (502, 503)

        @settings(
            max_examples=_EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        def fuzz(case: Any, token: str) -> None:
            asyncio.run_coroutine_threadsafe(send(case, token), loop).result(10)

        modes = schemathesis.GenerationMode
        chosen = modes.POSITIVE if mode == "positive" else modes.NEGATIVE
        cases = operation.as_strategy(generation_mode=chosen)
        await asyncio.to_thread(given(cases, st.sampled_from(tokens))(fuzz))
        assert seen


GENUINE = answer()
BODIES = st.one_of(
    st.binary(max_size=200),
    st.just(GENUINE.encode()),
    st.integers(0, len(GENUINE)).map(lambda end: GENUINE[:end].encode()),
    st.text(alphabet="ab.c-_{}", max_size=300).map(str.encode),
    st.just(b"x" * 9000),
)
KINDS = st.sampled_from(["application/jose", "application/json", "text/plain"])
# What an answer's specification declares, and what HTTP itself says.
DECLARED = frozenset({204, 400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 422, 429, 503})


async def test_the_callback_answers_anything_with_what_is_declared() -> None:
    async for scene in make_scene(KeyVerifier(BETA)):
        seen = await fuzzed_callback(scene)
        assert len(seen) > 3


async def fuzzed_callback(scene: Scene) -> set[int]:
    loop = asyncio.get_running_loop()
    seen: set[int] = set()
    right = (f"/s/{scene.waiting.invitation_id}", scene.waiting.token)
    paths = st.sampled_from([right[0], "/s/x", "/s/", "/s/%2e%2e", "/r/x"])
    wrong = st.tuples(paths, st.text(alphabet="abc-_", max_size=30))

    async def send(body: bytes, kind: str, path: str, token: str) -> None:
        response = await scene.post(body, content_type=kind, path=path, token=token)
        await response.read()
        seen.add(response.status)
        assert response.status in DECLARED

    @settings(
        max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(BODIES, KINDS, st.one_of(st.just(right), wrong))
    def fuzz(body: bytes, kind: str, door: tuple[str, str]) -> None:
        asyncio.run_coroutine_threadsafe(send(body, kind, *door), loop).result(10)

    await asyncio.to_thread(fuzz)
    return seen
