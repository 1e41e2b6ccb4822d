"""Calls that the real gateways refuse, with what, and that nothing leaves them then."""

from __future__ import annotations

import asyncio

import pytest

from gateway.demo.scene import ALICE, BOB
from sip.message import Response
from sip.parser import parse_datagram
from tests.support.raw_dialog import rtp_sdp, sdes_sdp
from tests.support.raw_phone import RawPhone
from tests.support.two_providers import CAROL, DAVE, TwoProviders, hang_up, talking

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="session")]


async def outcome(phone: RawPhone, number: str, *extra: tuple[str, str]) -> Response:
    """Call a number and return the failure."""
    call = await phone.call(number, rtp_sdp(phone.wire.local.host), *extra)
    return await call.refused()


async def test_an_invite_of_a_user_is_challenged_first_the_better_digest_on_top(
    world: TwoProviders,
) -> None:
    alice = await world.alice()
    response = await alice.ask(alice.request("INVITE", f"sip:{BOB}@alpha.example"))
    assert response.status_code == 407
    offered = response.headers.all("Proxy-Authenticate")
    assert len(offered) == 2
    assert "SHA-256" in offered[0]
    assert "MD5" in offered[1]


async def test_a_user_cannot_call_from_a_number_of_another(world: TwoProviders) -> None:
    alice = await world.alice()
    call = await alice.call(BOB, from_=f"<sip:{CAROL}@alpha.example>")
    assert (await call.refused()).status_code == 403


async def test_a_wrong_password_places_no_call(world: TwoProviders) -> None:
    alice = await world.alice()
    alice.password = "wrong"
    call = await alice.call(BOB)
    assert (await call.refused()).status_code in (403, 407)


async def test_a_number_not_found_is_404_and_the_reason_names_who_was_asked(
    world: TwoProviders,
) -> None:
    alice = await world.alice()
    response = await outcome(alice, "+13035550177")
    assert response.status_code == 404
    reason = response.headers.get("Reason") or ""
    assert reason.startswith("SIP;cause=404;")
    assert "cache" in reason
    assert "spin" in reason


async def test_a_trunk_may_call_its_prefixes_only(world: TwoProviders) -> None:
    trunk = await world.trunk()
    response = await outcome(trunk, "+13035550177")
    assert response.status_code == 403
    assert "prefix" in (response.headers.get("Reason") or "")


async def test_a_trunk_may_call_from_its_numbers_only(world: TwoProviders) -> None:
    trunk = await world.trunk(number=ALICE)
    assert (await outcome(trunk, BOB)).status_code == 403


async def test_a_trunk_has_as_many_calls_at_once_as_it_may(world: TwoProviders) -> None:
    trunk, bob = await world.trunk(), await world.bob()
    await bob.register()
    first = await talking(trunk, bob, BOB)
    second = await talking(trunk, bob, BOB)
    response = await outcome(trunk, BOB)
    assert response.status_code == 403
    assert "Too many calls" in (response.headers.get("Reason") or "")
    await hang_up(*first)
    third = await talking(trunk, bob, BOB)
    await hang_up(*second)
    await hang_up(*third)
    await world.idle()


async def test_a_stranger_without_digest_or_trunk_gets_no_further_than_407(
    world: TwoProviders,
) -> None:
    wire = await world.wire(world.address(11), "udp")
    stranger = world.keep(RawPhone(wire, "+13035550155", "stranger.example"))
    request = stranger.request("INVITE", f"sip:{BOB}@alpha.example")
    assert (await stranger.ask(request)).status_code == 407


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "MESSAGE", "SUBSCRIBE", "REGISTER"])
async def test_a_peers_request_for_a_foreign_domain_is_refused_and_not_relayed(
    world: TwoProviders, method: str
) -> None:
    third = await world.agent(80)
    peer = await world.peer(world.beta)
    uri = f"sip:{BOB}@{third.wire.local};transport=udp"
    response = await peer.ask(peer.request(method, uri))
    assert response.status_code == 403
    assert third.inbox.seen == []


async def test_an_invite_routed_to_a_third_party_is_refused_and_not_relayed(
    world: TwoProviders,
) -> None:
    third, bob = await world.agent(80), await world.bob()
    await bob.register()
    route = ("Route", f"<sip:{third.wire.local};transport=udp;lr>")
    for caller, own in (
        (await world.alice(), "sip.alpha.example"),
        (await world.trunk(), "sip.alpha.example"),
        (await world.dave(), "sip.beta.example"),
        (await world.peer(world.beta), "gw1.beta.example"),
    ):
        for routes in ((route,), (("Route", f"<sip:{own}:5061;transport=tls;lr>"), route)):
            request = caller.request("INVITE", f"sip:{BOB}@beta.example", *routes)
            assert (await caller.ask(request)).status_code == 403
    assert third.inbox.seen == []
    assert bob.inbox.requests("INVITE") == []


async def test_a_route_that_names_the_gateway_itself_is_the_usual_outbound_proxy(
    world: TwoProviders,
) -> None:
    alice, bob = await world.alice(), await world.bob()
    await bob.register()
    route = ("Route", "<sip:sip.alpha.example:5061;transport=tls;lr>")
    call = await alice.call(BOB, sdes_sdp(alice.wire.local.host), route)
    incoming = await bob.incoming()
    refused = asyncio.create_task(call.refused())
    await incoming.decline(486)
    assert (await refused).status_code == 486
    await world.idle()


async def test_a_user_who_is_not_registered_is_480_from_near_and_from_far(
    world: TwoProviders,
) -> None:
    trunk = await world.trunk()
    assert (await outcome(trunk, CAROL)).status_code == 480
    await world.beta.register_handler("dave", DAVE)
    assert (await outcome(trunk, DAVE)).status_code == 480


async def test_a_number_that_nobody_has_is_404(world: TwoProviders) -> None:
    trunk = await world.trunk()
    assert (await outcome(trunk, "+14155550190")).status_code == 404
    assert (await outcome(trunk, "+12125550190")).status_code == 404


async def test_what_holds_no_number_is_404_and_what_is_no_sip_uri_416(world: TwoProviders) -> None:
    trunk = await world.trunk()
    request = trunk.request("INVITE", "sip:somebody@alpha.example")
    assert (await trunk.ask(request)).status_code == 404
    request = trunk.request("INVITE", "http://alpha.example/", to="<sip:x@alpha.example>")
    assert (await trunk.ask(request)).status_code == 416


async def test_a_challenge_of_the_callee_passes_back_and_is_never_answered_for_it(
    world: TwoProviders,
) -> None:
    agent = await world.agent(70)
    trunk = await world.trunk(62, "+14155550150")
    call = await trunk.call("+14155550130", rtp_sdp(trunk.wire.local.host))
    incoming = await agent.incoming()
    challenge = ("Proxy-Authenticate", 'Digest realm="alpha.example", nonce="n", qop="auth"')
    refused = asyncio.create_task(call.refused())
    await incoming.decline(407, challenge)
    response = await refused
    assert response.status_code == 407
    assert response.headers.get("Proxy-Authenticate") == challenge[1]
    await world.idle(world.alpha)
    sent = parse_datagram(incoming.request.to_bytes())
    assert "Proxy-Authorization" not in sent.headers
    assert len(agent.inbox.requests("INVITE")) == 1


async def test_credentials_of_a_user_never_leave_its_provider(world: TwoProviders) -> None:
    alice, bob = await world.alice(), await world.bob()
    await bob.register()
    call = await alice.call(BOB, sdes_sdp(alice.wire.local.host))
    assert "Proxy-Authorization" in call.request.headers
    incoming = await bob.incoming()
    refused = asyncio.create_task(call.refused())
    await incoming.decline(603)
    assert (await refused).status_code == 603
    assert "Proxy-Authorization" not in incoming.request.headers
    await world.idle()
