"""A hop between alpha and beta drops Identity; the call is verified by way of the CPS."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import serialization

from gateway.demo.scene import ALICE, BOB
from stir.certificates.issuing import key_to_pem, new_key
from tests.support.deaf_hop import HOP, DeafHop, deaf_hop
from tests.support.stir_peer import Handset, alphas_signer, caller, handset, offer, pbx
from tests.support.troubled_scene import PBX, TroubledScene, metric, record_of

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

SEALED = "+12125550150"  # a number whose PASSporTs alpha encrypts to beta
METRIC = "spingate_out_of_band_total"
_CLIENT = """
[stir.oob]
urls = ["https://spin.beta.example:8444"]
issuer = "{issuer}"
trust_anchors = "keys/tls-root.pem"
budget_seconds = 2.0
"""
_ADDITIONS = {
    "alpha": f"""
[[peer]]
domain = "beta.example"
out_of_band = true
{_CLIENT.format(issuer="14155550100")}
[[stir.oob.recipient]]
numbers = ["{SEALED}"]
key = "keys/beta-oob.pem"
""",
    "beta": f"""
[[peer]]
sources = ["127.61.0.{HOP}/32"]
out_of_band = true
{_CLIENT.format(issuer="+12125550100")}
decryption_keys = ["keys/oob.key"]

[stir.call_placement]
address = "127.61.0.20"
certificate = "keys/sip.pem"
key = "keys/sip.key"
names = ["spin.beta.example"]
""",
}


class OutOfBandScene(TroubledScene):
    """The scene with a call placement service at beta, and an encryption key."""

    def _make_keys(self) -> None:
        super()._make_keys()
        key = new_key()
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (self.folder / "beta" / "keys" / "oob.key").write_bytes(key_to_pem(key))
        (self.folder / "alpha" / "keys" / "beta-oob.pem").write_bytes(public)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TroubledScene]:
    folder: Path = tmp_path_factory.mktemp("scene") / "scene"
    async with OutOfBandScene(folder, additions=_ADDITIONS) as scene:
        await scene.beta.register_handler("bob", SEALED)
        yield scene
    for provider in (scene.alpha, scene.beta):
        assert "Traceback" not in provider.log_file.read_text(encoding="utf-8")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bob(scene: TroubledScene) -> AsyncIterator[Handset]:
    async with handset(scene) as protocol:
        yield protocol


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hop(scene: TroubledScene) -> AsyncIterator[DeafHop]:
    async with deaf_hop(scene) as running:
        yield running


async def called_from_alpha(scene: TroubledScene, number: str) -> str:
    """Call beta from alpha's PBX, with media keys in the offer; return the Call-ID."""
    call_id = f"{secrets.token_hex(6)}@pbx"
    async with pbx(scene) as trunk:
        response = await trunk.call(to=number, call_id=call_id, sdp=offer(scene.address(PBX)))
    assert response.status_code == 486, response.headers.all("Reason")
    return call_id


@pytest.mark.parametrize("number", [BOB, SEALED])
async def test_a_call_whose_identity_was_dropped_is_verified(
    scene: TroubledScene, hop: DeafHop, bob: Handset, number: str
) -> None:
    before = len(hop.dropped)
    call_id = await called_from_alpha(scene, number)
    assert len(hop.dropped) == before + 1
    verdict = (await record_of(scene.beta, call_id))["verdict"]
    assert (verdict["outcome"], verdict["out_of_band"]) == ("valid", True)
    assert verdict["passport"]["payload"]["orig"] == {"tn": ALICE.lstrip("+")}
    delivered = bob.got(call_id)
    assert delivered is not None
    assert "TN-Validation-Passed" in (delivered.headers.get("P-Asserted-Identity") or "")
    assert await metric(scene.alpha, METRIC, action="publish", outcome="taken") >= 1
    assert await metric(scene.beta, METRIC, action="retrieve", outcome="valid") >= 1


async def test_several_calls_between_the_same_numbers_each_have_their_own(
    scene: TroubledScene, hop: DeafHop, bob: Handset
) -> None:
    for _ in range(3):
        call_id = await called_from_alpha(scene, BOB)
        assert (await record_of(scene.beta, call_id))["verdict"]["outcome"] == "valid"


async def test_where_the_header_arrives_nothing_is_retrieved(
    scene: TroubledScene, hop: DeafHop, bob: Handset
) -> None:
    hop.passing = True
    try:
        call_id = await called_from_alpha(scene, BOB)
    finally:
        hop.passing = False
    verdict = (await record_of(scene.beta, call_id))["verdict"]
    assert (verdict["outcome"], verdict["out_of_band"]) == ("valid", False)


async def test_a_call_that_nobody_published_is_as_it_came(
    scene: TroubledScene, hop: DeafHop, bob: Handset
) -> None:
    call_id = f"{secrets.token_hex(6)}@hop"
    async with caller(scene, HOP) as stranger:
        response = await stranger.call(call_id=call_id, caller="+14155550177")
    assert response.status_code == 428
    verdict = (await record_of(scene.beta, call_id))["verdict"]
    assert (verdict["reason"], verdict["out_of_band"]) == ("identity_missing", False)


async def test_what_was_used_up_serves_no_second_call(
    scene: TroubledScene, hop: DeafHop, bob: Handset
) -> None:
    await called_from_alpha(scene, BOB)
    async with caller(scene, HOP) as stranger:
        response = await stranger.call(call_id=f"{secrets.token_hex(6)}@hop")
    assert response.status_code == 428
    # One that is signed is verified by its header, whatever lies ready.
    async with caller(scene, HOP) as stranger:
        response = await stranger.call(alphas_signer(scene).identity())
    assert response.status_code == 486


async def test_other_peers_are_not_looked_up(
    scene: TroubledScene, hop: DeafHop, bob: Handset
) -> None:
    async with caller(scene) as stranger:
        response = await stranger.call(call_id=f"{secrets.token_hex(6)}@stranger")
    assert response.status_code == 428
