"""Challenges, certificates, renewal and holds of the authority role, in a real database."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from discovery.directory.challenge import key_authorization
from discovery.directory.holding import HOLD
from discovery.directory.orders import Operation, Order, read_order
from discovery.directory.reason import Refusal, Refused
from gateway.directory.authority import Certified, NumberAuthority
from gateway.directory.keys import EcKey, PointKeys, chain_texts
from gateway.directory.service import DirectoryService
from gateway.directory_log.log import LogUnavailable
from stir.certificates.certificate import load_credential
from stir.certificates.issuing import DAY
from stir.certificates.tn_auth_list import One
from tests.support.directory_world import MAIL, NUMBER, DirectoryWorld, FakeCouriers, Owner, opened

SOURCE = "192.0.2.7"


@pytest.fixture
def authority(service: DirectoryService) -> NumberAuthority:
    assert service.authority is not None
    return service.authority


def order(owner: Owner, operation: Operation, **changes: Any) -> tuple[Order, EcKey]:
    token = owner.order(operation, **changes)
    read, _ = read_order(
        token, PointKeys(), audience="https://dp.example", now=owner.world.clock.now
    )
    return read, owner.signer.public


async def challenge(authority: NumberAuthority, owner: Owner) -> tuple[str, str]:
    made = await authority.challenge(*order(owner, Operation.CHALLENGE), SOURCE)
    return made.challenge_id, made.part2


def answer(owner: Owner, made: tuple[str, str], code: str) -> tuple[Order, EcKey]:
    thumbprint = owner.signer.public.thumbprint
    return order(
        owner,
        Operation.CERTIFY,
        challenge_id=made[0],
        answer=key_authorization(code, made[1], thumbprint),
    )


async def certify(authority: NumberAuthority, owner: Owner, release: Any = None) -> Certified:
    made = await challenge(authority, owner)
    code = owner.world.couriers.code
    return await authority.certify(*answer(owner, made, code), release)


async def test_the_certificate_is_for_just_the_number_and_a_week(
    world: DirectoryWorld, authority: NumberAuthority
) -> None:
    owner = world.owner(certified=False)
    made = await certify(authority, owner)
    credential = load_credential(made.chain_pem.encode())
    assert credential.problem is None
    assert credential.tn_auth_list is not None
    assert credential.tn_auth_list.entries == (One("14155550123"),)
    assert credential.not_after == world.clock.now + 7 * DAY
    # No provider's name ("SHAKEN ..."), one of its own, and the number stands in the list alone.
    assert credential.leaf.subject.rfc4514_string() == f"CN=Number {made.certificate_id}"
    holder = world.chains.holder(chain_texts(made.chain_pem.encode()), world.clock.now)
    assert holder.owns(owner.csi)
    assert holder.thumbprint == owner.signer.public.thumbprint
    assert not holder.provides(owner.csi)


async def test_the_certificate_of_a_mailbox_names_it_and_no_number(
    world: DirectoryWorld, authority: NumberAuthority
) -> None:
    owner = world.owner(MAIL, certified=False)
    made = await certify(authority, owner)
    holder = world.chains.holder(chain_texts(made.chain_pem.encode()), world.clock.now)
    assert holder.owns(owner.csi)
    assert holder.mail_addresses == ("bob@mail.example",)
    assert holder.tn_auth_list is None
    assert not holder.owns(world.owner(NUMBER).csi)


async def test_two_routes_carry_half_each_and_both_are_needed(world: DirectoryWorld) -> None:
    world.couriers = FakeCouriers(routes=2)
    async with opened(world) as service:
        assert service.authority is not None
        owner = world.owner(certified=False)
        made = await challenge(service.authority, owner)
        first, second = world.couriers.delivered[-1][1]
        for code in (first, second, second + first):
            with pytest.raises(Refused) as caught:
                await service.authority.certify(*answer(owner, made, code))
            assert caught.value.reason is Refusal.WRONG_CODE
        assert (await service.authority.certify(*answer(owner, made, first + second))).chain_pem


async def test_the_key_renews_for_90_days_then_control_is_proven_again(
    world: DirectoryWorld, authority: NumberAuthority
) -> None:
    owner = world.owner(certified=False)
    with pytest.raises(Refused) as caught:
        await authority.renew(*order(owner, Operation.RENEW))
    assert caught.value.reason is Refusal.REAUTHENTICATE
    first = await certify(authority, owner)
    sent = len(world.couriers.delivered)
    world.clock.now += 6 * DAY
    renewed = await authority.renew(*order(owner, Operation.RENEW))
    assert renewed.chain_pem != first.chain_pem
    assert renewed.certificate_id == first.certificate_id
    again = await authority.renew(*order(owner, Operation.RENEW))
    assert again.chain_pem == renewed.chain_pem
    found = await authority.certificate(first.certificate_id)
    assert found is not None
    assert found.chain_pem == renewed.chain_pem
    world.clock.now += 84 * DAY
    await authority.renew(*order(owner, Operation.RENEW))
    world.clock.now += 1
    await authority.sweep()
    with pytest.raises(Refused) as caught:
        await authority.renew(*order(owner, Operation.RENEW))
    assert caught.value.reason is Refusal.REAUTHENTICATE
    assert len(world.couriers.delivered) == sent


async def test_a_second_key_waits_though_it_answered_the_challenge(
    world: DirectoryWorld, authority: NumberAuthority
) -> None:
    old, thief = world.owner(certified=False), world.owner(certified=False)
    await certify(authority, old)
    world.clock.now += DAY
    held = await certify(authority, thief)
    assert (held.chain_pem, held.effective_at) == ("", world.clock.now + HOLD)
    assert len(world.couriers.told) == 1
    renewed = await authority.renew(*order(old, Operation.RENEW))
    assert [each.thumbprint for each in renewed.claims] == [thief.signer.public.thumbprint]
    assert (await authority.renew(*order(thief, Operation.RENEW))).chain_pem == ""
    world.clock.now += HOLD
    assert (await authority.renew(*order(thief, Operation.RENEW))).chain_pem
    with pytest.raises(Refused) as caught:  # the number has gone over: the old key begins anew
        await authority.renew(*order(old, Operation.RENEW))
    assert caught.value.reason is Refusal.REAUTHENTICATE


async def test_the_wait_at_the_authority_counts_at_the_directory_too(
    world: DirectoryWorld, service: DirectoryService, authority: NumberAuthority
) -> None:
    old, heir = world.owner(certified=False), world.owner(certified=False)
    old.chain = list(chain_texts((await certify(authority, old)).chain_pem.encode()))
    await service.registry.register(old.token(), old.chain)
    await certify(authority, heir)
    world.clock.now += HOLD
    made = await authority.renew(*order(heir, Operation.RENEW))
    heir.chain = list(chain_texts(made.chain_pem.encode()))
    done = await service.registry.register(heir.token(new=True), heir.chain)
    assert done.live_at == world.clock.now


async def test_objecting_ends_what_the_claimant_has(
    world: DirectoryWorld, service: DirectoryService, authority: NumberAuthority
) -> None:
    old, thief = world.owner(certified=False), world.owner(certified=False)
    await certify(authority, old)
    await certify(authority, thief)
    holders = await authority.holders(old.csi)
    with pytest.raises(Refused):
        await service.registry.object_to_claims(old.csi, thief.signer.public, holders)
    await service.registry.object_to_claims(old.csi, old.signer.public, holders)
    await authority.objected(old.csi, keep={old.signer.public.thumbprint})
    world.clock.now += HOLD
    with pytest.raises(Refused) as caught:
        await authority.renew(*order(thief, Operation.RENEW))
    assert caught.value.reason is Refusal.REAUTHENTICATE


@pytest.mark.parametrize("by", ["old key", "provider"])
async def test_a_release_lets_the_new_key_have_it_at_once(
    world: DirectoryWorld, authority: NumberAuthority, by: str
) -> None:
    old, heir = world.owner(certified=False), world.owner(certified=False)
    old.chain = list(chain_texts((await certify(authority, old)).chain_pem.encode()))
    release = (old if by == "old key" else world.provider()).release(heir)
    assert (await certify(authority, heir, release)).chain_pem


async def test_removal_by_the_provider_ends_renewal(
    world: DirectoryWorld, service: DirectoryService, authority: NumberAuthority
) -> None:
    owner, provider = world.owner(certified=False), world.provider()
    await certify(authority, owner)
    await service.registry.remove(provider.removal(), provider.chain)
    with pytest.raises(Refused) as caught:
        await authority.renew(*order(owner, Operation.RENEW))
    assert caught.value.reason is Refusal.REAUTHENTICATE


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"audience": "https://other.example"}, Refusal.WRONG_AUDIENCE),
        ({"issued_at": 1_795_000_000 - 121}, Refusal.NOT_FRESH),
        ({"issued_at": 1_795_000_000 + 121}, Refusal.NOT_FRESH),
    ],
)
def test_an_order_for_another_place_or_time_is_refused(
    world: DirectoryWorld, changes: dict[str, Any], reason: Refusal
) -> None:
    owner = world.owner(certified=False)
    with pytest.raises(Refused) as caught:
        order(owner, Operation.RENEW, **changes)
    assert caught.value.reason is reason


def test_an_order_is_signed_by_the_key_it_names(world: DirectoryWorld) -> None:
    owner, other = world.owner(certified=False), world.owner(certified=False)
    point = other.signer.public.point
    with pytest.raises(Refused) as caught:
        order(owner, Operation.RENEW, point=point)
    assert caught.value.reason is Refusal.BAD_SIGNATURE
    bad = replace(point, y=bytes(32))
    with pytest.raises(Refused) as caught:
        order(owner, Operation.RENEW, point=bad)
    assert caught.value.reason is Refusal.MALFORMED


async def test_what_the_log_does_not_take_is_neither_issued_nor_held(
    world: DirectoryWorld, authority: NumberAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def append(_kind: str, _csi: str, _digest: str) -> int | None:
        raise LogUnavailable("no space left on the disk")

    owner, thief = world.owner(certified=False), world.owner(certified=False)
    with monkeypatch.context() as patch:
        patch.setattr(authority._log, "append", append)
        with pytest.raises(LogUnavailable):
            await certify(authority, owner)
        with pytest.raises(LogUnavailable):  # not the one that was made, without the log
            await authority.renew(*order(owner, Operation.RENEW))
    assert (await authority.renew(*order(owner, Operation.RENEW))).chain_pem
    with monkeypatch.context() as patch:
        patch.setattr(authority._log, "append", append)
        with pytest.raises(LogUnavailable):
            await certify(authority, thief)
    world.clock.now += HOLD
    held = await authority.renew(*order(thief, Operation.RENEW))
    assert (held.chain_pem, held.effective_at) == ("", world.clock.now + HOLD)
