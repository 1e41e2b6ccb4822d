"""A log with as many witnesses as it may have: proofs fit, and one that does not is told of."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from discovery.directory.answer import ANSWER_OCTETS, Status, parse_answer
from discovery.directory.record import Map
from discovery.log.logged import LogPolicy
from discovery.log.relying import TrustedLogs
from discovery.model import Service
from gateway.directory.log_sink import EntryKind, NoLog
from tests.support.directory_world import DirectoryWorld, Owner, running
from tests.support.log_scene import serving_witness
from tests.support.log_world import cosigner, log_signer, write_key

pytestmark = pytest.mark.real
LOG_NAME = "dp.example/log"
WITNESSES = 16


async def world_with_witnesses(folder: Path, stack: AsyncExitStack) -> DirectoryWorld:
    signer = log_signer(name=LOG_NAME)
    write_key(folder / "log.key", signer)
    witnesses = []
    for number in range(1, WITNESSES + 1):
        serving = serving_witness(folder / f"w{number}", number, [signer])
        url = await stack.enter_async_context(serving)
        witnesses.append({"url": url, "key": str(cosigner(number).verifier)})
    section = {"key": folder / "log.key", "interval_seconds": 0.02, "quorum": WITNESSES}
    world = DirectoryWorld(folder, transparency_log={**section, "witness": tuple(witnesses)})
    world.clock.now = time.time()
    return world


def logs(world: DirectoryWorld, quorum: int) -> TrustedLogs:
    keys = tuple(cosigner(number).verifier for number in range(1, WITNESSES + 1))
    policy = LogPolicy((log_signer(name=LOG_NAME).verifier,), keys, quorum)
    return TrustedLogs({world.config.directory.url: policy})


def largest(owner: Owner) -> tuple[Map, ...]:
    """Maps that bring a record near its 2,560 characters."""
    return tuple(
        Map(
            "b.example",
            (Service.VOICE,),
            f"sip:{'x' * 60}{n}@b.example",
            n,
            tuple(f"{t}" * 32 for t in "abc"),
        )
        for n in range(5)
    )


async def test_a_record_is_proven_by_sixteen_cosignatures(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        world = await world_with_witnesses(tmp_path, stack)
        client = await stack.enter_async_context(running(world))
        owner = world.owner()
        assert (await client.register(owner, maps=largest(owner))).status == 200
        found = await client.lookup()
        assert len(found.body) == ANSWER_OCTETS
        checker = replace(world.checker(), logs=logs(world, quorum=WITNESSES))
        (proven,) = checker.check(found.body, owner.csi, time.time()).records
        assert proven.logged
        assert client.service.lookups.unproven == {}
        # What the directory commits to in its answer is the log's own signature, not 17.
        _, answer = parse_answer(found.document["answer"])
        assert answer.checkpoint is not None
        assert answer.checkpoint.count("\u2014") == 1


class LongProofs(NoLog):
    """A log whose proofs take more room than an answer has for two of them."""

    async def append(self, kind: EntryKind, csi: str, digest: str) -> int | None:
        return 0

    async def proof(
        self, kind: EntryKind, csi: str, digest: str, index: int | None
    ) -> Mapping[str, object] | None:
        return {"inclusion": "x" * 7_000} if index is not None else None


async def test_a_proof_that_does_not_fit_is_left_out_counted_and_told(tmp_path: Path) -> None:
    world = DirectoryWorld(tmp_path)
    async with running(world, LongProofs()) as client:
        first, second = world.owner(), world.owner()
        assert (await client.register(first)).status == 200
        assert (await client.register(second)).status == 202
        world.clock.now += 73 * 3600.0
        with capture_logs() as told:
            found = await client.lookup()
            again = await client.lookup()
        assert len(found.body) == len(again.body) == ANSWER_OCTETS
        answer = world.checker().check(found.body, first.csi, world.clock.now)
        assert answer.status is Status.CONFLICT
        assert [each["proof"] is None for each in found.document["records"]] == [False, True]
        assert client.service.lookups.unproven == {("too long",): 2}
        (warning,) = [each for each in told if each["event"] == "answer without proof"]
        assert warning["log_level"] == "warning"
