"""What Bob's device sees of a caller beside the number, through both gateways."""

from __future__ import annotations

import pytest

from gateway.demo.scene import BOB
from sip.message import Request
from tests.support.raw_dialog import sdes_sdp
from tests.support.raw_phone import RawPhone
from tests.support.two_providers import TwoProviders

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="session")]


async def seen_by_bob(world: TwoProviders, caller: RawPhone) -> Request:
    """Call Bob, who refuses; return the request as his device got it."""
    bob = await world.bob()
    await bob.register()
    call = await caller.call(BOB, sdes_sdp(caller.wire.local.host))
    incoming = await bob.incoming()
    incoming.respond(486)
    assert (await call.refused()).status_code == 486
    await world.idle()
    record = await world.record(world.beta, call.request.call_id)
    assert record["verdict"]["outcome"] == "valid"
    return incoming.request


async def test_a_name_and_a_reason_arrive_verified(world: TwoProviders) -> None:
    request = await seen_by_bob(world, await world.carol())
    assert request.from_.display_name == "Alpha Parcels"
    (info,) = request.headers.all("Call-Info")
    assert info == '<data:>;purpose=jcard;call-reason="Your parcel";verified="true"'
    assert len(request.headers.all("Identity")) == 2


async def test_nothing_arrives_of_a_caller_who_is_only_a_number(world: TwoProviders) -> None:
    request = await seen_by_bob(world, await world.alice())
    assert request.from_.display_name is None
    assert "Call-Info" not in request.headers
