"""Nobody gets a gateway to send anything to a third party, or to keep what it should forget."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sip.message import Request, Response
from sip.parser import parse_datagram
from tests.support.stir_peer import Caller, Handset, alphas_signer, caller, pbx
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


# --- within a dialog -----------------------------------------------------------------------------


class Dialog:
    """The caller's side of an answered call."""

    def __init__(self, invite: bytes, answer: Response) -> None:
        request = parse_datagram(invite)
        assert isinstance(request, Request)
        self.invite = request
        self.answer = answer
        self.routes = [str(route) for route in reversed(answer.record_routes)]
        self.cseq = 1

    def request(self, method: str, **changes: str) -> bytes:
        """A request within the dialog; keyword arguments replace parts of it."""
        self.cseq += 1
        headers = [
            f"Route: {changes.get('routes', ','.join(self.routes))}",
            f"Via: SIP/2.0/TLS 192.0.2.1:5061;branch=z9hG4bK{secrets.token_hex(6)}",
            "Max-Forwards: 70",
            f"From: {self.invite.headers.get('From')}",
            f"To: {self.answer.headers.get('To')}",
            f"Call-ID: {changes.get('call_id', self.invite.call_id)}",
            f"CSeq: {self.cseq} {method}",
            "Content-Length: 0",
        ]
        uri = changes.get("uri", str(self.answer.contacts[0].uri))
        return "\r\n".join([f"{method} {uri} SIP/2.0", *headers, "", ""]).encode()


@asynccontextmanager
async def answered(scene: TroubledScene, bob: Handset) -> AsyncIterator[tuple[Caller, Dialog]]:
    bob.status = 200
    try:
        async with caller(scene) as stranger:
            invite = stranger.invite(alphas_signer(scene).identity())
            answer = await stranger.send(invite)
            assert answer.status_code == 200
            dialog = Dialog(invite, answer)
            yield stranger, dialog
            await stranger.send(dialog.request("BYE"))
    finally:
        bob.status = 486
    await no_calls(scene)


async def test_a_request_of_the_dialog_reaches_the_called(
    scene: TroubledScene, bob: Handset
) -> None:
    async with answered(scene, bob) as (stranger, dialog):
        response = await stranger.send(dialog.request("INFO"))
        assert response.status_code == 200
        assert bob.others[-1].method == "INFO"


async def test_a_dialog_leads_to_no_other_place_inside_while_the_call_is_up_nor_after(
    scene: TroubledScene, bob: Handset
) -> None:
    victim_uri = f"sip:root@{scene.address(THIRD_PARTY)}:5060"
    async with third_party(scene) as victim:
        async with answered(scene, bob) as (stranger, dialog):
            response = await stranger.send(dialog.request("INFO", uri=victim_uri))
            assert response.status_code == 403
            by_route = ",".join([*dialog.routes, f"<{victim_uri};lr>"])
            response = await stranger.send(dialog.request("INFO", routes=by_route))
            assert response.status_code == 403
            await stranger.send(dialog.request("BYE"))
            response = await stranger.send(dialog.request("INVITE", uri=victim_uri))
            assert response.status_code == 403
        assert victim.heard == []


async def test_what_one_dialog_was_given_is_good_for_no_other(
    scene: TroubledScene, bob: Handset
) -> None:
    async with answered(scene, bob) as (stranger, dialog):
        await stranger.send(dialog.request("BYE"))
        before = len(bob.others)
        response = await stranger.send(dialog.request("INFO", call_id="another"))
        assert response.status_code == 481
        twice = ",".join([dialog.routes[1], dialog.routes[1]])
        response = await stranger.send(dialog.request("INFO", routes=twice))
        assert response.status_code == 481
        assert len(bob.others) == before
