"""Fifty bridged calls that end in every way leave no port, no transaction and no file open."""

from __future__ import annotations

import asyncio

import pytest

from gateway.demo.scene import BOB
from tests.support.raw_dialog import rtp_sdp
from tests.support.raw_phone import RawPhone
from tests.support.two_providers import TwoProviders, eventually, hang_up, open_files

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="session")]

CALLS = 50
AT_ONCE = 10


async def one_call(number: int, caller: RawPhone, callee: RawPhone) -> None:
    """Place a call; its number decides how it ends."""
    call = await caller.call(BOB, rtp_sdp(caller.wire.local.host, 20_000 + 2 * number))
    incoming = await callee.incoming(call)
    incoming.respond(180)
    await call.response(180)
    ending = number % 5
    if ending == 0:
        cancelled = asyncio.create_task(incoming.cancelled())
        assert (await call.cancel()).status_code == 200
        assert (await call.refused()).status_code == 487
        await cancelled
    elif ending == 1:
        refused = asyncio.create_task(call.refused())
        await incoming.decline(486)
        await refused
    elif ending == 2:
        useless = incoming.answer(rtp_sdp(callee.wire.local.host).replace(b" 0 8\r\n", b" 99\r\n"))
        assert (await call.refused()).status_code == 488
        await useless.hung_up()
    else:
        at_callee = incoming.answer(rtp_sdp(callee.wire.local.host, 22_000 + 2 * number))
        at_caller = await call.answered()
        await at_callee.acknowledged()
        sides = (at_caller, at_callee) if ending == 3 else (at_callee, at_caller)
        await hang_up(*sides)


async def several(calls: int, caller: RawPhone, callee: RawPhone) -> None:
    """Place calls, ten at once."""
    room = asyncio.Semaphore(AT_ONCE)

    async def in_turn(number: int) -> None:
        async with room:
            await one_call(number, caller, callee)

    async with asyncio.TaskGroup() as group:
        for number in range(calls):
            group.create_task(in_turn(number))


async def test_fifty_calls_leave_nothing_behind(world: TwoProviders) -> None:
    trunk, bob = await world.trunk(61, "+14155550120", "tcp"), await world.bob("tcp")
    await bob.register()
    await several(AT_ONCE, trunk, bob)  # connections between the gateways stay, as they should
    await world.idle()
    before = [open_files(each) for each in (world.alpha, world.beta)]
    await several(CALLS, trunk, bob)
    await world.idle()

    async def as_before() -> bool:
        now = [open_files(each) for each in (world.alpha, world.beta)]
        return all(left <= had for left, had in zip(now, before, strict=True))

    await eventually(as_before, f"no more files open than before: {before}")
