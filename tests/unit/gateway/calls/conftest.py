"""A scene for each test, and proof at its end that nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.call_scene import CallScene

MakeScene = Callable[..., CallScene]


@pytest.fixture
def make_scene() -> Iterator[MakeScene]:
    scenes: list[CallScene] = []

    def make(**sections: Any) -> CallScene:
        scenes.append(CallScene(**sections))
        return scenes[-1]

    yield make
    for scene in scenes:
        scene.loop.finish()


@pytest.fixture
def scene(make_scene: MakeScene) -> CallScene:
    return make_scene()
