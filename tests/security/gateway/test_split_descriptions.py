"""F2 for the two servers of split storage: whatever is sent, only what they describe comes back."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from gateway.split_storage.openapi import BUCKETS_DESCRIPTION, EVALUATOR_DESCRIPTION
from tests.support.openapi_contract import Contract, Mode, Send, over
from tests.support.split_scene import BUCKETS_TOKEN, EVALUATOR_TOKEN, GENERATION, SplitScene

pytestmark = pytest.mark.real


@asynccontextmanager
async def asking(folder: Path, name: str, token: str) -> AsyncIterator[Send]:
    async with AsyncExitStack() as stack:
        scene = SplitScene(folder, stack)
        scene.make_world()
        await (scene.start_evaluator() if name == "evaluator" else scene.start_buckets())
        context = ssl.create_default_context(cafile=str(folder / "tls-root.pem"))
        connector = aiohttp.TCPConnector(ssl=context)
        async with aiohttp.ClientSession(connector=connector) as session:
            yield over(session, scene.url(name), f"Bearer {token}", f"Bearer {token}", "")


@pytest.mark.parametrize(("method", "path", "mode"), list(Contract(EVALUATOR_DESCRIPTION).cases()))
async def test_the_evaluator_keeps_to_its_description(
    tmp_path: Path, method: str, path: str, mode: Mode
) -> None:
    contract = Contract(EVALUATOR_DESCRIPTION, known=[GENERATION])
    async with asking(tmp_path, "evaluator", EVALUATOR_TOKEN) as send:
        await contract.hold(method, path, mode, send)


@pytest.mark.parametrize(("method", "path", "mode"), list(Contract(BUCKETS_DESCRIPTION).cases()))
async def test_the_bucket_store_keeps_to_its_description(
    tmp_path: Path, method: str, path: str, mode: Mode
) -> None:
    async with asking(tmp_path, "buckets", BUCKETS_TOKEN) as send:
        await Contract(BUCKETS_DESCRIPTION).hold(method, path, mode, send)


async def test_entries_of_a_generation_in_any_order_keep_to_it(tmp_path: Path) -> None:
    contract = Contract(BUCKETS_DESCRIPTION, known=[GENERATION])
    async with asking(tmp_path, "buckets", BUCKETS_TOKEN) as send:
        await contract.hold_in_any_order(send)
