"""Where offers and answers may stand: in part of a body, in PRACK, and where they are none."""

from __future__ import annotations

from sip.message import Request
from tests.support.call_scene import ALICE, FROM_ALICE, CallScene, invite, within
from tests.support.fake_media import our_sdp, sdp

ISUP = b"\x01\x11\x48\x00\x0a"
RELIABLE = (("Require", "100rel"), ("RSeq", "1"))


def beside_isup(request: Request) -> Request:
    body = (
        b"--gw\r\nContent-Type: application/sdp\r\n\r\n" + request.body + b"\r\n"
        b"--gw\r\nContent-Type: application/isup;version=itu-t92+\r\n\r\n"
        + ISUP
        + b"\r\n--gw--\r\n"
    )
    return request.with_body(body, "multipart/mixed;boundary=gw")


def test_an_offer_beside_isup_is_replaced_and_signed(scene: CallScene) -> None:
    incoming = scene.dial(beside_isup(invite()))
    sent = scene.only.request
    assert our_sdp("offer", 1) in sent.body
    assert sdp("caller") not in sent.body
    assert ISUP in sent.body
    passport = next(iter(scene.calls.calls())).record.passport
    assert passport is not None
    assert passport["payload"]["mky"]
    scene.talking(incoming)
    assert scene.media.only.exchanged == [("offer", "caller"), ("answer", "callee")]


def test_an_offer_in_a_reliable_response_is_answered_in_prack(scene: CallScene) -> None:
    incoming = scene.dial(invite(body=b"", extra=[("Supported", "100rel")]))
    scene.only.answer(183, body=sdp("callee"), headers=RELIABLE)
    assert incoming.last.body == our_sdp("offer", 1)
    prack = within("PRACK", incoming, "caller", body=sdp("caller"), extra=[("RAck", "1 5 INVITE")])
    scene.receive(prack, FROM_ALICE)
    (sent,) = scene.sent("PRACK")
    assert sent.request.body == our_sdp("answer", 2)
    assert scene.media.only.exchanged == [("offer", "callee"), ("answer", "caller")]
    sent.answer(200)
    scene.only.answer(200)
    assert incoming.last.status_code == 200
    update = within("UPDATE", incoming, "caller", cseq=8, body=sdp("caller"))
    scene.receive(update, FROM_ALICE)
    assert scene.media.only.exchanged[-1] == ("offer", "caller")


def test_an_unreliable_response_offers_nothing(scene: CallScene) -> None:
    incoming = scene.dial(invite(body=b""))
    scene.only.answer(183, body=sdp("callee"))
    assert incoming.last.body == b""
    assert scene.media.only.exchanged == []


def test_what_somebody_can_do_is_no_offer(scene: CallScene) -> None:
    incoming = scene.talking()
    before = scene.media.only.exchanged
    asked = scene.receive(within("OPTIONS", incoming, "caller"), FROM_ALICE)
    (sent,) = scene.sent("OPTIONS")
    sent.answer(200, body=sdp("capabilities"))
    assert asked.last.body == sdp("capabilities")
    assert scene.media.only.exchanged == before


def test_media_that_died_while_it_rang_ends_the_call_when_it_is_answered(
    scene: CallScene,
) -> None:
    incoming = scene.dial()
    scene.only.answer(183, body=sdp("early"))
    scene.media.only.fail("callee", "dtls fingerprint")
    assert scene.sent("BYE") == []
    scene.only.answer(200, body=sdp("early"))
    assert incoming.last.status_code == 200
    assert len(scene.sent("BYE")) == 2
    assert len(scene.calls) == 0
    (record,) = scene.records.written
    assert record.reason == "media: dtls fingerprint"


def test_a_call_that_is_refused_after_its_media_died_sends_no_bye(scene: CallScene) -> None:
    scene.register(ALICE, FROM_ALICE)
    incoming = scene.called()
    scene.only.answer(183, body=sdp("early"))
    scene.media.only.fail("caller")
    scene.only.answer(486)
    assert incoming.last.status_code == 486
    assert scene.sent("BYE") == []
