"""Nobody gets a gateway to send anything to a third party, or to keep what it should forget."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.stir_peer import Handset, alphas_signer, caller, pbx
from tests.support.troubled_scene import TroubledScene, metric, record_of

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

THIRD_PARTY = 64


class Silent(asyncio.DatagramProtocol):
    """A third party that notes what reaches it."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.heard.append(data)


@asynccontextmanager
async def third_party(scene: TroubledScene) -> AsyncIterator[Silent]:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        Silent, local_addr=(scene.address(THIRD_PARTY), 5060)
    )
    try:
        yield protocol
    finally:
        transport.close()


async def no_calls(scene: TroubledScene) -> None:
    async def count() -> float:
        return sum(
            [await metric(each, "spingate_calls_active") for each in (scene.alpha, scene.beta)]
        )

    for _ in range(100):
        if not await count():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{await count()} calls are still there")


async def test_a_route_to_a_third_party_is_refused_and_nothing_is_sent_there(
    scene: TroubledScene, bob: Handset
) -> None:
    route = f"Route: <sip:{scene.address(THIRD_PARTY)}:5060;lr>"
    async with third_party(scene) as victim, caller(scene) as stranger:
        identity = alphas_signer(scene).identity()
        response = await stranger.call(identity, call_id="by-route", headers=[route])
        await asyncio.sleep(0.2)
    assert response.status_code == 403
    assert victim.heard == []
    assert bob.got("by-route") is None


async def test_a_route_behind_our_own_is_refused_too(scene: TroubledScene, bob: Handset) -> None:
    routes = (
        f"Route: <sip:{scene.address(20)}:5061;transport=tls;lr>, "
        f"<sip:{scene.address(THIRD_PARTY)}:5060;lr>"
    )
    async with third_party(scene) as victim, caller(scene) as stranger:
        identity = alphas_signer(scene).identity()
        response = await stranger.call(identity, call_id="by-two-routes", headers=[routes])
        await asyncio.sleep(0.2)
    assert response.status_code == 403
    assert victim.heard == []


async def test_a_callees_challenge_goes_back_and_ends_the_call(
    scene: TroubledScene, bob: Handset
) -> None:
    bob.status = 407
    try:
        async with caller(scene) as stranger:
            identity = alphas_signer(scene).identity()
            response = await stranger.call(identity, call_id="challenged")
    finally:
        bob.status = 486
    assert response.status_code == 407
    assert (await record_of(scene.beta, "challenged"))["status"] == 407
    await no_calls(scene)


async def test_a_cancel_in_the_same_packet_as_its_invite_is_answered(
    scene: TroubledScene, bob: Handset
) -> None:
    async with pbx(scene) as line:
        invite = line.invite(call_id="hasty", branch="z9hG4bKhasty")
        head, _, _ = invite.partition(b"\r\nContact")
        cancel = head.replace(b"INVITE", b"CANCEL") + b"\r\nContent-Length: 0\r\n\r\n"
        first = await line.final(invite + cancel)
        statuses = {first.status_code}
        queue = line._waiting["hasty"]
        async with asyncio.timeout(3):
            while 487 not in statuses:
                response = await queue.get()
                statuses.add(response.status_code)
        line.acknowledge(invite, response)
    assert statuses - {100} == {200, 487}
    assert bob.got("hasty") is None
    await no_calls(scene)
