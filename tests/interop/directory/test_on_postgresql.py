"""`spingate directory run` on PostgreSQL: one process, two on one database, and its failures."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import time
from pathlib import Path

import pytest

from discovery.directory.answer import Status
from discovery.directory.challenge import key_authorization
from discovery.directory.orders import Operation, read_order
from discovery.directory.reason import Refusal, Refused
from gateway.directory.keys import PointKeys
from tests.support.directory_process import (
    Process,
    directory_process,
    refused,
    write_configuration,
)
from tests.support.directory_world import NUMBER, DirectoryWorld, opened
from tests.support.postgresql import PASSWORD, Cluster

pytestmark = pytest.mark.real
SMALL_QUOTA = "lookups_per_day = 40"


@pytest.fixture
def world(tmp_path: Path) -> DirectoryWorld:
    world = DirectoryWorld(tmp_path)
    world.clock.now = time.time()
    return world


async def status(process: Process) -> str:
    found = await process.lookup(NUMBER)
    assert found.status == 200
    token: str = found.document["answer"]
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return str(claims["status"])


async def test_a_record_is_registered_found_kept_over_a_restart_and_removed(
    world: DirectoryWorld, postgresql: Cluster
) -> None:
    file = write_configuration(world, "one", database_url=postgresql.url())
    owner = world.owner()
    async with directory_process(world, file) as process:
        assert await status(process) == Status.NONE
        # A number of a record may be larger than 32 bits.
        assert (await process.register(owner.token(seq=2**40), owner.chain)).status == 200
        assert await status(process) == Status.MAPS
    async with directory_process(world, file) as process:
        assert await status(process) == Status.MAPS
        removal = {"removal": owner.removal(seq=2**40 + 1), "chain": owner.chain}
        assert (await process.send("DELETE", "/dp/v1/records", removal)).status == 204
        assert await status(process) == Status.NONE
        assert (await process.register(owner.token(seq=2**40), owner.chain)).status == 409


async def test_two_processes_serve_one_database(world: DirectoryWorld, postgresql: Cluster) -> None:
    files = [
        write_configuration(
            world, name, database_url=postgresql.url(), peer=SMALL_QUOTA, state="shared"
        )
        for name in ("one", "other")
    ]
    async with directory_process(world, files[0]) as one:
        async with directory_process(world, files[1]) as other:
            owner = world.owner()
            # Versions of one record, at both at once: one order, the last one stays.
            tokens = [owner.token(seq=number) for number in range(1, 13)]
            kept = await asyncio.gather(
                *(
                    (one, other)[number % 2].register(token, owner.chain)
                    for number, token in enumerate(tokens)
                )
            )
            assert {each.status for each in kept} <= {200, 409}
            assert kept[-1].status == 200
            rows = await postgresql.rows("SELECT seq FROM dp_floors")
            assert rows == [(12,)]
            # Another key waits, whichever it asks.
            rival = world.owner()
            held = await other.register(rival.token(), rival.chain)
            assert (held.status, held.document["state"]) == (202, "held")
            assert await status(one) == await status(other) == Status.MAPS
            # The quota of a day is of both together.
            found = await asyncio.gather(
                *((one, other)[number % 2].lookup(NUMBER) for number in range(60))
            )
            assert sorted(each.status for each in found) == [200] * 38 + [429] * 22
        async with directory_process(world, files[1]) as again:
            assert (await again.lookup(NUMBER)).status == 429


async def test_of_many_who_try_codes_at_two_authorities_five_try_and_one_succeeds(
    tmp_path: Path, postgresql: Cluster
) -> None:
    database = {"database_url": postgresql.url()}
    first = DirectoryWorld(tmp_path, directory=database)
    (tmp_path / "second").mkdir()
    second = DirectoryWorld(tmp_path / "second", shared=first, directory=database)
    owner = first.owner(certified=False)
    async with opened(first) as one, opened(second) as other:
        assert one.authority is not None
        assert other.authority is not None
        both = (one.authority, other.authority)

        def order(operation: Operation, **more: str) -> object:
            token = owner.order(operation, **more)
            return read_order(
                token, PointKeys(), audience="https://dp.example", now=first.clock.now
            )[0]

        async def outcomes(answer: str, identifier: str, tries: int) -> list[Refusal | None]:
            asked = order(Operation.CERTIFY, challenge_id=identifier, answer=answer)
            found = await asyncio.gather(
                *(
                    both[number % 2].certify(asked, owner.signer.public)  # type: ignore[arg-type]
                    for number in range(tries)
                ),
                return_exceptions=True,
            )
            for each in found:
                if isinstance(each, BaseException) and not isinstance(each, Refused):
                    raise each
            return [each.reason if isinstance(each, Refused) else None for each in found]

        for right in (True, False):
            made = await both[0].challenge(
                order(Operation.CHALLENGE),  # type: ignore[arg-type]
                owner.signer.public,
                "192.0.2.1",
            )
            code = first.couriers.code if right else "00000000"
            answer = key_authorization(code, made.part2, owner.signer.public.thumbprint)
            found = await outcomes(answer, made.challenge_id, 20)
            if right:
                assert found.count(None) == 1
                assert set(found) <= {None, Refusal.NO_CHALLENGE, Refusal.BURNT}
            else:
                assert found.count(Refusal.WRONG_CODE) == 5
                assert found.count(Refusal.BURNT) == 15


async def test_a_server_that_stops_is_a_clear_problem_until_it_is_back(
    world: DirectoryWorld, postgresql: Cluster
) -> None:
    file = write_configuration(
        world, "one", database_url=postgresql.url(), peer="lookups_per_day = 100"
    )
    owner = world.owner()
    async with directory_process(world, file) as process:
        assert (await process.register(owner.token(), owner.chain)).status == 200
        postgresql.stop()
        try:
            for reply in (
                await process.lookup(NUMBER),
                await process.lookup(NUMBER),
                await process.register(owner.token(seq=2), owner.chain),
            ):
                assert reply.status == 503
                assert "database" in json.loads(reply.body)["detail"]
        finally:
            postgresql.start()
        # What was connected before fails once at most for each connection kept.
        for _ in range(10):
            if (await process.lookup(NUMBER)).status == 200:
                break
        assert await status(process) == Status.MAPS
        assert (await process.register(owner.token(seq=2), owner.chain)).status == 200
        said = await process.stop(signal.SIGTERM)
    assert "nobody answers there" in said
    assert PASSWORD not in said


@pytest.mark.parametrize(
    ("database", "password", "more", "says"),
    [
        ("directory", "wrong-secret", "", "refuses the user or the password"),
        ("nowhere", PASSWORD, "", "no such database"),
        ("directory", PASSWORD, "?ssl=require", "speaks no TLS"),
        ("directory", PASSWORD, "?ssl=verify-full", "options of the URL"),
        ("directory", PASSWORD, "?sslmode=require", "option 'sslmode'; the driver takes"),
    ],
)
async def test_a_database_that_cannot_be_used_is_named_at_the_start(
    world: DirectoryWorld,
    postgresql: Cluster,
    database: str,
    password: str,
    more: str,
    says: str,
) -> None:
    url = postgresql.url(database, password=password, more=more)
    code, said = await refused(write_configuration(world, "one", database_url=url))
    assert code == 2
    assert said.startswith("spingate: directory.database_url: ")
    assert says in said
    assert password not in said
    assert "Traceback" not in said


async def test_a_server_that_is_not_there_is_named_at_the_start(world: DirectoryWorld) -> None:
    url = "postgresql+asyncpg://directory:a-secret@127.0.0.1:9/directory"
    code, said = await refused(write_configuration(world, "one", database_url=url))
    assert (code, said.count("\n")) == (2, 1)
    assert said.startswith("spingate: directory.database_url: database: nobody answers there")


async def test_a_database_whose_records_are_in_a_log_takes_no_other_one(
    world: DirectoryWorld, postgresql: Cluster
) -> None:
    log = "[transparency_log]\n"
    url = postgresql.url()
    first = write_configuration(world, "first", database_url=url, more=log, state="first")
    unlogged = write_configuration(world, "unlogged", database_url=url, state="first")
    other = write_configuration(world, "other", database_url=url, more=log, state="other")
    async with directory_process(world, first):
        code, said = await refused(first)
        assert code == 2
        assert "transparency_log.folder" in said
        assert "in use" in said
        for file in (unlogged, other):
            code, said = await refused(file)
            assert code == 2
            assert said.startswith("spingate: transparency_log: what is in this database")
