"""A call between two gateways whose number is found by ENUM, and who answered is proven."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from discovery.model import Service
from gateway.demo.scene import ALICE, BOB
from tests.support.enum_server import TREE, enum_server, numbers, zone
from tests.support.two_providers import QuickScene, TwoProviders, eventually, hang_up, talking

pytestmark = pytest.mark.real
PUBLISHED = {BOB.lstrip("+"): [(Service.VOICE, f"sip:{BOB}@beta.example;user=phone")]}
_ALPHA = """
[discovery]
order = ["cache", "enum"]

[discovery.required_assurance]
voice = "dnssec"

[discovery.enum]
[[discovery.enum.tree]]
prefix = "+1"
suffix = "{suffix}"
ds = ["{ds}"]
nameservers = ["127.0.0.1:{port}"]
"""


class EnumScene(QuickScene):
    """The scene, with answers signed at beta."""

    def _configure(self, name: str) -> Path:
        path = super()._configure(name)
        if name == "beta":
            text = path.read_text(encoding="utf-8")
            table = "\n[stir.authentication]\n"
            assert table in text
            path.write_text(text.replace(table, f"{table}sign_answers = true\n"), encoding="utf-8")
        return path


async def _is_checked(world: TwoProviders) -> bool:
    calls = (await world.alpha.admin("/v1/calls"))["calls"]
    return "connected" in calls[0]


async def test_a_call_is_found_by_enum_and_its_answer_is_proven(tmp_path: Path) -> None:
    async with enum_server(numbers(PUBLISHED)) as server:
        alpha = _ALPHA.format(suffix=TREE.suffix, ds=zone().ds()[0], port=server.port)
        scene = EnumScene(
            tmp_path / "scene", lambda _: None, with_phones=False, additions={"alpha": alpha}
        )
        async with scene:
            world = TwoProviders(scene)
            alice, bob = await world.alice(), await world.bob()
            await bob.register()
            for source in ("enum", "cache"):
                at_alice, at_bob = await talking(alice, bob, BOB, srtp=True)
                await eventually(partial(_is_checked, world), "the answer is checked")
                await hang_up(at_alice, at_bob)
                record = await world.record(world.alpha, at_alice.call_id)
                discovery = record["discovery"]
                assert discovery["asked"][-1]["source"] == source
                assert discovery["uris"][0]["assurance"] == "dnssec"
                assert record["connected"] == {"outcome": "valid", "reason": None}
                verdict = (await world.record(world.beta, at_alice.call_id))["verdict"]
                assert verdict["outcome"] == "valid"
            question = {"number": "+12125550199", "service": "voice", "from": ALICE}
            absent = await world.alpha.admin("/v1/discover", question)
            assert [(each["source"], each["outcome"]) for each in absent["asked"]] == [
                ("cache", "not found"),
                ("enum", "not found"),
            ]
            await world.close_phones()
            for provider in (world.alpha, world.beta):
                assert "Traceback" not in world.log(provider)
