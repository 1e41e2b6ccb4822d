"""What `spingate check` says of directories, logs, trees and policy that do not fit."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.config.discovery import Discovery
from gateway.config.root import Config
from gateway.discovery_checks import discovery
from gateway.dns import DnsResolver, DnsSettings
from gateway.finding import Finding
from tests.support.directory_world import DirectoryWorld, RealClock, running
from tests.support.log_world import log_signer

pytestmark = pytest.mark.real


async def findings(**section: Any) -> list[Finding]:
    config = SimpleNamespace(discovery=Discovery.model_validate(section), spin=None)
    resolver = DnsResolver(DnsSettings(nameservers=(("127.0.0.1", 9),), timeout=1.0))
    try:
        return [each async for each in discovery(cast(Config, config), resolver)]
    finally:
        await resolver.close()


def served(world: DirectoryWorld, url: str, **server: Any) -> dict[str, Any]:
    """The section of a gateway that asks this directory."""
    return {
        "owner_trust_anchors": (world.folder / "numbers.pem",),
        "trust_anchors": world.folder / "tls-root.pem",
        "server": ({"url": url, **server},),
    }


async def test_a_directory_is_reached_and_its_keys_are_compared(tmp_path: Path) -> None:
    world = DirectoryWorld(tmp_path, transparency_log={"interval_seconds": 0.02})
    world.clock = RealClock(time.time())
    async with running(world) as client:
        assert (await client.register(world.owner())).status == 200
        described = (await client.send("GET", "/.well-known/spin-dp")).document
        good = {"key": described["keys"][0]["kid"], "log_keys": (described["log"],)}
        found = await findings(directory=served(world, client.url, **good))
        # The test's directory has another name than the port it is reached at.
        named = [each for each in found if "calls itself" in each.detail]
        assert [each.outcome for each in named] == ["failed"]
        others = [each for each in found if each not in named]
        assert [each.outcome for each in others] == ["passed"] * 3
        assert "1 entries" in others[-1].detail

        warned = (await findings(directory=served(world, client.url)))[0]
        assert (warned.outcome, good["key"] in warned.hint) == ("warning", True)
        wrong = {"key": "A" * 43, "log_keys": (str(log_signer().verifier),)}
        found = await findings(directory=served(world, client.url, **wrong))
        failed = [each.detail for each in found if each.outcome == "failed"]
        assert any("key that is pinned" in each for each in failed)
        assert any("log_keys" in each for each in failed)
        assert any("checkpoint does not hold" in each for each in failed)
    gone = await findings(directory=served(world, "https://127.0.0.1:1"))
    assert [(each.outcome, "connect" in each.detail) for each in gone] == [("failed", True)]


async def test_a_tree_that_cannot_be_asked_is_said() -> None:
    tree = {"suffix": "e164.dp.example", "ds": (f"1 13 2 {'ab' * 32}",)}
    (found,) = await findings(enum={"tree": ({**tree, "nameservers": ("127.0.0.1:9",)},)})
    assert (found.name, found.outcome) == ("ENUM e164.dp.example", "failed")


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"required_assurance": {"voice": "logged"}}, "no [[discovery.directory.server]]"),
        ({"order": ("cache", "enum", "directory")}, "'enum' is in discovery.order"),
        ({"order": ("cache",)}, "'directory' has a section"),
    ],
)
async def test_what_can_never_work_is_said(
    tmp_path: Path, section: dict[str, Any], says: str
) -> None:
    directory = served(DirectoryWorld(tmp_path), "https://127.0.0.1:1")
    found = await findings(directory=directory, **section)
    assert any(says in each.detail for each in found)


async def test_without_discovery_there_is_nothing_to_say() -> None:
    assert await findings() == []
