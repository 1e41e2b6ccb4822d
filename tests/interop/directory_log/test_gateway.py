"""A gateway that demands a log uses what is logged, and nothing that is not."""

from __future__ import annotations

import socket
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from discovery.log.vrf import VrfSecret
from discovery.model import Assurance, Outcome, Service
from gateway.config.directory_client import DirectoryClientSection
from gateway.config.load import ConfigError
from gateway.directory_log.trust import trusted_logs
from gateway.directory_making import make_directory_source
from tests.support.directory_world import TOKEN, DirectoryWorld, running
from tests.support.log_scene import serving_witness
from tests.support.log_world import cosigner, log_signer, write_key

pytestmark = pytest.mark.real
W1 = str(cosigner(1).verifier)


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


class Addresses:
    async def addresses(self, name: str) -> tuple[str, ...]:
        return ("127.0.0.1",)


def section(**server: Any) -> DirectoryClientSection:
    return DirectoryClientSection.model_validate(
        {
            "owner_trust_anchors": ("numbers.pem",),
            "server": ({"url": "https://dp.example", **server},),
            "require_logged": True,
        }
    )


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, Outcome.FOUND),
        ({"log_keys": [str(log_signer(9, "dp.example/log").verifier)]}, Outcome.REFUSED),
        ({"log_witnesses": [str(cosigner(2).verifier)]}, Outcome.REFUSED),
        ({"log_witnesses": [W1, str(cosigner(2).verifier)], "log_quorum": 2}, Outcome.REFUSED),
        ({"log_witnesses": []}, Outcome.FOUND),
        ({"log_labels": VrfSecret(b"x" * 32).public.hex()}, Outcome.REFUSED),
    ],
)
async def test_only_what_the_policy_believes_is_used(
    tmp_path: Path, changes: dict[str, Any], outcome: Outcome
) -> None:
    signer = log_signer(name="dp.example/log")
    write_key(tmp_path / "log.key", signer)
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serving_witness(tmp_path / "w", logs=[signer]))
        log = {
            "origin": signer.name,
            "key": tmp_path / "log.key",
            "witness": ({"url": url, "key": W1},),
        }
        directory = {"url": f"https://dp.example:{free_port()}"}
        world = DirectoryWorld(tmp_path, directory=directory, transparency_log=log)
        world.clock.now = time.time()
        client = await stack.enter_async_context(running(world))
        assert (await client.register(world.owner())).status == 200
        server = {
            "url": directory["url"],
            "token": TOKEN,
            "log_keys": [str(signer.verifier)],
            "log_witnesses": [W1],
            "log_labels": (await client.send("GET", "/.well-known/spin-dp")).document["log_labels"],
            **changes,
        }
        settings = section(**server).model_copy(
            update={
                "owner_trust_anchors": (tmp_path / "numbers.pem",),
                "trust_anchors": tmp_path / "tls-root.pem",
                "budget_seconds": 5.0,
            }
        )
        source = make_directory_source(settings, Addresses(), wall_clock=world.clock)
        assert source is not None
        stack.push_async_callback(source.close)
        answer = await source.find("14155550123", Service.VOICE, caller="12125550100")
        assert answer.outcome is outcome
        if outcome is Outcome.FOUND:
            assert [each.assurance for each in answer.uris] == [Assurance.LOGGED]


@pytest.mark.parametrize(
    ("server", "says"),
    [
        ({"log_keys": ["x"]}, "log_keys"),
        ({"log_keys": [str(log_signer().verifier)], "log_witnesses": ["y"]}, "log_keys"),
        ({"log_keys": [str(log_signer().verifier)], "log_quorum": 1}, "log_quorum"),
        ({"log_keys": [str(log_signer().verifier)], "log_labels": "00" * 32}, "log_labels"),
    ],
)
def test_a_policy_that_is_none_is_named(server: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        trusted_logs(section(**server))


def test_demanding_a_log_without_naming_its_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="log_keys of each server"):
        section()
