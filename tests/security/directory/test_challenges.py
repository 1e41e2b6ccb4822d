"""F3: messages are not pumped, codes not guessed, whoever tries and however often at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from discovery.directory.challenge import LIFETIME, MAX_TRIES, key_authorization
from discovery.directory.identifier import parse_identifier
from discovery.directory.orders import Operation, Order, read_order
from discovery.directory.reason import Refusal, Refused
from gateway.directory.authority import ChallengeMade, NumberAuthority
from gateway.directory.keys import EcKey, PointKeys
from gateway.directory.service import DirectoryService
from tests.support.directory_world import MAIL, DirectoryWorld, Owner, opened


@pytest.fixture
def world(tmp_path: Path, database_url: str | None) -> DirectoryWorld:
    """On SQLite and on PostgreSQL."""
    return DirectoryWorld(tmp_path, directory={"database_url": database_url})


@pytest.fixture
async def service(world: DirectoryWorld) -> AsyncIterator[DirectoryService]:
    async with opened(world) as service:
        yield service


@pytest.fixture
def authority(service: DirectoryService) -> NumberAuthority:
    assert service.authority is not None
    return service.authority


def order(owner: Owner, operation: Operation, **changes: Any) -> tuple[Order, EcKey]:
    token = owner.order(operation, **changes)
    now = owner.world.clock.now
    return (
        read_order(token, PointKeys(), audience="https://dp.example", now=now)[0],
        owner.signer.public,
    )


async def challenge(
    authority: NumberAuthority, owner: Owner, source: str = "192.0.2.7"
) -> ChallengeMade:
    return await authority.challenge(*order(owner, Operation.CHALLENGE), source)


def answer(owner: Owner, made: ChallengeMade, code: str) -> tuple[Order, EcKey]:
    thumbprint = owner.signer.public.thumbprint
    said = key_authorization(code, made.part2, thumbprint)
    return order(owner, Operation.CERTIFY, challenge_id=made.challenge_id, answer=said)


async def outcomes(*attempts: Any) -> list[Refusal | None]:
    results = await asyncio.gather(*attempts, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, Refused):
            raise result
    return [each.reason if isinstance(each, Refused) else None for each in results]


async def test_a_hundred_challenges_to_a_number_are_three_messages_an_hour(
    world: DirectoryWorld, authority: NumberAuthority
) -> None:
    owner = world.owner(certified=False)
    found = await outcomes(*(challenge(authority, owner, f"192.0.2.{n}") for n in range(100)))
    assert found.count(None) == 3
    assert set(found) == {None, Refusal.RATE_LIMITED}
    assert len(world.couriers.delivered) == 3
    world.clock.now += 3601
    await challenge(authority, owner)


async def test_a_source_and_a_prefix_have_limits_of_their_own(
    world: DirectoryWorld, authority: NumberAuthority
) -> None:
    numbers = [world.owner(f"tel:+14155{n:06d}", certified=False) for n in range(130)]
    found = await outcomes(*(challenge(authority, each, "192.0.2.1") for each in numbers[:30]))
    assert found.count(None) == 20
    found = await outcomes(
        *(challenge(authority, each, f"198.51.100.{n}") for n, each in enumerate(numbers[30:]))
    )
    assert found.count(None) == 80
    assert len(world.couriers.delivered) == 100


async def test_a_prefix_whose_challenges_nobody_answers_is_shut(
    world: DirectoryWorld, authority: NumberAuthority
) -> None:
    owners = [world.owner(f"tel:+14155{n:06d}", certified=False) for n in range(21)]
    for n, owner in enumerate(owners[:20]):
        made = await challenge(authority, owner, f"192.0.2.{n}")
        if n < 3:
            await authority.certify(*answer(owner, made, world.couriers.code))
    world.clock.now += LIFETIME + 1
    assert await outcomes(challenge(authority, owners[20], "192.0.2.99")) == [Refusal.RATE_LIMITED]
    elsewhere = world.owner("tel:+12125550100", certified=False)
    await challenge(authority, elsewhere, "192.0.2.99")
    world.clock.now += 86_400
    await challenge(authority, owners[20], "192.0.2.99")


async def test_countries_that_are_not_listed_get_no_message(
    world: DirectoryWorld, authority: NumberAuthority
) -> None:
    owner = world.owner("tel:+88213550100", certified=False)
    assert await outcomes(challenge(authority, owner)) == [Refusal.NOT_ALLOWED]
    assert world.couriers.delivered == []


async def test_the_sixth_try_is_burnt_even_with_the_right_code(
    world: DirectoryWorld, authority: NumberAuthority
) -> None:
    owner = world.owner(certified=False)
    made = await challenge(authority, owner)
    for _ in range(MAX_TRIES):
        assert await outcomes(authority.certify(*answer(owner, made, "0"))) == [Refusal.WRONG_CODE]
    right = answer(owner, made, world.couriers.code)
    assert await outcomes(authority.certify(*right)) == [Refusal.BURNT]


async def test_of_fifty_tries_at_once_five_are_looked_at(
    world: DirectoryWorld, authority: NumberAuthority
) -> None:
    owner = world.owner(certified=False)
    made = await challenge(authority, owner)
    found = await outcomes(*(authority.certify(*answer(owner, made, str(n))) for n in range(50)))
    assert found.count(Refusal.WRONG_CODE) == MAX_TRIES
    assert found.count(Refusal.BURNT) == 50 - MAX_TRIES


async def test_a_right_code_counts_once_even_at_once(
    world: DirectoryWorld, authority: NumberAuthority
) -> None:
    owner = world.owner(certified=False)
    made = await challenge(authority, owner)
    right = answer(owner, made, world.couriers.code)
    found = await outcomes(*(authority.certify(*right) for _ in range(5)))
    assert found.count(None) == 1
    assert set(found) == {None, Refusal.NO_CHALLENGE}
    assert await outcomes(authority.certify(*right)) == [Refusal.NO_CHALLENGE]


@pytest.mark.parametrize("kind", ["other key", "other number", "late", "unknown"])
async def test_another_session_has_no_use_for_a_code(
    world: DirectoryWorld, authority: NumberAuthority, kind: str
) -> None:
    owner = world.owner(certified=False)
    made = await challenge(authority, owner)
    code = world.couriers.code
    attempt = answer(owner, made, code)
    if kind == "other key":
        attempt = answer(world.owner(certified=False), made, code)
    elif kind == "other number":
        other = world.owner("tel:+14155550199", certified=False)
        attempt = answer(Owner(world, other.csi, owner.signer), made, code)
    elif kind == "late":
        world.clock.now += LIFETIME
        attempt = answer(owner, made, code)
    else:
        gone = ChallengeMade("A" * 22, made.part2, 1, 0.0)
        attempt = answer(owner, gone, code)
    assert await outcomes(authority.certify(*attempt)) == [Refusal.NO_CHALLENGE]


async def test_a_message_that_is_not_taken_counts_all_the_same(
    world: DirectoryWorld, authority: NumberAuthority
) -> None:
    world.couriers.failure = Refused(Refusal.UNDELIVERED)
    owner = world.owner(certified=False)
    found = [(await outcomes(challenge(authority, owner)))[0] for _ in range(4)]
    assert found == [Refusal.UNDELIVERED] * 3 + [Refusal.RATE_LIMITED]


async def test_limits_outlive_a_restart_and_hold_for_mail(world: DirectoryWorld) -> None:
    for _ in range(3):
        async with opened(world) as service:
            assert service.authority is not None
            await challenge(service.authority, world.owner(MAIL, certified=False))
    async with opened(world) as service:
        assert service.authority is not None
        again = challenge(service.authority, world.owner(MAIL, certified=False))
        assert await outcomes(again) == [Refusal.RATE_LIMITED]


async def test_neither_code_nor_number_is_kept_or_logged(
    world: DirectoryWorld, authority: NumberAuthority, capsys: pytest.CaptureFixture[str]
) -> None:
    owner = world.owner(certified=False)
    made = await challenge(authority, owner)
    await authority.certify(*answer(owner, made, world.couriers.code))
    text = "".join(capsys.readouterr())
    stored = b"".join(path.read_bytes() for path in (world.folder / "state").glob("directory.db*"))
    assert world.couriers.code not in text
    assert world.couriers.code.encode() not in stored
    assert b"192.0.2.7" not in stored
    assert str(parse_identifier("tel:+14155550123")) not in text
