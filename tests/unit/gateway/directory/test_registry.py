"""Records taken in, held, replaced, removed and expired, in a real database."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from discovery.directory.answer import Status
from discovery.directory.client import CheckedAnswer
from discovery.directory.holding import HOLD
from discovery.directory.identifier import parse_identifier
from discovery.directory.reason import Refusal, Refused
from gateway.directory.registry import Registered
from gateway.directory.service import DirectoryService
from gateway.directory_log.log import LogUnavailable
from stir.certificates.issuing import DAY
from tests.support.directory_world import MAIL, NUMBER, DirectoryWorld, Owner


async def register(service: DirectoryService, owner: Owner, **changes: Any) -> Registered:
    release = changes.pop("release", None)
    return await service.registry.register(owner.token(**changes), owner.chain, release)


async def look_up(
    service: DirectoryService, world: DirectoryWorld, csi: str = NUMBER
) -> CheckedAnswer:
    identifier = parse_identifier(csi)
    body = await service.lookups.answer(identifier)
    return world.checker().check(body, identifier, world.clock.now)


def keys(answer: CheckedAnswer) -> set[str]:
    return {each.thumbprint for each in answer.records}


def key(owner: Owner) -> str:
    return owner.signer.public.thumbprint


@pytest.mark.parametrize("csi", [NUMBER, MAIL])
async def test_a_record_is_kept_replaced_and_refreshed(
    world: DirectoryWorld, service: DirectoryService, csi: str
) -> None:
    owner = world.owner(csi)
    first = owner.token()
    await service.registry.register(first, owner.chain)
    await register(service, owner, seq=2, maps=())
    assert (await look_up(service, world, csi)).status is Status.OPTOUT
    world.clock.now += 6 * DAY
    owner.certify()
    again = owner.token(seq=3)
    await service.registry.register(again, owner.chain)
    world.clock.now += 5 * DAY
    owner.certify()
    await service.registry.register(again, owner.chain)  # the same record, a newer certificate
    world.clock.now += 3 * DAY
    assert (await look_up(service, world, csi)).status is Status.MAPS
    assert await service.records.count() == 1
    with pytest.raises(Refused) as caught:
        await service.registry.register(first, owner.chain)
    assert caught.value.reason is Refusal.SEQUENCE


async def test_a_record_ends_with_its_certificate_and_is_swept(
    world: DirectoryWorld, service: DirectoryService
) -> None:
    await register(service, world.owner())
    world.clock.now += 7 * DAY
    assert (await look_up(service, world)).status is Status.NONE
    assert await service.records.count() == 1
    await service.sweep()
    assert await service.records.count() == 0


@pytest.mark.parametrize("kind", ["signature", "number", "root", "expired", "future", "chain"])
async def test_who_may_not_register_is_refused_for_one_reason(
    world: DirectoryWorld, service: DirectoryService, kind: str
) -> None:
    owner, other = world.owner(), world.owner("tel:+14155550199")
    token, chain, reason = owner.token(), owner.chain, Refusal.BAD_SIGNATURE
    if kind == "signature":
        chain = world.owner().chain
    elif kind == "number":
        stranger = replace(other, csi=owner.csi)
        token, chain, reason = stranger.token(), other.chain, Refusal.OTHER_IDENTIFIER
    elif kind == "root":
        stranger = DirectoryWorld(_folder(world)).owner()
        token, chain, reason = stranger.token(), stranger.chain, Refusal.UNTRUSTED_CERTIFICATE
    elif kind == "expired":
        owner.certify(world.clock.now - 8 * DAY)
        chain, reason = owner.chain, Refusal.CERTIFICATE_EXPIRED
    elif kind == "future":
        at = int(world.clock.now) + 3600
        token = owner.token(issued_at=at, expires_at=at + 60)
        reason = Refusal.NOT_FRESH
    else:
        chain, reason = ["AAAA"], Refusal.MALFORMED
    with pytest.raises(Refused) as caught:
        await service.registry.register(token, chain)
    assert caught.value.reason is reason
    assert await service.records.count() == 0


def _folder(world: DirectoryWorld) -> Path:
    folder = world.folder / "other"
    folder.mkdir()
    return folder


async def test_a_range_certificate_may_not_sign_records(
    world: DirectoryWorld, service: DirectoryService
) -> None:
    provider = world.provider()
    with pytest.raises(Refused) as caught:
        await register(service, provider)
    assert caught.value.reason is Refusal.OTHER_IDENTIFIER


async def test_another_key_waits_72_hours_and_the_holder_is_told(
    world: DirectoryWorld, service: DirectoryService
) -> None:
    old, thief = world.owner(), world.owner()
    await register(service, old)
    held = await register(service, thief, new=True)
    assert held.live_at == world.clock.now + HOLD
    assert [claim.thumbprint for _, claim in world.couriers.told] == [key(thief)]
    assert keys(await look_up(service, world)) == {key(old)}
    world.clock.now += HOLD - 1
    again = await register(service, thief, seq=2, new=True)
    assert again.live_at == held.live_at
    assert len(world.couriers.told) == 1
    refreshed = await register(service, old, seq=2)
    assert [claim.thumbprint for claim in refreshed.claims] == [key(thief)]
    world.clock.now += 1
    assert keys(await look_up(service, world)) == {key(thief)}


async def test_the_holder_objects_and_the_claim_is_gone(
    world: DirectoryWorld, service: DirectoryService
) -> None:
    old, thief = world.owner(), world.owner()
    await register(service, old)
    await register(service, thief, new=True)
    with pytest.raises(Refused):
        await service.registry.object_to_claims(old.csi, thief.signer.public)
    await service.registry.object_to_claims(old.csi, old.signer.public)
    world.clock.now += HOLD
    assert keys(await look_up(service, world)) == {key(old)}


async def test_without_new_both_owners_are_shown_as_a_conflict(
    world: DirectoryWorld, service: DirectoryService
) -> None:
    one, two = world.owner(), world.owner()
    await register(service, one)
    await register(service, two)
    world.clock.now += HOLD
    answer = await look_up(service, world)
    assert (answer.status, keys(answer)) == (Status.CONFLICT, {key(one), key(two)})
    # whoever came first cannot drop the other by saying new
    await register(service, one, seq=2, new=True)
    assert (await look_up(service, world)).status is Status.CONFLICT
    # whoever waited can, and what it dropped stays dropped
    await register(service, two, seq=2, new=True)
    assert keys(await look_up(service, world)) == {key(two)}
    await register(service, two, seq=3)
    assert keys(await look_up(service, world)) == {key(two)}


@pytest.mark.parametrize("by", ["owner", "provider"])
async def test_a_release_by_the_old_key_or_the_provider_spares_the_wait(
    world: DirectoryWorld, service: DirectoryService, by: str
) -> None:
    old, heir = world.owner(), world.owner()
    await register(service, old)
    release = (old if by == "owner" else world.provider()).release(heir)
    done = await register(service, heir, release=release)
    assert done.live_at == world.clock.now
    assert keys(await look_up(service, world)) == {key(heir)}


async def test_one_of_two_owners_releases_its_own_place_and_not_the_others(
    world: DirectoryWorld, service: DirectoryService
) -> None:
    one, two, heir = world.owner(), world.owner(), world.owner()
    await register(service, one)
    await register(service, two)
    world.clock.now += HOLD
    assert keys(await look_up(service, world)) == {key(one), key(two)}
    done = await register(service, heir, release=one.release(heir), new=True)
    assert done.live_at <= world.clock.now
    assert keys(await look_up(service, world)) == {key(heir), key(two)}
    third = world.owner()
    await register(service, third, release=world.provider().release(third))
    assert keys(await look_up(service, world)) == {key(third)}


async def test_what_has_begun_to_live_is_objected_to_no_more(
    world: DirectoryWorld, service: DirectoryService
) -> None:
    old, heir = world.owner(), world.owner()
    await register(service, old)
    await register(service, heir)
    world.clock.now += HOLD
    await service.registry.object_to_claims(old.csi, old.signer.public)
    assert keys(await look_up(service, world)) == {key(old), key(heir)}


@pytest.mark.parametrize("by", ["removal", "end", "sweep"])
async def test_a_former_owner_does_not_come_back_when_its_heir_leaves(
    world: DirectoryWorld, service: DirectoryService, by: str
) -> None:
    old, heir = world.owner(), world.owner()
    await register(service, old)
    last = int(world.clock.now) + int(HOLD) + 60
    await register(service, heir, new=True, expires_at=last)
    world.clock.now += HOLD
    assert keys(await look_up(service, world)) == {key(heir)}
    if by == "removal":
        await service.registry.remove(heir.removal(seq=2), heir.chain)
    else:
        world.clock.now += 61
        if by == "sweep":
            await service.sweep()
    assert (await look_up(service, world)).status is Status.NONE
    old.certify()
    await register(service, old, seq=2)  # but it may come again by itself
    assert keys(await look_up(service, world)) == {key(old)}


@pytest.mark.parametrize("kind", ["stranger", "other key", "stale", "own"])
async def test_a_release_that_does_not_hold_is_refused(
    world: DirectoryWorld, service: DirectoryService, kind: str
) -> None:
    old, heir = world.owner(), world.owner()
    await register(service, old)
    release, reason = old.release(heir), Refusal.NOT_ALLOWED
    if kind == "stranger":
        release = world.provider("14155559900").release(heir)
        reason = Refusal.OTHER_IDENTIFIER
    elif kind == "other key":
        release = old.release(world.owner())
    elif kind == "own":
        release = heir.release(heir)
    else:
        world.clock.now += 301
        reason = Refusal.NOT_FRESH
    with pytest.raises(Refused) as caught:
        await register(service, heir, release=release)
    assert caught.value.reason is reason


async def test_an_owner_removes_and_the_old_record_does_not_come_back(
    world: DirectoryWorld, service: DirectoryService
) -> None:
    owner = world.owner()
    token = owner.token()
    await service.registry.register(token, owner.chain)
    with pytest.raises(Refused) as caught:
        await service.registry.remove(owner.removal(seq=1), owner.chain)
    assert caught.value.reason is Refusal.SEQUENCE
    await service.registry.remove(owner.removal(seq=2), owner.chain)
    assert (await look_up(service, world)).status is Status.NONE
    with pytest.raises(Refused) as caught:
        await service.registry.register(token, owner.chain)
    assert caught.value.reason is Refusal.SEQUENCE
    await register(service, owner, seq=3)
    assert (await look_up(service, world)).status is Status.MAPS


async def test_the_provider_removes_and_certificates_from_before_count_no_more(
    world: DirectoryWorld, service: DirectoryService
) -> None:
    owner, provider = world.owner(), world.provider()
    await register(service, owner)
    elsewhere = world.provider("14155559900")
    with pytest.raises(Refused) as caught:
        await service.registry.remove(elsewhere.removal(), elsewhere.chain)
    assert caught.value.reason is Refusal.OTHER_IDENTIFIER
    await service.registry.remove(provider.removal(), provider.chain)
    assert (await look_up(service, world)).status is Status.NONE
    world.clock.now += 400
    with pytest.raises(Refused) as caught:
        await register(service, owner, seq=9)
    assert caught.value.reason is Refusal.BEFORE_REMOVAL
    heir = world.owner()
    await register(service, heir)
    assert keys(await look_up(service, world)) == {key(heir)}


async def test_somebody_elses_tombstone_and_an_old_one_remove_nothing(
    world: DirectoryWorld, service: DirectoryService
) -> None:
    owner, other = world.owner(), world.owner("tel:+14155550199")
    await register(service, owner)
    token = owner.removal()
    with pytest.raises(Refused) as caught:
        await service.registry.remove(token, other.chain)
    assert caught.value.reason is Refusal.BAD_SIGNATURE
    world.clock.now += 301
    with pytest.raises(Refused) as caught:
        await service.registry.remove(token, owner.chain)
    assert caught.value.reason is Refusal.NOT_FRESH
    assert (await look_up(service, world)).status is Status.MAPS


@pytest.mark.parametrize("kind", ["record", "claim"])
async def test_a_hold_does_not_run_while_nobody_could_know_of_the_claim(
    world: DirectoryWorld, service: DirectoryService, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    old, thief = world.owner(), world.owner()
    await register(service, old)
    token = thief.token(new=True)

    async def append(what: str, _csi: str, _digest: str) -> int | None:
        if what == kind:
            raise LogUnavailable("no space left on the disk")
        return None

    with monkeypatch.context() as patch:
        for user in (service.registry, service.registry._entries):
            patch.setattr(user._log, "append", append)
        with pytest.raises(LogUnavailable):
            await service.registry.register(token, thief.chain)
    assert world.couriers.told == []
    world.clock.now += HOLD
    assert keys(await look_up(service, world)) == {key(old)}
    held = await service.registry.register(token, thief.chain)
    assert held.live_at == world.clock.now + HOLD
    assert [claim.thumbprint for _, claim in world.couriers.told] == [key(thief)]


@pytest.mark.parametrize("by", ["owner", "provider"])
async def test_a_tombstone_for_another_directory_removes_nothing_here(
    world: DirectoryWorld, service: DirectoryService, by: str
) -> None:
    owner = world.owner()
    await register(service, owner)
    author = owner if by == "owner" else world.provider()
    with pytest.raises(Refused) as caught:
        await service.registry.remove(author.removal(at="https://dp2.example"), author.chain)
    assert caught.value.reason is Refusal.WRONG_AUDIENCE
    assert (await look_up(service, world)).status is Status.MAPS


async def test_a_providers_tombstone_shown_again_does_not_touch_the_heir(
    world: DirectoryWorld, service: DirectoryService
) -> None:
    owner, provider = world.owner(), world.provider()
    await register(service, owner)
    token = provider.removal()
    await service.registry.remove(token, provider.chain)
    world.clock.now += 60
    heir = world.owner()
    await register(service, heir)
    await service.registry.remove(token, provider.chain)
    assert keys(await look_up(service, world)) == {key(heir)}


async def test_two_keys_that_register_at_once_do_not_both_live(
    world: DirectoryWorld, service: DirectoryService
) -> None:
    owners = [world.owner() for _ in range(4)]
    results = await asyncio.gather(*(register(service, owner) for owner in owners))
    live = [each for each in results if each.live_at <= world.clock.now]
    assert len(live) == 1
    assert (await look_up(service, world)).status is Status.MAPS


async def test_a_fifth_key_is_turned_away(world: DirectoryWorld, service: DirectoryService) -> None:
    for _ in range(4):
        await register(service, world.owner())
    with pytest.raises(Refused) as caught:
        await register(service, world.owner())
    assert caught.value.reason is Refusal.OVERLOADED


async def test_updates_of_one_key_at_once_leave_the_highest(
    world: DirectoryWorld, service: DirectoryService
) -> None:
    owner = world.owner()
    tokens = [owner.token(seq=seq) for seq in range(1, 9)]
    results = await asyncio.gather(
        *(service.registry.register(token, owner.chain) for token in reversed(tokens)),
        return_exceptions=True,
    )
    refused = [each for each in results if isinstance(each, Refused)]
    assert len(refused) < len(tokens)
    answer = await look_up(service, world)
    assert [each.record.seq for each in answer.records] == [8]


async def test_lookups_that_wait_for_the_database_share_statements(
    world: DirectoryWorld, service: DirectoryService, monkeypatch: pytest.MonkeyPatch
) -> None:
    await register(service, world.owner())
    monkeypatch.setattr(service.records, "find_now", lambda _csi: None)
    service.records.statements = 0
    csis = [parse_identifier(f"tel:+1415555{n:04d}") for n in range(100)]
    await asyncio.gather(*(service.lookups.answer(csi) for csi in (*csis, *csis)))
    assert service.records.statements <= 4
