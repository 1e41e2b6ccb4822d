"""An own PBX forwards a call: verified as it came, sent on with who forwarded it, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from sip.message import Request
from stir.passport import parse_passport
from tests.support.call_scene import (
    ALICE,
    BOB,
    FROM_ALICE,
    ROUTED,
    TRUNK_NUMBER,
    CallScene,
    Incoming,
    invite,
    make_config,
    with_flow,
)
from tests.support.stir_authority import NOW, URL
from tests.unit.gateway.calls.conftest import MakeScene

FOREIGN = "+12125550177"
TRUNK: dict[str, Any] = {
    "name": "pbx",
    "sources": ["192.0.2.32/28"],
    "numbers": [TRUNK_NUMBER, ROUTED, "+14155550188"],
    "allow_prefixes": ["+1212", "+1415"],
    "may_divert": True,
}


STIR: dict[str, Any] = {
    "authentication": {"certificate": "sti.pem", "key": "sti.key", "x5u": URL},
    "verification": {"trust_anchors": ["root.pem"]},
}


@pytest.fixture
def scene(make_scene: MakeScene) -> CallScene:
    return make_scene(trunk=[TRUNK], stir=STIR)


@pytest.mark.parametrize("missing", ["authentication", "verification"])
def test_a_trunk_cannot_forward_what_is_not_verified_and_signed(missing: str) -> None:
    stir = {name: section for name, section in STIR.items() if name != missing}
    with pytest.raises(ValidationError, match="may_divert needs"):
        make_config(trunk=[TRUNK], stir=stir)


def forwarded(
    scene: CallScene, to: str = BOB, *, dest: str = TRUNK_NUMBER, **changes: Any
) -> Request:
    """What the PBX sends: the foreign caller's From, its Identity, another Request-URI."""
    request = invite(to, caller=FOREIGN, call_id="forwarded@pbx", extra=changes.pop("extra", ()))
    value = scene.world.identity(
        **{"orig_tn": FOREIGN.lstrip("+"), "dest_tns": (dest.lstrip("+"),), **changes}
    )
    return request.with_headers(request.headers.append("Identity", value))


def send(scene: CallScene, request: Request) -> Incoming:
    return scene.receive(request, with_flow(FROM_ALICE, remote=_pbx()))


def _pbx() -> Any:
    return type(FROM_ALICE.remote)("192.0.2.33", 5060)


def payloads(request: Request) -> list[dict[str, Any]]:
    values: Sequence[str] = request.headers.all("Identity")
    return [dict(parse_passport(value.partition(";")[0]).payload) for value in values]


def test_a_forwarded_call_leaves_with_its_identity_and_a_div(scene: CallScene) -> None:
    send(scene, forwarded(scene))
    sent = scene.only.request
    original, div = payloads(sent)
    assert original["attest"] == "A"
    assert div["div"] == {"tn": TRUNK_NUMBER.lstrip("+")}
    assert div["dest"] == {"tn": [BOB.lstrip("+")]}
    assert (div["orig"], div["iat"]) == ({"tn": FOREIGN.lstrip("+")}, int(NOW))
    assert FOREIGN in (sent.headers.get("From") or "")
    assert sent.headers.all("P-Asserted-Identity") == (f"<sip:{FOREIGN}@alpha.example;user=phone>",)
    assert "Date" in sent.headers
    assert scene.resolver.asked == [(BOB, TRUNK_NUMBER)]
    scene.only.answer(486)
    (record,) = scene.records.written
    assert (record.diverted_from, record.caller, record.called) == (TRUNK_NUMBER, FOREIGN, BOB)
    assert record.verdict is not None
    assert record.verdict["outcome"] == "valid"


def test_the_keys_of_our_media_bridge_are_in_the_div(scene: CallScene) -> None:
    send(scene, forwarded(scene))
    _, div = payloads(scene.only.request)
    sent = scene.only.request.body.decode()
    assert ("a=fingerprint" in sent) is ("mky" in div)


def test_a_call_forwarded_to_an_own_user_is_marked(scene: CallScene) -> None:
    scene.register(ALICE, FROM_ALICE)
    send(scene, forwarded(scene, ALICE))
    request = scene.only.request
    assert payloads(request)[1]["dest"] == {"tn": [ALICE.lstrip("+")]}
    (asserted,) = request.headers.all("P-Asserted-Identity")
    assert f"{FOREIGN};verstat=TN-Validation-Passed" in asserted


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"iat": int(NOW) - 100}, 403),
        ({"dest": "+14155550150"}, 403),
        ({"orig_tn": "12125550178"}, 438),
        ({"orig_tn": "13035550155"}, 437),
    ],
)
def test_nothing_is_signed_on_top_of_an_identity_that_is_not_valid(
    scene: CallScene, changes: dict[str, Any], status: int
) -> None:
    incoming = send(scene, forwarded(scene, **changes))
    assert incoming.statuses == [status]
    assert scene.sent("INVITE") == []


def test_a_forged_identity_is_refused_with_its_reason(scene: CallScene) -> None:
    request = forwarded(scene)
    token, _, params = (request.headers.get("Identity") or "").partition(";")
    forged = request.headers.replace("Identity", f"{token[:-8]}AAAAAAAA;{params}")
    incoming = send(scene, request.with_headers(forged))
    assert incoming.statuses == [438]
    assert incoming.last.headers.all("Reason")[0].startswith("STIR;cause=438")


def test_a_loop_back_to_the_number_that_forwards_is_refused(scene: CallScene) -> None:
    incoming = send(scene, forwarded(scene, ROUTED, dest=ROUTED))
    assert incoming.statuses == [403]
    assert "circle" in (incoming.last.headers.get("Reason") or "")


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (("Diversion", f"<sip:{TRUNK_NUMBER}@pbx.example>;reason=user-busy"), None),
        (("Diversion", "<sip:+14155550188@pbx.example>"), 403),
        (
            ("History-Info", f"<sip:{TRUNK_NUMBER}@a.example>;index=1, <sip:{BOB}@b>;index=1.1"),
            None,
        ),
    ],
)
def test_diversion_and_history_info_have_to_agree(
    scene: CallScene, header: tuple[str, str], status: int | None
) -> None:
    incoming = send(scene, forwarded(scene, extra=(header,)))
    if status is None:
        assert len(payloads(scene.only.request)) == 2
    else:
        assert incoming.statuses == [status]


def test_diversion_chooses_among_several_own_numbers(scene: CallScene) -> None:
    both = (TRUNK_NUMBER.lstrip("+"), "14155550188")
    assert send(scene, forwarded(scene, dest_tns=both)).statuses == [403]
    header = ("Diversion", "<sip:+14155550188@pbx.example>")
    request = forwarded(scene, dest_tns=both, extra=(header,))
    send(scene, request.with_headers(request.headers.replace("Call-ID", "other@pbx")))
    assert payloads(scene.only.request)[1]["div"] == {"tn": "14155550188"}


def test_a_trunk_that_may_not_divert_is_refused(make_scene: MakeScene) -> None:
    scene = make_scene(trunk=[{**TRUNK, "may_divert": False}])
    assert send(scene, forwarded(scene)).statuses == [403]


def test_a_call_of_the_trunk_itself_is_signed_afresh(scene: CallScene) -> None:
    request = forwarded(scene)
    own = request.headers.replace("From", f"<sip:{TRUNK_NUMBER}@alpha.example>;tag=pbx")
    send(scene, request.with_headers(own))
    (shaken,) = payloads(scene.only.request)
    assert shaken["orig"] == {"tn": TRUNK_NUMBER.lstrip("+")}


def test_a_forwarded_call_without_identity_is_not_the_trunks_to_make(scene: CallScene) -> None:
    request = forwarded(scene)
    assert send(scene, request.with_headers(request.headers.without("Identity"))).statuses == [403]


def test_a_trunk_forwards_only_where_it_may_call(scene: CallScene) -> None:
    assert send(scene, forwarded(scene, "+13035550155")).statuses == [403]
