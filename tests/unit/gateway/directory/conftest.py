"""A directory with its database, SQLite and PostgreSQL, without a listener."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.directory.service import DirectoryService
from tests.support.directory_world import DirectoryWorld, opened


@pytest.fixture
def world(tmp_path: Path, database_url: str | None) -> DirectoryWorld:
    return DirectoryWorld(tmp_path, directory={"database_url": database_url})


@pytest.fixture
async def service(world: DirectoryWorld) -> AsyncIterator[DirectoryService]:
    async with opened(world) as service:
        yield service
