"""The two gateways with applications, started once for all tests of this folder that use them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.journeys_scene import Journeys, journeys


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def both(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Journeys]:
    """Both gateways, with Bob's, Alice's and Carol's applications installed."""
    async with journeys(tmp_path_factory.mktemp("journeys") / "scene") as started:
        yield started
