"""The composition root puts everything together before anything listens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.app import Gateway
from gateway.config import Config, ConfigError
from gateway.keys import Keys
from gateway.operator_view import OperatorView
from stir.certificates.credential_cache import CredentialCache
from tests.support.call_scene import ALICE, BOB, FROM_ALICE, CallScene, make_config
from tests.support.stir_authority import NOW

KEYS = Keys(None, (), {"alice": "x"}, None, None, None)


def config(folder: Path, **sections: Any) -> Config:
    provider = {**make_config().provider.model_dump(), "state_directory": folder}
    access = make_config().model_dump()["listen"][0]
    return make_config(provider=provider, listen=[access], **sections)


async def test_a_gateway_is_made_without_binding_anything(tmp_path: Path) -> None:
    gateway = Gateway(config(tmp_path), KEYS)
    text = gateway.metrics.exposition().decode()
    for name in ("calls_active", "media_sessions", "media_ports", "transactions", "trace_lost"):
        assert f"spingate_{name} 0.0" in text
    assert len(gateway.calls) == len(gateway.control) == 0


async def test_a_state_directory_that_cannot_be_made_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError) as wrong:
        Gateway(config(tmp_path / "file"), KEYS)
    assert wrong.value.key == "provider.state_directory"


@pytest.fixture
def scene() -> Iterator[CallScene]:
    made = CallScene(peer=[{"domain": "beta.example", "identity": "mark"}])
    yield made
    made.loop.finish()


def view(scene: CallScene) -> OperatorView:
    fakes: Any = scene
    return OperatorView(
        config=scene.config,
        calls=scene.calls,
        control=scene.control,
        endpoint=fakes.endpoint,
        media=fakes.media,
        resolver=fakes.resolver,
        mappings=None,
        credentials=CredentialCache(10),
        clock=lambda: NOW,
    )


def test_the_operator_sees_calls_and_peers_but_no_secret(scene: CallScene) -> None:
    scene.register(ALICE, FROM_ALICE)
    scene.called()
    readers = view(scene).readers()
    (call,) = readers["calls"]()
    assert (call["caller"], call["called"]) == (BOB, ALICE)
    (peer,) = readers["peers"]()
    assert peer == {
        "peer": "beta.example",
        "identity": "mark",
        "max_calls": 1_000,
        "calls": 1,
    }
    assert "alice's password" not in str(readers["config"]())
    assert readers["cache"]() == []


def test_the_operator_may_look_a_number_up(scene: CallScene) -> None:
    found = scene.loop.result(view(scene).discover("2125550123", "voice", ALICE))
    assert found["uris"][0]["uri"].startswith(f"sip:{BOB}@beta.example")
    assert scene.resolver.asked == [(BOB, ALICE)]


@pytest.mark.parametrize(
    ("number", "service", "sender"),
    [("nobody", "voice", ALICE), (BOB, "smell", ALICE), (BOB, "voice", "+12125550100")],
)
def test_a_question_that_makes_no_sense_is_refused(
    scene: CallScene, number: str, service: str, sender: str
) -> None:
    with pytest.raises(ValueError, match=r"number|neither"):
        scene.loop.result(view(scene).discover(number, service, sender))
