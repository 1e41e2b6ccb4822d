"""What comes back: provisional responses, answers, failures, CANCEL, and SDP in between."""

from __future__ import annotations

import asyncio

import pytest

from gateway.calls.state import Call
from media.session import MediaExhausted, MediaRefused
from tests.support.call_scene import (
    ALICE,
    BOB,
    FROM_ALICE,
    FROM_BETA,
    FROM_CAROL,
    CallScene,
    invite,
    within,
)
from tests.support.fake_endpoint import OUR_VIA
from tests.support.fake_media import our_sdp, sdp


def only_call(scene: CallScene) -> Call:
    (call,) = scene.calls.calls()
    return call


def test_ringing_and_the_answer_go_back_without_our_via(scene: CallScene) -> None:
    incoming = scene.dial()
    scene.only.answer(100)
    scene.only.answer(180)
    scene.only.answer(200, body=sdp("callee"))
    assert incoming.statuses == [180, 200]
    for response in incoming.responses:
        assert OUR_VIA not in str(response.headers.all("Via"))
        assert response.headers.all("Via") == incoming.request.headers.all("Via")
    record = only_call(scene).record
    assert record.ringing is not None
    assert record.answered is not None


def test_the_answer_carries_our_description_not_the_callees(scene: CallScene) -> None:
    incoming = scene.talking()
    session = scene.media.only
    assert session.exchanged == [("offer", "caller"), ("answer", "callee")]
    assert scene.only.request.body == our_sdp("offer", 1)
    assert incoming.last.body == our_sdp("answer", 2)


def test_a_busy_callee_ends_the_call_and_frees_its_media_once(scene: CallScene) -> None:
    incoming = scene.dial()
    scene.only.answer(486)
    assert incoming.statuses == [486]
    assert len(scene.calls) == len(scene.control) == 0
    assert scene.media.only.closed == 1
    (record,) = scene.records.written
    assert (record.status, record.reason) == (486, "Busy Here")
    assert record.media is not None


def test_responses_stay_in_order_while_a_description_is_being_replaced(scene: CallScene) -> None:
    incoming = scene.dial()
    gate = scene.media.only.gate = asyncio.Event()
    scene.only.answer(183, body=sdp("early"))
    scene.only.answer(180)
    scene.only.answer(200, body=sdp("callee"))
    assert incoming.statuses == []
    scene.loop.do(gate.set)
    assert incoming.statuses == [183, 180, 200]


def test_a_failure_waits_for_the_description_before_it(scene: CallScene) -> None:
    incoming = scene.dial()
    gate = scene.media.only.gate = asyncio.Event()
    scene.only.answer(183, body=sdp("early"))
    scene.only.answer(486)
    assert incoming.statuses == []
    assert scene.media.only.closed == 0
    scene.loop.do(gate.set)
    assert incoming.statuses == [183, 486]
    assert scene.media.only.closed == 1
    assert len(scene.control) == 0


def test_the_line_of_waiting_responses_is_bounded(scene: CallScene) -> None:
    incoming = scene.dial()
    gate = scene.media.only.gate = asyncio.Event()
    for _ in range(100):
        scene.only.answer(183, body=sdp("early"))
    scene.loop.do(gate.set)
    scene.settle()
    scene.settle()
    assert len(incoming.statuses) == 65


def test_an_early_description_that_cannot_be_used_is_left_out(scene: CallScene) -> None:
    incoming = scene.dial()
    scene.media.only.troubles = [MediaRefused(488, "no")]
    scene.only.answer(183, body=sdp("early"))
    assert incoming.statuses == [183]
    assert incoming.last.body == b""


def test_an_answer_that_cannot_be_used_is_an_error_here_and_a_bye_there(scene: CallScene) -> None:
    incoming = scene.dial()
    scene.media.only.troubles = [MediaRefused(488, 'not "protected"')]
    scene.only.answer(200, body=sdp("callee"))
    assert incoming.statuses == [488]
    assert incoming.last.headers.get("Reason") == 'SIP;cause=488;text="not \\"protected\\""'
    (ack,), (bye,) = scene.sent("ACK"), scene.sent("BYE")
    assert ack.request.to.tag == bye.request.to.tag == "callee"
    assert ack.request.cseq.number == incoming.request.cseq.number
    assert len(scene.calls) == len(scene.control) == 0
    assert scene.media.only.closed == 1


def test_a_repeated_answer_that_cannot_be_used_brings_no_second_bye(scene: CallScene) -> None:
    incoming = scene.dial()
    scene.media.only.troubles = [MediaRefused(488, "no"), MediaRefused(488, "no")]
    scene.only.answer(200, body=sdp("callee"))
    scene.only.answer(200, body=sdp("callee"))
    assert incoming.statuses[0] == 488
    assert len(scene.sent("BYE")) == 1


def test_a_repeated_answer_goes_back_again(scene: CallScene) -> None:
    incoming = scene.talking()
    scene.only.answer(200, body=sdp("callee"))
    assert incoming.statuses == [200, 200]
    assert len(scene.calls) == 1


# --- late offers ---------------------------------------------------------------------------------


def test_a_late_offer_is_answered_in_the_ack(scene: CallScene) -> None:
    incoming = scene.dial(invite(body=b""))
    assert scene.only.request.body == b""
    scene.only.answer(200, body=sdp("callee"))
    assert incoming.last.body == our_sdp("offer", 1)
    scene.acknowledge(within("ACK", incoming, "caller", cseq=5, body=sdp("caller")), FROM_ALICE)
    (ack,) = scene.sent("ACK")
    assert ack.request.body == our_sdp("answer", 2)
    assert scene.media.only.exchanged == [("offer", "callee"), ("answer", "caller")]


def test_a_repeated_late_offer_is_the_same_offer(scene: CallScene) -> None:
    incoming = scene.dial(invite(body=b""))
    scene.only.answer(200, body=sdp("callee"))
    scene.only.answer(200, body=sdp("callee"))
    first, second = incoming.responses
    assert first.body == second.body
    assert scene.media.only.exchanged == [("offer", "callee")]


def test_a_late_offer_for_which_no_port_is_free_is_an_error(scene: CallScene) -> None:
    incoming = scene.dial(invite(body=b""))
    scene.media.only.troubles = [MediaExhausted("ports")]
    scene.only.answer(200, body=sdp("callee"))
    assert incoming.statuses == [503]
    assert len(scene.sent("BYE")) == 1
    assert len(scene.calls) == len(scene.control) == 0


def test_an_unusable_answer_to_a_late_offer_ends_the_call(scene: CallScene) -> None:
    incoming = scene.dial(invite(body=b""))
    scene.only.answer(200, body=sdp("callee"))
    scene.media.only.troubles = [MediaRefused(488, "no")]
    scene.acknowledge(within("ACK", incoming, "caller", cseq=5, body=sdp("caller")), FROM_ALICE)
    assert scene.sent("ACK") == []
    assert len(scene.sent("BYE")) == 2
    assert len(scene.calls) == 0


# --- CANCEL --------------------------------------------------------------------------------------


def test_a_cancel_in_the_same_breath_as_the_invite_is_487(scene: CallScene) -> None:
    request = scene.authorised(invite(), FROM_ALICE)
    incoming = scene.receive(request, FROM_ALICE, cancelled=True)
    assert incoming.statuses == [487]
    assert scene.sent("INVITE") == []
    assert len(scene.control) == len(scene.calls) == 0


def test_a_cancel_while_the_number_is_looked_up_is_487_and_frees_the_account(
    scene: CallScene,
) -> None:
    scene.resolver.gate = asyncio.Event()
    incoming = scene.dial()
    assert len(scene.calls) == 1
    incoming.cancel()
    assert incoming.statuses == [487]
    assert len(scene.calls) == len(scene.control) == 0
    scene.loop.do(scene.resolver.gate.set)
    assert scene.sent("INVITE") == []


def test_a_cancel_while_the_next_hop_is_located_sends_nothing(scene: CallScene) -> None:
    scene.dns.gate = asyncio.Event()
    incoming = scene.dial()
    incoming.cancel()
    scene.loop.do(scene.dns.gate.set)
    assert incoming.statuses == [487]
    assert scene.sent("INVITE") == []
    assert scene.media.only.closed == 1


def test_a_cancel_while_it_rings_is_passed_on_and_487_comes_back(scene: CallScene) -> None:
    incoming = scene.dial()
    scene.only.answer(180)
    incoming.cancel()
    assert scene.only.cancelled
    assert incoming.statuses == [180]
    scene.only.answer(487)
    assert incoming.statuses == [180, 487]
    (record,) = scene.records.written
    assert record.status == 487


def test_a_cancel_that_the_answer_overtook_leaves_the_call_up(scene: CallScene) -> None:
    incoming = scene.dial()
    incoming.cancel()
    scene.only.answer(200, body=sdp("callee"))
    assert incoming.statuses == [200]
    assert len(scene.calls) == 1


def test_a_cancel_after_everything_ended_does_nothing(scene: CallScene) -> None:
    incoming = scene.dial()
    scene.only.answer(486)
    scene.loop.do(lambda: scene.control.on_cancel(incoming.transaction, incoming.request))
    assert incoming.statuses == [486]


# --- failures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", ["timeout", "transport", "tls"])
def test_a_request_that_cannot_be_delivered_is_answered(scene: CallScene, cause: str) -> None:
    incoming = scene.dial()
    scene.only.fail(cause)  # type: ignore[arg-type]
    assert len(incoming.statuses) == 1
    assert 400 <= incoming.statuses[0] < 600
    assert len(scene.calls) == len(scene.control) == 0


def test_a_callee_that_rings_too_long_is_cancelled(scene: CallScene) -> None:
    incoming = scene.dial()
    scene.only.answer(180)
    scene.advance(179)
    assert not scene.only.cancelled
    scene.advance(2)
    assert scene.only.cancelled
    scene.only.answer(487)
    assert incoming.statuses[-1] >= 400
    assert len(scene.calls) == 0


def test_the_second_uri_of_a_number_is_tried_when_the_first_fails(scene: CallScene) -> None:
    scene.resolver.found[BOB] = (f"sip:{BOB}@beta.example", f"sip:{BOB}@gw2.beta.example")
    incoming = scene.dial()
    scene.only.fail("transport")
    _, second = scene.sent("INVITE")
    second.answer(200, body=sdp("callee"))
    assert incoming.statuses == [200]
    assert only_call(scene).record.next_hop == "tls:203.0.113.6:5061"


# --- forks ---------------------------------------------------------------------------------------


def fork(scene: CallScene) -> CallScene:
    scene.register(ALICE, FROM_ALICE, "desk")
    scene.register(ALICE, FROM_CAROL, "mobile")
    return scene


def test_a_second_answer_goes_back_too_and_both_dialogs_are_known(scene: CallScene) -> None:
    incoming = fork(scene).called()
    desk, mobile = scene.sent("INVITE")
    desk.answer(200, tag="desk", body=sdp("desk"))
    assert mobile.cancelled
    mobile.answer(200, tag="mobile", body=sdp("mobile"))
    assert incoming.statuses == [200, 200]
    assert only_call(scene).callee_tags == {"desk", "mobile"}


def test_ending_one_dialog_of_a_fork_leaves_the_other(scene: CallScene) -> None:
    incoming = fork(scene).called()
    desk, mobile = scene.sent("INVITE")
    desk.answer(200, tag="desk", body=sdp("desk"))
    mobile.answer(200, tag="mobile", body=sdp("mobile"))
    first, second = incoming.responses
    for answer, left in ((second, 1), (first, 0)):
        scene.receive(within("BYE", incoming, "caller", answer=answer), FROM_BETA)
        scene.sent("BYE")[-1].answer(200)
        assert len(scene.calls) == left
    assert scene.media.only.closed == 1


def test_the_device_that_answered_is_the_one_that_is_hung_up(scene: CallScene) -> None:
    fork(scene).called()
    desk, mobile = scene.sent("INVITE")
    desk.answer(200, tag="desk", body=sdp("desk"))
    mobile.answer(487, tag="mobile")
    scene.media.only.fail("caller")
    (to_device,) = [bye for bye in scene.sent("BYE") if bye.request.to.tag == "desk"]
    assert to_device.hops[0].flow == FROM_ALICE


def test_a_callee_cannot_make_us_remember_dialogs_without_end(scene: CallScene) -> None:
    scene.talking()
    for number in range(200):
        scene.only.answer(200, tag=f"fork-{number}", body=sdp("callee"))
    assert len(only_call(scene).callee_tags) <= 32
