"""Who answered: signed for own users, verified of others, and what follows for the mapping."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.call_facts import answer_facts
from stir.authentication import SigningRequest
from stir.certificates.certificate import CredentialUnavailable
from tests.support.call_scene import ALICE, BOB, FROM_ALICE, CallScene, from_beta, invite
from tests.support.fake_endpoint import Sent
from tests.support.fake_media import sdp
from tests.support.stir_authority import NOW
from tests.unit.gateway.calls.conftest import MakeScene

OTHER = "+12125550150"
SIGNS: dict[str, Any] = {
    "stir": {
        "authentication": {
            "certificate": "sti.pem",
            "key": "sti.key",
            "x5u": "https://certs.alpha.example/sti.pem",
            "sign_answers": True,
        },
        "verification": {"trust_anchors": ["root.pem"]},
    }
}


def _said(scene: CallScene, **changes: Any) -> str:
    values: dict[str, Any] = {
        "orig_tn": ALICE,
        "dest_tns": (BOB,),
        "iat": int(scene.now()),
        "ppt": "rsp",
        "claims": {},
        **changes,
    }
    return scene.world.signer.sign(SigningRequest(**values))


def _answer(sent: Sent, *identities: str) -> None:
    headers = [("Identity", value) for value in identities]
    sent.answer(200, body=sdp("callee"), headers=headers)


def _connected(scene: CallScene) -> dict[str, Any] | None:
    (call,) = scene.calls.calls()
    return call.record.connected


def test_who_answered_is_verified_and_written_down(scene: CallScene) -> None:
    incoming = scene.dial()
    _answer(scene.only, _said(scene))
    assert incoming.statuses[-1] == 200
    assert _connected(scene) == {"outcome": "valid", "reason": None}
    assert scene.resolver.forgotten == []


def test_two_answers_of_one_second_are_no_replay(scene: CallScene) -> None:
    value = _said(scene)
    for call_id in ("one@device", "two@device"):
        scene.dial(invite(call_id=call_id))
        _answer(scene.sent("INVITE")[-1], value)
    assert [call.record.connected for call in scene.calls.calls()] == [
        {"outcome": "valid", "reason": None}
    ] * 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dest_tns": (OTHER,)}, "destination_mismatch"),
        ({"orig_tn": OTHER}, "originator_mismatch"),
        ({"iat": int(NOW) - 3600}, "stale_date"),
        ({"fingerprints": (("sha-256", ":".join(["AB"] * 32)),)}, "media_keys_mismatch"),
    ],
)
def test_an_answer_that_does_not_fit_costs_the_mapping_but_not_the_call(
    scene: CallScene, changes: dict[str, Any], reason: str
) -> None:
    incoming = scene.dial()
    _answer(scene.only, _said(scene, **changes))
    assert incoming.statuses[-1] == 200
    found = _connected(scene)
    assert found == {"outcome": "invalid", "reason": reason}
    assert scene.resolver.forgotten == [BOB]


def test_a_number_outside_of_the_certificate_cannot_answer(scene: CallScene) -> None:
    scene.resolver.found["+12125550999"] = ("sip:x@beta.example",)
    scene.dial(invite("+12125550999"))
    _answer(scene.only, _said(scene, dest_tns=("+12125550999",)))
    found = _connected(scene)
    assert found is not None
    assert found["outcome"] == "invalid"
    assert scene.resolver.forgotten == ["+12125550999"]


def test_nothing_is_forgotten_where_nothing_is_said_or_it_cannot_be_checked(
    scene: CallScene,
) -> None:
    scene.dial()
    scene.certificates.credential = CredentialUnavailable("no answer", "certs.alpha.example")
    _answer(scene.only, _said(scene))
    found = _connected(scene)
    assert found is not None
    assert found["outcome"] == "unavailable"
    assert scene.resolver.forgotten == []


@pytest.mark.parametrize(
    "values", [(), ("nonsense",), ("a.b.c;info=<https://x.example/>;ppt=div",)]
)
def test_other_identities_in_an_answer_are_not_looked_at(
    scene: CallScene, values: tuple[str, ...]
) -> None:
    scene.dial()
    _answer(scene.only, *values)
    assert _connected(scene) is None
    assert scene.certificates.asked == []


def test_a_flood_of_identities_in_an_answer_costs_two_looks(scene: CallScene) -> None:
    scene.dial()
    _answer(scene.only, *["x.y.z;info=<https://x.example/>;alg=ES256;ppt=rsp"] * 50)
    found = _connected(scene)
    assert found is not None
    assert found["outcome"] == "invalid"


def test_an_own_user_who_answers_is_signed_for(make_scene: MakeScene) -> None:
    scene = make_scene(**SIGNS)
    scene.register(ALICE, FROM_ALICE)
    incoming = scene.talking(scene.called())
    (value,) = incoming.last.headers.all("Identity")
    assert value.endswith(";ppt=rsp")
    verdict = scene.world.verify(
        value, facts=answer_facts(incoming.last, orig=BOB, dest=ALICE)
    ).verdicts[0]
    assert verdict.outcome == "valid"
    scene.only.answer(200, body=sdp("callee"))
    assert incoming.last.headers.all("Identity") == (value,)


def test_nothing_is_signed_where_it_is_not_wanted_or_the_caller_proved_nothing(
    scene: CallScene, make_scene: MakeScene
) -> None:
    scene.register(ALICE, FROM_ALICE)
    assert "Identity" not in scene.talking(scene.called()).last.headers
    marking = make_scene(**SIGNS, peer=[{"domain": "beta.example", "identity": "mark"}])
    marking.register(ALICE, FROM_ALICE)
    incoming = marking.talking(marking.called(from_beta()))
    assert "Identity" not in incoming.last.headers


def test_a_call_cannot_be_made_with_what_is_said_in_answers(scene: CallScene) -> None:
    scene.register(ALICE, FROM_ALICE)
    value = _said(scene, orig_tn=BOB, dest_tns=(ALICE,))
    request = from_beta()
    request = request.with_headers(request.headers.append("Identity", value))
    assert scene.called(request).statuses == [438]
