"""MESSAGE outside a dialog: signed by its text, verified by it, delivered to own users."""

from __future__ import annotations

import pytest

from sip.headers import Headers
from sip.message import Request
from stir.authentication import SigningRequest, msg_claims
from stir.content_digest import digest_of
from stir.identity import parse_identity
from stir.passport import parse_passport
from tests.support.call_scene import (
    ALICE,
    BOB,
    CAROL,
    FROM_ALICE,
    FROM_BETA,
    FROM_CAROL,
    CallScene,
    Incoming,
)
from tests.support.stir_authority import NOW
from tests.unit.gateway.calls.conftest import MakeScene

TEXT = b"Dinner at eight?"


def message(
    to: str = BOB, caller: str = ALICE, body: bytes = TEXT, call_id: str = "message-1@device"
) -> Request:
    fields = [
        ("Max-Forwards", "70"),
        ("From", f"<sip:{caller}@alpha.example>;tag=caller"),
        ("To", f"<sip:{to}@alpha.example>"),
        ("Call-ID", call_id),
        ("CSeq", "7 MESSAGE"),
        ("Content-Type", "text/plain"),
    ]
    return Request("MESSAGE", f"sip:{to}@alpha.example;user=phone", Headers.of(*fields), body)


def dial(scene: CallScene, request: Request) -> Incoming:
    return scene.receive(scene.authorised(request, FROM_ALICE), FROM_ALICE)


def only(scene: CallScene) -> Request:
    (sent,) = scene.sent("MESSAGE")
    return sent.request


def from_beta(scene: CallScene, signed: bytes, body: bytes = TEXT, **changes: str) -> Request:
    """A message of bob's, signed for a text."""
    plain = SigningRequest(BOB, (ALICE,), int(NOW), ppt="msg", claims=msg_claims(signed))
    request = message(ALICE, BOB, body, **changes)
    value = scene.world.signer.sign(plain)
    return request.with_headers(request.headers.append("Identity", value))


def test_a_message_needs_credentials(scene: CallScene) -> None:
    assert scene.receive(message(), FROM_ALICE).statuses == [407]
    assert scene.records.written == []


def test_a_message_leaves_signed_by_its_text(scene: CallScene) -> None:
    incoming = dial(scene, message())
    request = only(scene)
    (value,) = request.headers.all("Identity")
    passport = parse_passport(parse_identity(value).token)
    assert passport.ppt == "msg"
    assert passport.payload["msgi"] == digest_of(TEXT)
    assert passport.payload["orig"] == {"tn": ALICE.lstrip("+")}
    assert request.body == TEXT
    assert "Record-Route" not in request.headers
    scene.sent("MESSAGE")[0].answer(200)
    assert incoming.statuses == [200]
    (record,) = scene.records.written
    assert (record.direction, record.status, record.called) == ("message-outbound", 200, BOB)
    assert len(scene.calls) == 0


def test_a_message_to_an_own_user_goes_to_the_device(scene: CallScene) -> None:
    scene.register(CAROL, FROM_CAROL)
    dial(scene, message(CAROL))
    assert only(scene).request_uri.startswith("sip:device@")
    assert "Identity" not in only(scene).headers


def test_a_message_from_another_number_is_refused(scene: CallScene) -> None:
    assert dial(scene, message(caller=CAROL)).statuses[-1] == 403


def test_a_verified_message_is_delivered_with_its_mark(scene: CallScene) -> None:
    scene.register(ALICE, FROM_ALICE)
    scene.receive(from_beta(scene, TEXT), FROM_BETA)
    assert only(scene).body == TEXT
    asserted = only(scene).headers.get("P-Asserted-Identity") or ""
    assert f"{BOB};verstat=TN-Validation-Passed" in asserted


def test_a_text_that_was_changed_is_refused(scene: CallScene) -> None:
    scene.register(ALICE, FROM_ALICE)
    incoming = scene.receive(from_beta(scene, TEXT, b"Send money"), FROM_BETA)
    assert incoming.statuses == [438]
    (record,) = scene.records.written
    assert record.direction == "message-inbound"
    assert record.verdict is not None
    assert record.verdict["reason"] == "message_digest_mismatch"


def test_shaken_beside_it_does_not_make_up_for_a_changed_text(scene: CallScene) -> None:
    scene.register(ALICE, FROM_ALICE)
    forged = scene.signed(from_beta(scene, TEXT, b"Send money"))
    assert scene.receive(forged, FROM_BETA).statuses == [438]


def test_shaken_alone_is_believed_of_a_message(scene: CallScene) -> None:
    scene.register(ALICE, FROM_ALICE)
    scene.receive(scene.signed(message(ALICE, BOB)), FROM_BETA)
    assert only(scene).body == TEXT


def test_shaken_alone_binds_no_text_where_policy_wants_it_bound(make_scene: MakeScene) -> None:
    scene = make_scene(
        stir={"verification": {"trust_anchors": ["root.pem"], "require_message_digest": True}}
    )
    scene.register(ALICE, FROM_ALICE)
    assert scene.receive(scene.signed(message(ALICE, BOB)), FROM_BETA).statuses == [438]
    (record,) = scene.records.written
    assert record.verdict is not None
    assert record.verdict["reason"] == "message_digest_missing"


def test_an_unsigned_message_is_refused(scene: CallScene) -> None:
    scene.register(ALICE, FROM_ALICE)
    assert scene.receive(message(ALICE, BOB), FROM_BETA).statuses == [428]


@pytest.mark.parametrize("number", ["+12025550199"])
def test_a_message_to_nobody_of_ours_is_not_relayed(scene: CallScene, number: str) -> None:
    assert scene.receive(message(number, BOB), FROM_BETA).statuses == [404]


def test_messages_under_way_are_bounded_by_account(make_scene: MakeScene) -> None:
    scene = make_scene(peer=[{"domain": "beta.example", "max_calls": 2}])
    scene.register(ALICE, FROM_ALICE)
    for number in range(2):
        text = b"Message %d" % number
        scene.receive(from_beta(scene, text, text, call_id=f"m{number}@beta"), FROM_BETA)
    third = scene.receive(from_beta(scene, TEXT, call_id="m3@beta"), FROM_BETA)
    assert third.statuses == [503]
    for sent in scene.sent("MESSAGE"):
        sent.answer(200)
    scene.receive(from_beta(scene, TEXT, call_id="m4@beta"), FROM_BETA)
    assert len(scene.sent("MESSAGE")) == 3


def test_a_message_reaches_the_other_gateway_bound_to_its_text(make_scene: MakeScene) -> None:
    alpha = make_scene()
    beta = make_scene(
        provider={
            "domain": "beta.example",
            "numbers": ["+12125550100-+12125550199"],
            "state_directory": "state",
        },
        user=[{"username": "bob", "password": "secret", "numbers": [BOB]}],
        trunk=[],
        route=[],
    )
    beta.register(BOB, FROM_ALICE)
    dial(alpha, message())
    sent = only(alpha)
    assert beta.receive(sent.with_body(b"Send money", "text/plain"), FROM_BETA).statuses == [438]
    beta.receive(sent, FROM_BETA)
    assert only(beta).body == TEXT
