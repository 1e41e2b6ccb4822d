"""F2 for evaluator and bucket store: whatever comes, only what they describe."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.split_storage.openapi import BUCKETS_DESCRIPTION, EVALUATOR_DESCRIPTION
from tests.support.openapi_contract import Contract, Mode, over
from tests.support.split_scene import BUCKETS_TOKEN, EVALUATOR_TOKEN, SplitScene

pytestmark = pytest.mark.real


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[SplitScene]:
    async with AsyncExitStack() as stack:
        scene = SplitScene(tmp_path, stack)
        await scene.start()
        yield scene


@pytest.mark.parametrize(("method", "path", "mode"), list(Contract(EVALUATOR_DESCRIPTION).cases()))
async def test_the_evaluator_keeps_to_its_description(
    scene: SplitScene, method: str, path: str, mode: Mode
) -> None:
    send = over(scene.client.session, scene.url("evaluator"), f"Bearer {EVALUATOR_TOKEN}")
    await Contract(EVALUATOR_DESCRIPTION).hold(method, path, mode, send)


@pytest.mark.parametrize(("method", "path", "mode"), list(Contract(BUCKETS_DESCRIPTION).cases()))
async def test_the_bucket_store_keeps_to_its_description(
    scene: SplitScene, method: str, path: str, mode: Mode
) -> None:
    send = over(scene.client.session, scene.url("buckets"), f"Bearer {BUCKETS_TOKEN}")
    await Contract(BUCKETS_DESCRIPTION).hold(method, path, mode, send)
