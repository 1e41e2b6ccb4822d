"""Requests within a call: routed by their tokens, their SDP replaced, their end the call's end."""

from __future__ import annotations

import asyncio

import pytest

from media.session import Connected, MediaExhausted, MediaRefused
from sip.message import Request
from tests.support.call_scene import (
    ALICE,
    BETA_SERVER,
    CALLER_CONTACT,
    FROM_ALICE,
    FROM_BETA,
    FROM_CAROL,
    CallScene,
    Incoming,
    from_beta,
    invite,
    with_flow,
    within,
)
from tests.support.fake_media import our_sdp, sdp


@pytest.fixture
def call(scene: CallScene) -> Incoming:
    """A call of alice that beta.example answered."""
    return scene.talking()


@pytest.fixture
def incoming_call(scene: CallScene) -> Incoming:
    """A call of beta.example that alice answered."""
    scene.register(ALICE, FROM_ALICE)
    return scene.talking(scene.called())


# --- routing -------------------------------------------------------------------------------------


def test_a_request_of_the_caller_goes_to_the_callees_contact(
    scene: CallScene, call: Incoming
) -> None:
    scene.receive(within("INFO", call, "caller"), FROM_ALICE)
    (info,) = scene.sent("INFO")
    assert info.request.request_uri == "sip:callee@192.0.2.77:5060"
    assert info.request.routes == ()
    assert info.hops[0].listener == "peers"


def test_a_request_of_the_callee_goes_back_over_the_callers_flow(
    scene: CallScene, call: Incoming
) -> None:
    info = scene.receive(within("INFO", call, "callee"), FROM_BETA)
    (sent,) = scene.sent("INFO")
    assert sent.hops[0].flow == FROM_ALICE
    sent.answer(200)
    assert info.statuses == [200]
    assert len(scene.calls) == 1
    assert len(scene.control) == 0


def test_an_ack_goes_the_way_of_its_dialog(scene: CallScene, call: Incoming) -> None:
    scene.acknowledge(within("ACK", call, "caller", cseq=5), FROM_ALICE)
    assert len(scene.sent("ACK")) == 1


@pytest.mark.parametrize("method", ["BYE", "INVITE", "UPDATE", "INFO"])
def test_a_request_without_our_route_is_481(scene: CallScene, call: Incoming, method: str) -> None:
    request = within(method, call, "caller")
    bare = request.with_headers(request.headers.without("Route"))
    assert scene.receive(bare, FROM_ALICE).statuses == [481]
    assert len(scene.calls) == 1
    assert len(scene.control) == 0


def test_tokens_of_another_call_are_481(scene: CallScene) -> None:
    first = scene.talking()
    second = scene.dial(invite(call_id="call-2"))
    scene.sent("INVITE")[1].answer(200, body=sdp("callee"))
    theirs = within("BYE", second, "caller")
    mixed = theirs.with_headers(theirs.headers.replace("Call-ID", first.request.call_id))
    assert scene.receive(mixed, FROM_ALICE).statuses == [481]
    assert len(scene.calls) == 2


@pytest.mark.parametrize("name", ["From", "To"])
def test_another_tag_is_481(scene: CallScene, call: Incoming, name: str) -> None:
    request = within("BYE", call, "caller")
    value = (request.headers.get(name) or "").replace("tag=", "tag=x")
    forged = request.with_headers(request.headers.replace(name, value))
    assert scene.receive(forged, FROM_ALICE).statuses == [481]


def test_half_of_the_route_is_481(scene: CallScene, call: Incoming) -> None:
    request = within("BYE", call, "caller")
    half = request.with_headers(request.headers.replace("Route", str(request.routes[0])))
    assert scene.receive(half, FROM_ALICE).statuses == [481]


def test_a_forged_token_is_481(scene: CallScene, call: Incoming) -> None:
    request = within("BYE", call, "caller")
    values = [value.replace(";rt=", ";rt=A") for value in request.headers.all("Route")]
    headers = request.headers.without("Route")
    for value in values:
        headers = headers.append("Route", value)
    assert scene.receive(request.with_headers(headers), FROM_ALICE).statuses == [481]


@pytest.mark.parametrize(
    "wrong", ["call", "tag", "route", "hops left"], ids=lambda wrong: f"wrong {wrong}"
)
def test_an_ack_that_fits_no_call_is_dropped(scene: CallScene, call: Incoming, wrong: str) -> None:
    ack = within("ACK", call, "caller", cseq=5)
    change = {
        "call": ("Call-ID", "other"),
        "tag": ("To", "<sip:x@beta.example>;tag=other"),
        "route": ("Route", "<sip:gw1.alpha.example:5061;transport=tls;lr;rt=AAAA>"),
        "hops left": ("Max-Forwards", "0"),
    }[wrong]
    scene.acknowledge(ack.with_headers(ack.headers.replace(*change)), FROM_ALICE)
    assert scene.sent("ACK") == []


# --- what is taken along -------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["ACK", "INFO", "BYE"])
def test_credentials_never_leave_the_house(scene: CallScene, call: Incoming, method: str) -> None:
    secret = ("Proxy-Authorization", 'Digest username="alice", response="0123"')
    request = within(method, call, "caller", cseq=5, extra=(secret,))
    if method == "ACK":
        scene.acknowledge(request, FROM_ALICE)
    else:
        scene.receive(request, FROM_ALICE)
    (sent,) = scene.sent(method)
    assert "Proxy-Authorization" not in sent.request.headers


def test_a_peer_cannot_say_later_that_somebody_verified_it(
    scene: CallScene, incoming_call: Incoming
) -> None:
    mark = "<sip:+19005550199;verstat=TN-Validation-Passed@beta.example>"
    request = within("UPDATE", incoming_call, "caller", extra=(("P-Asserted-Identity", mark),))
    shown = f"{mark};tag=caller; verstat = TN-Validation-Passed"
    request = request.with_headers(request.headers.replace("From", shown))
    scene.receive(request, FROM_BETA)
    (update,) = scene.sent("UPDATE")
    assert b"verstat" not in update.request.to_bytes()
    assert update.request.from_.tag == "caller"


# --- SDP -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["caller", "callee"])
def test_a_new_offer_is_replaced_whoever_makes_it(
    scene: CallScene, call: Incoming, by: str
) -> None:
    session = scene.media.only
    flow = FROM_ALICE if by == "caller" else FROM_BETA
    again = scene.receive(within("INVITE", call, by, body=sdp(by)), flow)  # type: ignore[arg-type]
    sent = scene.sent("INVITE")[-1]
    assert sent.request.body == our_sdp("offer", 3)
    sent.answer(200, body=sdp("answer"))
    assert again.last.body == our_sdp("answer", 4)
    far = "callee" if by == "caller" else "caller"
    assert session.exchanged[2:] == [("offer", by), ("answer", far)]
    assert session.rolled_back == 0


def test_a_new_offer_that_is_refused_is_rolled_back(scene: CallScene, call: Incoming) -> None:
    again = scene.receive(within("INVITE", call, "caller", body=sdp("hold")), FROM_ALICE)
    scene.sent("INVITE")[-1].answer(488)
    assert again.statuses == [488]
    assert scene.media.only.rolled_back == 1
    assert len(scene.calls) == 1
    assert scene.media.only.closed == 0


@pytest.mark.parametrize(
    ("trouble", "status"), [(MediaRefused(491, "pending"), 491), (MediaExhausted("ports"), 503)]
)
def test_a_new_offer_that_we_cannot_take_goes_nowhere(
    scene: CallScene, call: Incoming, trouble: Exception, status: int
) -> None:
    scene.media.only.troubles = [trouble]
    again = scene.receive(within("INVITE", call, "caller", body=sdp("video")), FROM_ALICE)
    assert again.statuses == [status]
    assert len(scene.sent("INVITE")) == 1
    assert len(scene.calls) == 1
    assert len(scene.control) == 0


def test_an_unusable_answer_to_a_new_offer_ends_the_call_on_both_sides(
    scene: CallScene, call: Incoming
) -> None:
    again = scene.receive(within("INVITE", call, "caller", body=sdp("video")), FROM_ALICE)
    scene.media.only.troubles = [MediaRefused(488, "no")]
    scene.sent("INVITE")[-1].answer(200, body=sdp("video"))
    assert again.statuses == [488]
    assert len(scene.sent("BYE")) == 2
    assert len(scene.calls) == 0


def test_a_late_offer_in_a_reinvite_is_answered_in_its_ack(
    scene: CallScene, call: Incoming
) -> None:
    again = scene.receive(within("INVITE", call, "caller"), FROM_ALICE)
    scene.sent("INVITE")[-1].answer(200, body=sdp("callee"))
    assert again.last.body == our_sdp("offer", 3)
    ack = within("ACK", call, "caller", body=sdp("caller"))
    scene.acknowledge(ack, FROM_ALICE)
    assert scene.sent("ACK")[-1].request.body == our_sdp("answer", 4)


def test_a_reinvite_is_cancelled_like_any_invite(scene: CallScene, call: Incoming) -> None:
    again = scene.receive(within("INVITE", call, "caller", body=sdp("hold")), FROM_ALICE)
    sent = scene.sent("INVITE")[-1]
    sent.answer(180)
    again.cancel()
    assert sent.cancelled
    sent.answer(487)
    assert again.statuses == [180, 487]
    assert len(scene.calls) == 1


def test_a_reinvite_cancelled_before_it_could_leave_is_never_sent(
    scene: CallScene, call: Incoming
) -> None:
    gate = scene.media.only.gate = asyncio.Event()
    before = len(scene.sent("INVITE"))
    again = scene.receive(within("INVITE", call, "caller", body=sdp("hold")), FROM_ALICE)
    again.cancel()
    scene.loop.do(gate.set)
    assert again.statuses == [487]
    assert len(scene.sent("INVITE")) == before
    assert len(scene.calls) == 1


def test_a_body_that_is_no_sdp_passes_untouched(scene: CallScene, call: Incoming) -> None:
    request = within("INFO", call, "caller", extra=(("Content-Type", "application/dtmf-relay"),))
    scene.receive(Request("INFO", request.request_uri, request.headers, b"Signal=5"), FROM_ALICE)
    assert scene.sent("INFO")[0].request.body == b"Signal=5"


# --- the end -------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["caller", "callee"])
def test_a_bye_ends_the_call_and_closes_its_media_once(
    scene: CallScene, call: Incoming, by: str
) -> None:
    flow = FROM_ALICE if by == "caller" else FROM_BETA
    bye = scene.receive(within("BYE", call, by), flow)  # type: ignore[arg-type]
    scene.sent("BYE")[0].answer(200)
    assert bye.statuses == [200]
    assert len(scene.calls) == len(scene.control) == 0
    assert scene.media.only.closed == 1
    (record,) = scene.records.written
    assert record.answered is not None
    assert record.ended is not None


def test_a_bye_that_nobody_answers_ends_the_call_too(scene: CallScene, call: Incoming) -> None:
    scene.receive(within("BYE", call, "caller"), FROM_ALICE)
    scene.sent("BYE")[0].fail("timeout")
    assert len(scene.calls) == 0


def test_a_request_after_the_end_is_still_routed(scene: CallScene, call: Incoming) -> None:
    for _ in range(2):
        scene.receive(within("BYE", call, "caller"), FROM_ALICE)
        scene.sent("BYE")[-1].answer(200)
    assert len(scene.sent("BYE")) == 2
    assert scene.media.only.closed == 1


def test_dead_media_ends_the_call_with_a_bye_to_both_sides(
    scene: CallScene, call: Incoming
) -> None:
    scene.media.only.fail("callee", "consent lost")
    to_caller, to_callee = sorted(
        (bye.request for bye in scene.sent("BYE")), key=lambda bye: bye.to.tag != "caller"
    )
    assert to_caller.request_uri == CALLER_CONTACT
    assert (to_caller.from_.tag, to_caller.to.tag) == ("callee", "caller")
    assert to_callee.request_uri == "sip:callee@192.0.2.77:5060"
    assert (to_callee.from_.tag, to_callee.to.tag) == ("caller", "callee")
    assert to_callee.cseq.number == 6
    assert 'text="media: consent lost"' in (to_callee.headers.get("Reason") or "")
    assert {bye.hops[0].flow for bye in scene.sent("BYE")} == {FROM_ALICE, None}
    assert len(scene.calls) == 0
    assert scene.media.only.closed == 1


def test_a_bye_of_ours_follows_the_routes_beyond_us(scene: CallScene) -> None:
    incoming = scene.dial()
    sent = scene.only
    beyond = ("Record-Route", "<sip:gw2.beta.example:5061;transport=tls;lr>")
    response = sent.response(200, body=sdp("callee"))
    headers = response.headers.prepend(*beyond)
    sent.deliver(response.with_headers(headers))
    assert incoming.statuses == [200]
    scene.media.only.fail("callee")
    (to_callee,) = [bye for bye in scene.sent("BYE") if bye.request.to.tag == "callee"]
    assert [str(route.uri) for route in to_callee.request.routes] == [
        "sip:gw2.beta.example:5061;transport=tls;lr"
    ]


def test_a_bye_of_ours_has_the_next_number_of_the_side_it_speaks_for(
    scene: CallScene, call: Incoming
) -> None:
    scene.receive(within("INFO", call, "callee", cseq=100), FROM_BETA)
    scene.receive(within("INVITE", call, "caller", cseq=9, body=sdp("hold")), FROM_ALICE)
    scene.sent("INVITE")[-1].answer(200, body=sdp("held"))
    scene.media.only.fail("caller")
    numbers = {bye.request.to.tag: bye.request.cseq.number for bye in scene.sent("BYE")}
    assert numbers == {"caller": 101, "callee": 10}


def test_a_bye_of_ours_goes_to_where_the_dialog_was_moved(scene: CallScene, call: Incoming) -> None:
    moved = ("Contact", "<sip:moved@198.51.100.9>")
    scene.receive(within("UPDATE", call, "caller", extra=(moved,)), FROM_ALICE)
    scene.sent("UPDATE")[0].answer(200)
    scene.media.only.fail("callee")
    assert "sip:moved@198.51.100.9" in {bye.request.request_uri for bye in scene.sent("BYE")}


def test_a_bye_reaches_a_peer_whose_connection_may_be_gone(
    scene: CallScene, incoming_call: Incoming
) -> None:
    scene.media.only.fail("callee")
    (bye,) = [bye for bye in scene.sent("BYE") if bye.request.to.tag == "caller"]
    assert bye.hops[0].flow == FROM_BETA
    assert bye.hops[1].tls_name == "gw2.beta.example"
    assert str(bye.request.routes[0].uri).startswith("sip:gw2.beta.example")


def test_a_leg_that_dies_while_it_rings_ends_the_call_when_it_is_answered(
    scene: CallScene,
) -> None:
    scene.dial()
    scene.only.answer(183, body=sdp("early"))
    scene.media.only.fail("callee")
    assert len(scene.calls) == 1
    scene.only.answer(200, body=sdp("callee"))
    assert len(scene.sent("BYE")) == 2
    assert len(scene.calls) == 0


def test_a_leg_that_connects_is_written_down(scene: CallScene, call: Incoming) -> None:
    scene.media.only.happen(Connected("caller"))
    assert scene.calls.calls()[0].record.events == ["media connected: caller"]


def test_a_call_without_contacts_is_forgotten_when_its_media_dies(scene: CallScene) -> None:
    scene.dial()
    response = scene.only.response(200, body=sdp("callee"))
    scene.only.deliver(response.with_headers(response.headers.without("Contact")))
    scene.media.only.fail("caller")
    assert scene.sent("BYE") == []
    assert len(scene.calls) == 0


def test_calls_that_last_too_long_are_hung_up(scene: CallScene, call: Incoming) -> None:
    longest = scene.config.sip.max_call_seconds
    scene.advance(longest - 1)
    scene.loop.do(lambda: scene.ending.expire(scene.now()))
    assert len(scene.calls) == 1
    scene.advance(2)
    scene.loop.do(lambda: scene.ending.expire(scene.now()))
    assert len(scene.calls) == 0
    assert len(scene.sent("BYE")) == 2
    (record,) = scene.records.written
    assert record.reason == "call lasted too long"


# --- forks and early requests --------------------------------------------------------------------


def test_a_request_before_the_answer_belongs_to_the_early_dialog(scene: CallScene) -> None:
    incoming = scene.dial()
    scene.only.answer(183)
    scene.receive(within("PRACK", incoming, "caller"), FROM_ALICE)
    assert len(scene.sent("PRACK")) == 1


def test_a_stranger_cannot_use_the_tokens_from_the_other_side(
    scene: CallScene, call: Incoming
) -> None:
    request = within("BYE", call, "caller")
    assert scene.receive(request, FROM_BETA).statuses == [481]


def test_another_device_behind_the_same_listener_still_needs_the_tags(
    scene: CallScene, call: Incoming
) -> None:
    elsewhere = with_flow(FROM_CAROL, flow_id=99)
    scene.receive(within("BYE", call, "caller"), elsewhere)
    assert len(scene.sent("BYE")) == 1


def test_a_new_offer_waits_for_a_slow_engine_without_losing_its_answer(
    scene: CallScene, call: Incoming
) -> None:
    gate = scene.media.only.gate = asyncio.Event()
    again = scene.receive(within("INVITE", call, "caller", body=sdp("hold")), FROM_ALICE)
    assert len(scene.sent("INVITE")) == 1
    scene.loop.do(gate.set)
    scene.sent("INVITE")[-1].answer(200, body=sdp("held"))
    assert again.statuses == [200]


def test_the_next_hop_of_a_peers_request_is_the_peer(scene: CallScene, call: Incoming) -> None:
    assert scene.only.hops[0].address == BETA_SERVER
    assert from_beta().record_routes
