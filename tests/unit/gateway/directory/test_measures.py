"""What a directory tells its operator, and when it says that it is not well."""

from __future__ import annotations

from pathlib import Path

import pytest

from discovery.directory.orders import Operation, read_order
from discovery.log.entry import EntryType, log_entry
from gateway.directory.authority import NumberAuthority
from gateway.directory.database import DirectoryUnavailable
from gateway.directory.keys import PointKeys
from gateway.directory.service import DirectoryService
from gateway.directory_log.log import DirectoryLog, LogSettings
from gateway.directory_log.store import LogStore
from gateway.directory_log.witness_client import WitnessClient
from gateway.metrics import Exposition
from tests.support.directory_world import MAIL, NUMBER, DirectoryWorld, Owner, opened
from tests.support.log_scene import running, service_client, serving_witness
from tests.support.log_world import NONCE, cosigner, label, log_signer


def exposed(service: DirectoryService) -> str:
    exposition = Exposition("spingate_directory")
    service.measure(exposition)
    return exposition.exposition().decode()


async def challenged(authority: NumberAuthority, owner: Owner) -> None:
    order, _ = read_order(
        owner.order(Operation.CHALLENGE),
        PointKeys(),
        audience="https://dp.example",
        now=owner.world.clock.now,
    )
    await authority.challenge(order, owner.signer.public, "192.0.2.7")


async def test_changes_challenges_and_records_are_counted_by_outcome_and_never_by_number(
    service: DirectoryService, world: DirectoryWorld
) -> None:
    owner, other = world.owner(), world.owner()
    await service.registry.register(owner.token(), owner.chain)
    await service.registry.register(other.token(), other.chain)
    assert service.authority is not None
    await challenged(service.authority, world.owner(NUMBER, certified=False))
    await service.lookups.answer(owner.csi)
    await service.sweep()
    text = exposed(service)
    for line in (
        'changes_total{operation="register",outcome="kept"} 1.0',
        'changes_total{operation="register",outcome="held"} 1.0',
        'authority_total{kind="challenge",outcome="sent"} 1.0',
        'answers_total{status="maps"} 1.0',
    ):
        assert f"\nspingate_directory_{line}" in text, (line, text)
    assert NUMBER.removeprefix("tel:+") not in text
    assert owner.signer.public.thumbprint not in text


@pytest.mark.parametrize(("admin", "count"), [(None, "0.0"), ({"token": "x"}, "1.0")])
async def test_records_are_counted_only_for_who_watches_them(
    tmp_path: Path, admin: dict[str, str] | None, count: str
) -> None:
    world = DirectoryWorld(tmp_path, admin=admin)
    async with opened(world) as service:
        owner = world.owner(MAIL)
        await service.registry.register(owner.token(), owner.chain)
        await service.sweep()
        assert f"\nspingate_directory_records {count}\n" in exposed(service)


async def test_a_database_that_fails_is_counted_and_told_until_it_works_again(
    tmp_path: Path,
) -> None:
    world = DirectoryWorld(tmp_path)
    owner = world.owner()
    file, hidden = tmp_path / "state" / "directory.db", tmp_path / "hidden.db"
    async with opened(world) as service:
        assert service.health() == "ok"
        await service.records._database.close()  # the next statement opens the file again
        file.rename(hidden)
        file.mkdir()
        with pytest.raises(DirectoryUnavailable):
            await service.registry.register(owner.token(), owner.chain)
        assert service.health() == "database unavailable"
        assert "spingate_directory_database_errors_total{cause=" in exposed(service)
        file.rmdir()
        hidden.rename(file)
        await service.registry.register(owner.token(), owner.chain)
        assert service.health() == "ok"


@pytest.mark.real
async def test_a_log_says_how_it_is_published_and_who_cosigned(tmp_path: Path) -> None:
    async with service_client() as http, serving_witness(tmp_path / "w") as url:
        witness = WitnessClient(http, url, cosigner(1).verifier)
        store = LogStore(tmp_path / "log", log_signer().verifier)
        now = [1_000.0]
        settings = LogSettings(interval=0.01)
        log = DirectoryLog(store, log_signer(), [witness], settings, wall_clock=lambda: now[0])
        exposition = Exposition("spingate_directory")
        log.measure(exposition)
        assert b"log_checkpoint_age_seconds +Inf" in exposition.exposition()
        async with running(log):
            await log.append(log_entry(EntryType.RECORD, label(1), b"x", NONCE))
            now[0] += 30
            text = exposition.exposition().decode()
    for line in (
        "log_entries 1.0",
        "log_published_entries 1.0",
        "log_checkpoint_age_seconds 30.0",
        "log_cosignatures 1.0",
        "log_halted 0.0",
        "log_waiting 0.0",
    ):
        assert f"\nspingate_directory_{line}\n" in text, (line, text)
    assert 'log_witnessed_total{outcome="cosigned",witness="' in text
