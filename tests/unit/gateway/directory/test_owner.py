"""An owner whose answers are lost on the way."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import pytest

from discovery.directory.identifier import parse_identifier
from discovery.directory.record import Record
from gateway.directory.owner import OwnerClient, OwnerFailed, OwnerFile
from gateway.directory.service import DirectoryService
from gateway.http.fetch import FailureReason, Fetched, FetchFailed
from gateway.http.service_client import ServiceClient
from stir.certificates.issuing import issue_sti_certificate
from stir.certificates.tn_auth_list import One, TnAuthList
from tests.support.directory_world import NUMBER, DirectoryWorld

BOB = parse_identifier(NUMBER)


class Way:
    """Reaches the directory's registry; `loses` answers that are on their way back."""

    def __init__(self, service: DirectoryService) -> None:
        self.service = service
        self.loses = True

    async def request(
        self,
        method: str,
        url: str,
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Fetched:
        given = json.loads(body or b"{}")
        if method == "PUT":
            await self.service.registry.register(given["record"], given["chain"])
        elif method == "DELETE":
            await self.service.registry.remove(given["removal"], given["chain"])
        if self.loses:
            raise FetchFailed("dp.example", FailureReason.TIMEOUT, "nothing within 15 s")
        return Fetched(200, {}, b"{}")


async def test_a_lost_answer_is_followed_by_another_number(
    world: DirectoryWorld, service: DirectoryService
) -> None:
    file = OwnerFile.open(world.folder / "bob.key", BOB)
    issued = issue_sti_certificate(
        world.number_ca,
        TnAuthList((One(BOB.value),)),
        world.clock.now,
        public_key=file.signer.public.public_key,
    )
    file.save(chain=issued.chain_pem.decode(), x5u="https://dp.example/ca/v1/certificates/1")
    url, way = world.config.directory.url, Way(service)
    client = OwnerClient(cast(ServiceClient, way), url, url, BOB, file, world.clock)

    def record(seq: int, now: int, x5u: str) -> Record:
        return Record(BOB, seq, now, now + 86_400, (), x5u)

    async def twice(work: Any) -> None:
        way.loses = True
        with pytest.raises(OwnerFailed):
            await work()
        world.clock.now += 60
        way.loses = False
        await work()

    await twice(lambda: client.register(record))
    await twice(client.remove)
    again = OwnerFile.open(world.folder / "bob.key", BOB)
    assert again.state["seq"] == 4
    assert await service.records.count() == 0
