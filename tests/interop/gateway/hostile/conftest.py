"""One scene a test file: two gateway processes, and a world that tests may break."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.stir_peer import Handset, handset
from tests.support.troubled_scene import TroubledScene, log_lines


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[TroubledScene]:
    """The scene; a test file's SETTINGS are TOML values by section. No gateway may stumble."""
    folder: Path = tmp_path_factory.mktemp("scene") / "scene"
    settings: Mapping[str, Mapping[str, object]] = getattr(request.module, "SETTINGS", {})
    async with TroubledScene(folder, settings=settings) as scene:
        yield scene
    for provider in (scene.alpha, scene.beta):
        text = provider.log_file.read_text(encoding="utf-8")
        assert "Traceback" not in text, f"{provider.domain} stumbled"
        if provider.config.log.format == "json":
            log_lines(provider)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bob(scene: TroubledScene) -> AsyncIterator[Handset]:
    """The handset that beta delivers calls to."""
    async with handset(scene) as protocol:
        yield protocol
