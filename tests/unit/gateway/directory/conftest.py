"""A directory with its database, without a listener."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.directory.service import DirectoryService
from tests.support.directory_world import DirectoryWorld, opened


@pytest.fixture
def world(tmp_path: Path) -> DirectoryWorld:
    return DirectoryWorld(tmp_path)


@pytest.fixture
async def service(world: DirectoryWorld) -> AsyncIterator[DirectoryService]:
    async with opened(world) as service:
        yield service
