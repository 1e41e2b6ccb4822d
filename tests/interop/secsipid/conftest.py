"""The scene of the hostile tests, with a way in over UDP: Kamailio is started without TLS."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.stir_peer import Handset, handset
from tests.support.troubled_scene import TroubledScene

# Beta's listener for peers over UDP; Kamailio as a peer is .73.
ADDITIONS = {
    "beta": """
[[listen]]
name = "peers-udp"
role = "peers"
transport = "udp"
address = "127.61.0.24"
port = 5060
"""
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TroubledScene]:
    """Two gateway processes; none of them may stumble."""
    folder: Path = tmp_path_factory.mktemp("scene") / "scene"
    async with TroubledScene(folder, additions=ADDITIONS) as scene:
        yield scene
    for provider in (scene.alpha, scene.beta):
        assert "Traceback" not in provider.log_file.read_text(encoding="utf-8"), provider.domain


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bob(scene: TroubledScene) -> AsyncIterator[Handset]:
    """The handset that beta delivers calls to."""
    async with handset(scene) as protocol:
        yield protocol
