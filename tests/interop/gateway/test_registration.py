"""Registering with the real gateways, and what a restart leaves of it."""

from __future__ import annotations

import asyncio

import pytest

from gateway.demo.scene import BOB
from tests.support.raw_dialog import rtp_sdp
from tests.support.raw_phone import RawPhone
from tests.support.two_providers import DAVE, TwoProviders, eventually

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="session")]


async def bindings(phone: RawPhone) -> tuple[str, ...]:
    """The contacts of the phone's number."""
    response = await phone.register(contact="")
    return tuple(str(contact.uri) for contact in response.contacts)


async def status_of_call(world: TwoProviders, number: str) -> int:
    """What a trunk is told that calls a number of beta."""
    trunk = await world.trunk()
    call = await trunk.call(number, rtp_sdp(trunk.wire.local.host))
    return (await call.refused()).status_code


@pytest.mark.parametrize("algorithm", ["SHA-256", "MD5"])
@pytest.mark.parametrize("transport", ["tls", "tcp", "udp"])
async def test_a_phone_registers_with_either_digest(
    world: TwoProviders, algorithm: str, transport: str
) -> None:
    bob = await world.bob(transport)  # type: ignore[arg-type]
    request = bob.registration()
    challenge = await bob.ask(request)
    assert challenge.status_code == 401
    offered = challenge.headers.all("WWW-Authenticate")
    assert ["SHA-256" in offered[0], "MD5" in offered[1]] == [True, True]
    response = await bob.ask(bob.authorised(request, challenge, algorithm=algorithm))
    bob.registered = True
    assert response.status_code == 200
    assert [str(each.uri) for each in response.contacts] == [bob.contact.strip("<>")]
    assert int(response.contacts[0].params.text("expires") or 0) > 3500


async def test_a_wrong_password_registers_nobody(world: TwoProviders) -> None:
    bob = await world.bob()
    right, bob.password = bob.password, "wrong"
    response = await bob.ask_as_user(bob.registration())
    assert response.status_code in (401, 403)
    bob.password = right
    assert await bindings(bob) == ()


async def test_an_unknown_user_is_told_what_a_wrong_password_is_told(world: TwoProviders) -> None:
    bob = await world.bob()
    known = await bob.ask_as_user_wrongly()
    bob.username = "nobody"
    assert await bob.ask_as_user_wrongly() == known


async def test_a_number_of_another_user_is_refused_with_403(world: TwoProviders) -> None:
    bob = await world.bob()
    response = await bob.ask_as_user(bob.registration(number=DAVE))
    assert response.status_code == 403


async def test_a_number_in_a_domain_of_others_is_refused_with_404(world: TwoProviders) -> None:
    bob = await world.bob()
    bob.domain = "elsewhere.example"
    assert (await bob.ask(bob.registration())).status_code == 404


async def test_a_contact_too_short_lived_is_423_with_the_least_that_is_taken(
    world: TwoProviders,
) -> None:
    bob = await world.bob()
    response = await bob.ask_as_user(bob.registration(("Expires", "1")))
    assert (response.status_code, response.headers.get("Min-Expires")) == (423, "2")


async def test_a_contact_that_expires_is_not_called_any_more(world: TwoProviders) -> None:
    bob = await world.bob()
    await bob.register(("Expires", "2"))
    assert len(await bindings(bob)) == 1

    async def gone() -> bool:
        return await bindings(bob) == ()

    await eventually(gone, "the contact expired")
    assert await status_of_call(world, BOB) == 480


async def test_a_star_removes_every_contact_and_needs_expires_0(world: TwoProviders) -> None:
    desk, mobile = await world.bob(), await world.bob()
    await desk.register()
    await mobile.register()
    assert len(await bindings(desk)) == 2
    assert (await desk.ask_as_user(desk.registration(contact="*"))).status_code == 400
    assert len(await bindings(desk)) == 2
    await desk.register(("Expires", "0"), contact="*")
    assert await bindings(desk) == ()
    assert await status_of_call(world, BOB) == 480


async def test_a_phone_that_lost_its_connections_can_still_register(world: TwoProviders) -> None:
    for _ in range(12):
        bob = await world.bob()
        await bob.register()
        await bob.close()
    survivor = await world.bob()
    await survivor.register()
    assert survivor.contact.strip("<>") in await bindings(survivor)


async def test_after_a_restart_udp_contacts_are_called_and_tls_contacts_when_they_are_back(
    world: TwoProviders,
) -> None:
    bob, dave = await world.bob("tls"), await world.dave("udp")
    await bob.register()
    await dave.register()
    await world.beta.register_handler("dave", DAVE)
    kept = bob.contact.strip("<>")
    await world.beta.stop()
    assert "Traceback" not in world.log(world.beta)
    await world.beta.start()
    await bob.wire.closed_by_peer.wait()

    trunk = await world.trunk()
    call = await trunk.call(DAVE, rtp_sdp(trunk.wire.local.host))
    incoming = await dave.incoming()
    refused = asyncio.create_task(call.refused())
    await incoming.decline(486)
    assert (await refused).status_code == 486

    assert await status_of_call(world, BOB) == 480
    back = await world.bob("tls")
    assert kept in await bindings(back)
    await back.register()
    call = await trunk.call(BOB, rtp_sdp(trunk.wire.local.host))
    incoming = await back.incoming()
    refused = asyncio.create_task(call.refused())
    await incoming.decline(486)
    assert (await refused).status_code == 486
    await world.idle()
