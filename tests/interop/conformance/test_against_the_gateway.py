"""The conformance suite, as a command, against a running gateway: every case as expected."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from gateway.demo.scene import BOB
from tests.support.conformance_scene import conformance, options
from tests.support.stir_peer import handset
from tests.support.troubled_scene import HANDSET, MARK, TroubledScene

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

PEERS_UDP, API = 24, 25
TOKEN = "a-token-for-the-switch-only"
ADDITIONS = {
    "beta": f"""
[[listen]]
name = "peers-udp"
role = "peers"
transport = "udp"
address = "127.61.0.{PEERS_UDP}"
port = 5060

[stir.api]
address = "127.61.0.{API}"
port = 8088

[[stir.api.client]]
name = "switch"
token = "{TOKEN}"
numbers = ["+12125550100-+12125550199"]
max_attest = "A"
"""
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TroubledScene]:
    """Two gateway processes, of which beta is tested; neither may stumble."""
    folder: Path = tmp_path_factory.mktemp("scene") / "scene"
    async with TroubledScene(folder, additions=ADDITIONS) as scene:
        yield scene
    for provider in (scene.alpha, scene.beta):
        assert "Traceback" not in provider.log_file.read_text(encoding="utf-8"), provider.domain


async def test_a_gateway_that_refuses_conforms(scene: TroubledScene) -> None:
    target = f"sip:{BOB}@{scene.address(PEERS_UDP)}:5060;transport=udp"
    async with handset(scene):
        said, found = await conformance(
            target, *options(scene), "--bind", scene.address(75), "--domain", "alpha.example"
        )
    assert said.err == ""
    assert {name: each for name, each in found.items() if each["result"] != "pass"} == {}
    assert said.code == 0
    assert found["expired"]["status"] == 437
    assert found["expired"]["reasons"][0].startswith("STIR;cause=437")


async def test_a_gateway_that_marks_is_seen_by_the_receiver(scene: TroubledScene) -> None:
    target = f"sip:{BOB}@{scene.address(PEERS_UDP)}:5060;transport=udp"
    said, found = await conformance(
        *(target, *options(scene), "--bind", scene.address(MARK), "--domain", "alpha.example"),
        *("--receiver", f"{scene.address(HANDSET)}:5060"),
        *("--only", "valid", "--only", "expired", "--only", "wrong-orig", "--only", "none"),
    )
    assert said.code == 0, said.out + said.err
    assert {name: each["verstat"] for name, each in found.items()} == {
        "valid": "TN-Validation-Passed",
        "none": "No-TN-Validation",
        "wrong-orig": "TN-Validation-Failed",
        "expired": "TN-Validation-Failed",
    }


async def test_its_verification_service_conforms_over_http(
    scene: TroubledScene, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    url = f"http://{scene.address(API)}:8088/stir/v1/verification"
    said, found = await conformance(
        *(url, *options(scene), "--to", BOB, "--token-file", tmp_path / "token")
    )
    wrong = {name for name, each in found.items() if each["result"] not in ("pass", "skipped")}
    assert wrong == {"replay"}, {name: found[name] for name in wrong}  # a switch may ask again
    assert said.code == 1
    assert TOKEN not in said.out + said.err


async def test_its_signing_service_conforms_over_http(scene: TroubledScene, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    url = f"http://{scene.address(API)}:8088/stir/v1/signing"
    mine = [*options(scene)]
    mine[1] = BOB  # beta signs for its own numbers
    said, found = await conformance(
        *(url, *mine, "--to", "+13035550155", "--token-file", tmp_path / "token")
    )
    wrong = {name: each for name, each in found.items() if each["result"] == "fail"}
    assert wrong == {}
    assert said.code == 0
