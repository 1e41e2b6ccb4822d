"""A directory with its database, without a listener."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.directory_world import DirectoryWorld


@pytest.fixture
def world(tmp_path: Path) -> DirectoryWorld:
    return DirectoryWorld(tmp_path)
