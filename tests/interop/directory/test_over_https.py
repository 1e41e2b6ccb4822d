"""The directory over real HTTPS: challenge, certificate, record, lookup, removal."""

from __future__ import annotations

from pathlib import Path

import pytest

from discovery.directory.answer import ANSWER_OCTETS, Status
from discovery.directory.identifier import parse_identifier
from discovery.directory.orders import Operation
from gateway.directory.keys import chain_texts
from tests.support.directory_world import MAIL, NUMBER, DirectoryWorld, running

pytestmark = pytest.mark.real


@pytest.fixture
def world(tmp_path: Path) -> DirectoryWorld:
    return DirectoryWorld(tmp_path)


@pytest.mark.parametrize("csi", [NUMBER, MAIL])
async def test_an_owner_proves_registers_is_found_and_leaves(
    world: DirectoryWorld, csi: str
) -> None:
    owner = world.owner(csi, certified=False)
    async with running(world) as client:
        asked = await client.send(
            "POST", "/ca/v1/challenges", {"order": owner.order(Operation.CHALLENGE)}
        )
        assert asked.status == 201
        assert world.couriers.code not in asked.body.decode()
        answer = owner.answer(asked.document, world.couriers.code)
        issued = await client.send("POST", "/ca/v1/certificates", {"order": answer})
        assert (issued.status, issued.document["state"]) == (201, "issued")
        owner.chain = list(chain_texts(issued.document["chain"].encode()))
        owner.x5u = issued.document["x5u"]
        path = owner.x5u.removeprefix("https://dp.example")
        served = await client.send("GET", path)
        assert served.body.decode() == issued.document["chain"]

        before = await client.lookup(csi)
        assert (
            world.checker().check(before.body, parse_identifier(csi), world.clock.now).status
            is Status.NONE
        )
        kept = await client.register(owner)
        assert (kept.status, kept.document["state"]) == (200, "live")

        found = await client.lookup(csi)
        checked = world.checker().check(found.body, owner.csi, world.clock.now)
        assert checked.status is Status.MAPS
        assert [each.record.maps[0].msp for each in checked.records] == ["b.example"]
        assert len(before.body) == len(found.body) == ANSWER_OCTETS

        removed = await client.send(
            "DELETE", "/dp/v1/records", {"removal": owner.removal(), "chain": owner.chain}
        )
        assert removed.status == 204
        gone = await client.lookup(csi)
        assert world.checker().check(gone.body, owner.csi, world.clock.now).status is Status.NONE


async def test_the_directory_describes_itself(world: DirectoryWorld) -> None:
    async with running(world) as client:
        reply = await client.send("GET", "/.well-known/spin-dp")
        assert reply.document["keys"][0]["kid"] == world.keys.signer.public.thumbprint
        assert reply.document["log"] is None
        described = await client.send("GET", "/openapi.json")
        assert described.document["openapi"] == "3.1.0"
