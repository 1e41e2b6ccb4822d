"""An owner registers with a directory, two servers are filled, a gateway resolves through both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from discovery.model import Assurance, Outcome, Service
from gateway.directory_source import DirectorySource
from tests.support.directory_world import NUMBER, VOICE_URI
from tests.support.split_scene import ALPHA, SplitScene

pytestmark = pytest.mark.real
DIGITS = NUMBER.removeprefix("tel:+")


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[SplitScene]:
    async with AsyncExitStack() as stack:
        yield SplitScene(tmp_path, stack)


async def find(source: DirectorySource, number: str = DIGITS) -> Any:
    return await source.find(number, Service.VOICE, caller=ALPHA)


async def test_a_number_is_found_without_the_directory_being_asked(scene: SplitScene) -> None:
    await scene.start()
    await scene.client.register(scene.world.owner())
    await scene.filled(1)
    source = scene.source()
    answer = await find(source)
    assert [(each.uri, each.assurance) for each in answer.uris] == [(VOICE_URI, Assurance.SIGNED)]
    assert scene.client.service.lookups.answered == 0
    absent = await find(source, "14155550199")
    assert (absent.outcome, absent.uris) == (Outcome.NOT_FOUND, ())
    assert scene.buckets.outcomes["read", "given"] == 2
    assert scene.evaluator.access.outcomes["alpha", "admitted"] == 2


async def test_changes_and_removals_reach_the_store(scene: SplitScene) -> None:
    await scene.start()
    owner = scene.world.owner()
    await scene.client.register(owner)
    await scene.filled(1)
    source = scene.source()
    assert (await find(source)).outcome is Outcome.FOUND
    await scene.client.register(owner, seq=2, maps=())

    async def declined() -> bool:
        return (await find(source)).outcome is Outcome.DECLINED

    await scene.settled(declined)
    await scene.client.send(
        "DELETE", "/dp/v1/records", {"removal": owner.removal(3), "chain": owner.chain}
    )
    await scene.filled(0)
    assert (await find(source)).outcome is Outcome.NOT_FOUND
