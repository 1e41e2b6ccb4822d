"""Calls between raw phones through both gateways."""

from __future__ import annotations

import asyncio

import pytest

from gateway.demo.scene import ALICE, BOB
from media.sdp import SessionDescription
from sip.flow import Transport
from sip.message import Request
from tests.support.raw_dialog import Dialog, crypto_tag, described, rtp_sdp, sdes_sdp
from tests.support.raw_phone import RawPhone, in_call
from tests.support.two_providers import CAROL, TwoProviders, hang_up, talking

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="session")]


async def phones(world: TwoProviders) -> tuple[RawPhone, RawPhone]:
    """Alice at alpha, and Bob registered at beta."""
    alice, bob = await world.alice(), await world.bob()
    await bob.register()
    return alice, bob


async def call_of(world: TwoProviders) -> tuple[Dialog, Dialog]:
    """A call between Alice and Bob."""
    return await talking(*await phones(world), BOB, srtp=True)


def media_of(sdp: SessionDescription) -> tuple[str, str | None]:
    """What a gateway's own description offers: the profile and the direction."""
    return sdp.media[0].proto, sdp.media[0].direction


async def test_a_call_is_found_signed_verified_bridged_and_hung_up_by_the_caller(
    world: TwoProviders,
) -> None:
    alice, bob = await phones(world)
    call = await alice.call(BOB, sdes_sdp(alice.wire.local.host))
    incoming = await bob.incoming()
    offer = described(incoming.request)
    assert media_of(offer) == ("RTP/AVP", "sendrecv")
    assert bob.wire.local.host not in incoming.request.body.decode()
    assert alice.wire.local.host not in incoming.request.body.decode()
    asserted = incoming.request.headers.get("P-Asserted-Identity") or ""
    assert f"{ALICE};verstat=TN-Validation-Passed" in asserted
    assert incoming.request.from_.uri == call.request.from_.uri
    assert incoming.request.call_id == call.request.call_id
    incoming.respond(180)
    await call.response(180)
    at_bob = incoming.answer(rtp_sdp(bob.wire.local.host))
    at_alice = await call.answered()
    await at_bob.acknowledged()
    answer = at_alice.description
    assert answer is not None
    assert b"RTP/SAVP" in answer
    assert b"a=crypto:" in answer
    await hang_up(at_alice, at_bob)
    await world.idle()
    assert (await world.record(world.alpha, call.request.call_id))["status"] == 200
    verdict = (await world.record(world.beta, call.request.call_id))["verdict"]
    assert verdict["outcome"] == "valid"


async def test_the_callee_can_hang_up(world: TwoProviders) -> None:
    at_alice, at_bob = await call_of(world)
    await hang_up(at_bob, at_alice)
    await world.idle()


async def test_cancel_while_it_rings_reaches_the_callee_and_the_caller_gets_487(
    world: TwoProviders,
) -> None:
    alice, bob = await phones(world)
    call = await alice.call(BOB, sdes_sdp(alice.wire.local.host))
    incoming = await bob.incoming()
    incoming.respond(180)
    await call.response(180)
    cancelled = asyncio.create_task(incoming.cancelled())
    assert (await call.cancel()).status_code == 200
    assert (await call.refused()).status_code == 487
    assert (await cancelled).call_id == call.request.call_id
    await world.idle()


async def test_cancel_while_the_number_is_still_looked_up_gives_487_and_sends_nothing(
    world: TwoProviders,
) -> None:
    alice, bob = await phones(world)
    world.scene.smsc.chaos.delay = 2.0
    try:
        call = await alice.call("+12125550171", sdes_sdp(alice.wire.local.host))
        await call.response(100)
        assert (await call.cancel()).status_code == 200
        assert (await call.refused(timeout=1.5)).status_code == 487
    finally:
        world.scene.smsc.chaos.delay = 0.0
    await world.idle()
    assert bob.inbox.requests("INVITE") == []


async def test_busy_passes_back_with_what_the_callee_said_about_it(world: TwoProviders) -> None:
    alice, bob = await phones(world)
    call = await alice.call(BOB, sdes_sdp(alice.wire.local.host))
    incoming = await bob.incoming()
    refused = asyncio.create_task(call.refused())
    await incoming.decline(486, ("Retry-After", "30"), ("Warning", '399 bob "in a meeting"'))
    response = await refused
    assert response.status_code == 486
    assert response.headers.get("Retry-After") == "30"
    assert response.headers.get("Warning") == '399 bob "in a meeting"'
    await world.idle()


async def test_a_call_that_rings_too_long_is_cancelled_and_the_caller_gets_408(
    world: TwoProviders,
) -> None:
    alice, bob = await phones(world)
    call = await alice.call(BOB, sdes_sdp(alice.wire.local.host))
    incoming = await bob.incoming()
    incoming.respond(180)
    cancelled = asyncio.create_task(incoming.cancelled())
    assert (await call.refused()).status_code == 408
    await cancelled
    await world.idle()


async def test_hold_and_resume_rewrite_the_sdp_in_both_directions(world: TwoProviders) -> None:
    at_alice, at_bob = await call_of(world)
    alice_host, bob_host = at_alice.phone.wire.local.host, at_bob.phone.wire.local.host

    async def answer(side: Dialog, sdp: bytes) -> Request:
        asked = await side.asked("INVITE")
        asked.respond(200, sdp)
        await side.acknowledged()
        return asked.request

    answering = asyncio.create_task(answer(at_bob, rtp_sdp(bob_host, 32000, "recvonly", 2)))
    held = await at_alice.ask("INVITE", media=sdes_sdp(alice_host, 30000, "sendonly", 2))
    at_bobs = described(await answering)
    assert held.status_code == 200
    assert media_of(at_bobs) == ("RTP/AVP", "sendonly")
    assert alice_host not in at_bobs.to_bytes().decode()
    assert media_of(described(held)) == ("RTP/SAVP", "recvonly")
    assert bob_host not in held.body.decode()

    resuming = asyncio.create_task(at_bob.ask("INVITE", media=rtp_sdp(bob_host, 32000, version=3)))
    asked = await at_alice.asked("INVITE")
    at_alices = described(asked.request)
    asked.respond(200, sdes_sdp(alice_host, version=3, tag=crypto_tag(at_alices)))
    await at_alice.acknowledged()
    resumed = await resuming
    assert resumed.status_code == 200
    assert media_of(at_alices) == ("RTP/SAVP", "sendrecv")
    assert media_of(described(resumed)) == ("RTP/AVP", "sendrecv")
    await hang_up(at_alice, at_bob)
    await world.idle()


async def test_a_refused_reinvite_leaves_the_call_as_it_was(world: TwoProviders) -> None:
    at_alice, at_bob = await call_of(world)
    asking = asyncio.create_task(
        at_alice.ask("INVITE", media=sdes_sdp(at_alice.phone.wire.local.host, 30000, version=2))
    )
    asked = await at_bob.asked("INVITE")
    asked.respond(488)
    assert (await asking).status_code == 488
    asking = asyncio.create_task(at_alice.ask("INFO"))
    (await at_bob.asked("INFO")).respond(200)
    assert (await asking).status_code == 200
    await hang_up(at_bob, at_alice)
    await world.idle()


async def test_update_info_and_options_pass_within_the_dialog(world: TwoProviders) -> None:
    at_alice, at_bob = await call_of(world)
    for method, body in (("UPDATE", b""), ("INFO", b"Signal=5\r\n"), ("OPTIONS", b"")):
        for near, far in ((at_alice, at_bob), (at_bob, at_alice)):
            extra = (("Content-Type", "application/dtmf-relay"),) if body else ()
            asking = asyncio.create_task(near.ask(method, *extra, ("X-Kept", "yes"), body=body))
            asked = await far.asked(method)
            assert asked.request.headers.get("X-Kept") == "yes"
            assert asked.request.body == body
            asked.respond(200, None, ("X-Answer", method))
            assert (await asking).headers.get("X-Answer") == method
    await hang_up(at_alice, at_bob)
    await world.idle()


async def test_update_with_an_offer_rewrites_it_and_its_answer(world: TwoProviders) -> None:
    at_alice, at_bob = await call_of(world)
    host = at_bob.phone.wire.local.host
    asking = asyncio.create_task(at_bob.ask("UPDATE", media=rtp_sdp(host, 32000, "sendonly", 2)))
    asked = await at_alice.asked("UPDATE")
    assert media_of(described(asked.request)) == ("RTP/SAVP", "sendonly")
    tag = crypto_tag(described(asked.request))
    asked.respond(200, sdes_sdp(at_alice.phone.wire.local.host, 30000, "recvonly", 2, tag=tag))
    assert media_of(described(await asking)) == ("RTP/AVP", "recvonly")
    await hang_up(at_alice, at_bob)
    await world.idle()


async def test_a_late_offer_comes_in_the_answer_and_is_answered_in_the_ack(
    world: TwoProviders,
) -> None:
    alice, bob = await phones(world)
    call = await alice.call(BOB)
    incoming = await bob.incoming()
    assert incoming.request.body == b""
    at_bob = incoming.answer(rtp_sdp(bob.wire.local.host))
    at_alice = Dialog.of_caller(alice, call.request, answer := await call.response(200))
    offer = described(answer)
    assert media_of(offer)[0] == "RTP/SAVP"
    at_alice.acknowledge(sdes_sdp(alice.wire.local.host, tag=crypto_tag(offer)))
    ack = await at_bob.acknowledged()
    assert media_of(described(ack))[0] == "RTP/AVP"
    assert alice.wire.local.host not in ack.body.decode()
    await hang_up(at_bob, at_alice)
    await world.idle()


async def test_a_late_offer_answered_with_what_was_not_offered_ends_the_call_on_both_sides(
    world: TwoProviders,
) -> None:
    alice, bob = await phones(world)
    call = await alice.call(BOB)
    incoming = await bob.incoming()
    at_bob = incoming.answer(rtp_sdp(bob.wire.local.host))
    at_alice = await call.answered(rtp_sdp(alice.wire.local.host))
    reasons = [(await side.hung_up()).headers.get("Reason") for side in (at_alice, at_bob)]
    assert all(reason and "media" in reason for reason in reasons)
    await world.idle()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"To": "<sip:bob@beta.example>;tag=other"}, "a wrong To tag"),
        ({"From": "<sip:alice@alpha.example>;tag=other"}, "a wrong From tag"),
        ({"Route": None}, "no Route"),
        ({"Call-ID": "other@raw.example"}, "another Call-ID"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_bye_that_only_guesses_is_481_and_the_call_lives(
    world: TwoProviders, change: dict[str, str | None], why: str
) -> None:
    at_alice, at_bob = await call_of(world)
    assert (await at_alice.ask("BYE", change=change)).status_code == 481, why
    asking = asyncio.create_task(at_bob.ask("INFO"))
    (await at_alice.asked("INFO")).respond(200)
    assert (await asking).status_code == 200
    assert at_bob.phone.inbox.requests("BYE") == []
    await hang_up(at_alice, at_bob)
    await world.idle()


async def test_a_200_sent_again_comes_through_again_and_so_does_its_ack(
    world: TwoProviders,
) -> None:
    alice, bob = await phones(world)
    call = await alice.call(BOB, sdes_sdp(alice.wire.local.host))
    incoming = await bob.incoming()
    at_bob = incoming.answer(rtp_sdp(bob.wire.local.host))
    first = await call.response(200)
    incoming.answer(rtp_sdp(bob.wire.local.host))
    again = await call.response(200)
    assert again.body == first.body
    assert again.to.tag == first.to.tag
    at_alice = Dialog.of_caller(alice, call.request, again)
    for _ in range(2):
        at_alice.acknowledge()
        await at_bob.acknowledged()
    await hang_up(at_alice, at_bob)
    await world.idle()


async def test_a_call_rings_every_registered_phone_and_the_first_to_answer_wins(
    world: TwoProviders,
) -> None:
    alice, desk = await phones(world)
    mobile = await world.bob()
    await mobile.register()
    call = await alice.call(BOB, sdes_sdp(alice.wire.local.host))
    at_desk, at_mobile = await desk.incoming(), await mobile.incoming()
    at_desk.respond(180)
    at_mobile.respond(180)
    await call.response(180)
    await call.response(180)
    cancelled = asyncio.create_task(at_desk.cancelled())
    answered = at_mobile.answer(rtp_sdp(mobile.wire.local.host))
    at_alice = await call.answered()
    await answered.acknowledged()
    await cancelled
    await hang_up(at_alice, answered)
    await world.idle()
    assert desk.inbox.requests("ACK")[-1].to.tag == at_desk.tag


async def test_hanging_up_the_second_of_two_answers_leaves_the_first_call_alone(
    world: TwoProviders,
) -> None:
    alice, desk = await phones(world)
    mobile = await world.bob()
    await mobile.register()
    call = await alice.call(BOB, sdes_sdp(alice.wire.local.host))
    at_desk, at_mobile = await desk.incoming(), await mobile.incoming()
    won = at_desk.answer(rtp_sdp(desk.wire.local.host))
    lost = at_mobile.answer(rtp_sdp(mobile.wire.local.host, 34000))
    dialogs = [await call.answered(), await call.answered()]
    kept, extra = sorted(dialogs, key=lambda each: won.local != each.remote)
    await won.acknowledged()
    await lost.acknowledged()
    await hang_up(extra, lost)
    asking = asyncio.create_task(kept.ask("INFO"))
    (await won.asked("INFO")).respond(200)
    assert (await asking).status_code == 200
    assert (await world.alpha.admin("/v1/media"))["media"][0]["sessions"] == 1
    assert (await world.beta.admin("/v1/media"))["media"][0]["sessions"] == 1
    await hang_up(kept, won)
    await world.idle()


async def test_a_request_of_the_dialog_sent_twice_is_passed_on_once(world: TwoProviders) -> None:
    at_alice, at_bob = await call_of(world)
    request = at_alice.request("INFO")
    at_alice.send(request)
    at_alice.send(request)
    asked = await at_bob.asked("INFO")
    asked.respond(200)
    await at_alice.phone.response(request, 200)
    await hang_up(at_alice, at_bob)
    seen = [r for r in at_bob.phone.inbox.requests("INFO") if in_call(asked.request, "INFO")(r)]
    assert len(seen) == 1
    await world.idle()


async def test_early_media_and_prack_pass_before_the_answer(world: TwoProviders) -> None:
    alice, bob = await phones(world)
    host = bob.wire.local.host
    call = await alice.call(BOB, sdes_sdp(alice.wire.local.host), ("Supported", "100rel"))
    incoming = await bob.incoming()
    incoming.respond(183, rtp_sdp(host), ("Require", "100rel"), ("RSeq", "1"))
    progress = await call.response(183)
    assert media_of(described(progress))[0] == "RTP/SAVP"
    assert host not in progress.body.decode()
    early = Dialog.of_caller(alice, call.request, progress)
    rack = ("RAck", f"1 {call.request.cseq.number} INVITE")
    asking = asyncio.create_task(early.ask("PRACK", rack))
    at_bob = Dialog.of_callee(bob, incoming.request, incoming.respond(180), incoming.reply)
    asked = await at_bob.asked("PRACK")
    assert asked.request.headers.get("RAck") == rack[1]
    asked.respond(200)
    assert (await asking).status_code == 200
    at_bob = incoming.answer(rtp_sdp(host))
    answer = await call.response(200)
    assert described(answer).media == described(progress).media
    at_alice = Dialog.of_caller(alice, call.request, answer)
    at_alice.acknowledge()
    await at_bob.acknowledged()
    await hang_up(at_alice, at_bob)
    await world.idle()


@pytest.mark.parametrize("transport", ["tls", "tcp", "udp"])
async def test_two_users_of_one_provider_call_each_other_without_anyone_being_asked(
    world: TwoProviders, transport: Transport
) -> None:
    alice, carol = await world.alice(), await world.carol(transport)
    await carol.register()
    at_alice, at_carol = await talking(alice, carol, CAROL, srtp=True)
    assert at_carol.description
    assert b"RTP/AVP" in at_carol.description
    await hang_up(at_carol, at_alice)
    await world.idle(world.alpha)
    record = await world.record(world.alpha, at_alice.call_id)
    assert record["direction"] == "local"
    assert "discovery" not in record
    assert "passport" not in record


async def test_a_phone_that_goes_away_during_a_call_does_not_hold_the_others_bye(
    world: TwoProviders,
) -> None:
    at_alice, at_bob = await call_of(world)
    await at_bob.phone.close()
    response = await at_alice.ask("BYE")
    assert response.status_code in (200, 480, 481, 500, 503)
    await world.idle()
