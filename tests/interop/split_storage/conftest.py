"""A scene for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.split_scene import SplitScene


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[SplitScene]:
    async with AsyncExitStack() as stack:
        yield SplitScene(tmp_path, stack)
