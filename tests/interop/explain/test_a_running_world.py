"""`spingate stir explain` and `spingate check` as a person at a provider's edge runs them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.captures import ethernet, invite, pcap, udp
from tests.support.command_line import spingate
from tests.support.stir_peer import alphas_signer
from tests.support.troubled_scene import TroubledScene

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TroubledScene]:
    """Two providers, with their certificates published."""
    async with TroubledScene(tmp_path_factory.mktemp("scene") / "scene") as scene:
        yield scene


async def test_a_capture_is_explained_with_certificates_as_a_gateway_fetches_them(
    scene: TroubledScene, tmp_path: Path
) -> None:
    signer, now = alphas_signer(scene), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    frames = [
        udp(invite(signer.identity(), call_id="good@alpha")),
        udp(invite(signer.identity(dest="+13035550177"), call_id="dest@alpha")),
    ]
    (tmp_path / "calls.pcap").write_bytes(pcap(*map(ethernet, frames)))
    said = await spingate(
        *("stir", "explain", tmp_path / "calls.pcap", "--json", "--at", now),
        *("--fetch", "-c", scene.beta.config_file),
    )
    assert said.err == ""
    assert [(each["call_id"], each["outcome"], each["reason"]) for each in said.objects] == [
        ("good@alpha", "valid", None),
        ("dest@alpha", "invalid", "destination_mismatch"),
    ]
    assert said.objects[0]["certificates"][0]["subject"] == "CN=SHAKEN alpha"


async def test_without_a_configuration_nothing_special_is_connected_to(
    scene: TroubledScene,
) -> None:
    signer = alphas_signer(scene)
    said = await spingate("stir", "explain", signer.identity(), "--fetch", "--json")
    assert said.only["reason"] == "credential_unavailable"


async def test_check_finds_a_running_provider_well(scene: TroubledScene) -> None:
    said = await spingate("check", "-c", scene.alpha.config_file, "--json")
    found = {each["name"]: each["outcome"] for each in said.objects}
    assert (said.code, said.err) == (0, "")
    assert found["STI chain"] == found["trust anchors"] == found["x5u server"] == "passed"
    assert found["TLS certificates"] == "passed"
    assert found["CRL"] == "skipped"  # the development authority publishes no list
