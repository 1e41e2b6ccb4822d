"""Own users and trunks call: who they are, from which number, to where, signed."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from gateway.call_facts import call_facts
from media.session import MediaRefused
from sip.message import Request
from stir.identity import parse_identity
from stir.passport import parse_passport
from tests.support.call_scene import (
    ALICE,
    BETA_SERVER,
    BOB,
    CAROL,
    DAVE,
    FROM_ALICE,
    FROM_CAROL,
    FROM_TRUNK,
    PASSWORD,
    ROUTED,
    TRUNK_NUMBER,
    CallScene,
    invite,
)
from tests.support.fake_media import sdp
from tests.support.stir_authority import NOW
from tests.unit.gateway.calls.conftest import MakeScene

TRUNK = {
    "name": "pbx",
    "sources": ["192.0.2.32/28"],
    "numbers": [TRUNK_NUMBER],
    "allow_prefixes": ["+1212", "+1415"],
}


def payload_of(request: Request) -> Mapping[str, object]:
    (value,) = request.headers.all("Identity")
    return parse_passport(parse_identity(value).token).payload


def test_a_caller_without_credentials_is_challenged_and_leaves_no_trace(scene: CallScene) -> None:
    incoming = scene.receive(invite(), FROM_ALICE)
    assert incoming.statuses == [407]
    assert len(incoming.last.headers.all("Proxy-Authenticate")) == 2
    assert scene.records.written == []
    assert len(scene.control) == len(scene.calls) == 0


def test_an_authorised_call_leaves_for_the_provider_that_was_found(scene: CallScene) -> None:
    scene.dial()
    assert scene.resolver.asked == [(BOB, ALICE)]
    assert scene.only.request.request_uri == f"sip:{BOB}@beta.example;user=phone"
    hop = scene.only.hops[0]
    assert (hop.transport, hop.address.host, hop.listener) == ("tls", BETA_SERVER.host, "peers")
    assert hop.tls_name == "beta.example"


def test_a_call_leaves_signed_for_the_fingerprints_that_leave_with_it(scene: CallScene) -> None:
    scene.dial()
    request = scene.only.request
    (value,) = request.headers.all("Identity")
    payload = parse_passport(parse_identity(value).token).payload
    assert payload["orig"] == {"tn": ALICE.lstrip("+")}
    assert payload["dest"] == {"tn": [BOB.lstrip("+")]}
    assert payload["attest"] == "A"
    assert "mky" in payload
    assert request.headers.get("Date") is not None
    assert call_facts(request).date == int(NOW)


def test_credentials_and_what_the_caller_asserts_do_not_leave(scene: CallScene) -> None:
    asserted = ("P-Asserted-Identity", "<sip:+19005550199@alpha.example>")
    scene.dial(invite(extra=(asserted, ("Identity", "forged"))))
    headers = scene.only.request.headers
    assert "Proxy-Authorization" not in headers
    assert headers.all("P-Asserted-Identity") == (f"<sip:{ALICE}@alpha.example;user=phone>",)
    assert "forged" not in headers.all("Identity")


def test_both_sides_of_the_gateway_are_in_the_route_the_callee_first(scene: CallScene) -> None:
    scene.dial()
    top, bottom = scene.only.request.record_routes
    assert "gw1.alpha.example:5061;transport=tls" in str(top)
    assert "192.0.2.10:5060;transport=udp" in str(bottom)


def test_a_from_number_of_somebody_else_is_403(scene: CallScene) -> None:
    incoming = scene.dial(invite(caller=CAROL))
    assert incoming.statuses == [403]
    assert scene.sent("INVITE") == []
    (record,) = scene.records.written
    assert (record.status, record.direction) == (403, "outbound")


@pytest.mark.parametrize("shown", ["anonymous", "alice"])
def test_a_caller_who_shows_no_number_calls_from_the_first(scene: CallScene, shown: str) -> None:
    scene.dial(invite(caller=shown))
    assert scene.resolver.asked == [(BOB, ALICE)]


def test_a_preferred_identity_counts_before_from(scene: CallScene) -> None:
    preferred = ("P-Preferred-Identity", f"<tel:{CAROL}>")
    assert scene.dial(invite(extra=(preferred,))).statuses == [403]


def test_a_malformed_preferred_identity_is_400(scene: CallScene) -> None:
    incoming = scene.receive(invite(extra=(("P-Preferred-Identity", "<<>"),)), FROM_ALICE)
    assert incoming.statuses == [400]


def test_a_number_that_is_not_found_is_404_with_what_was_asked(scene: CallScene) -> None:
    incoming = scene.dial(invite("+12125550199"))
    assert incoming.statuses == [404]
    (reason,) = incoming.last.headers.all("Reason")
    assert reason == 'SIP;cause=404;text="number not found: spin: no answer"'
    (record,) = scene.records.written
    assert record.discovery is not None
    assert record.reason == reason


def test_a_uri_that_is_none_is_left_out_and_the_next_one_called(scene: CallScene) -> None:
    scene.resolver.found[BOB] = (f"sip:{BOB}@beta.example;x=1;x=2", "sip:bob@beta.example")
    scene.dial()
    assert scene.only.request.request_uri == "sip:bob@beta.example"


def test_a_number_found_at_no_sip_uri_is_404(scene: CallScene) -> None:
    scene.resolver.found[BOB] = ("mailto:bob@beta.example",)
    assert scene.dial().statuses == [404]


@pytest.mark.parametrize(
    ("uri", "status"),
    [("sip:nobody@alpha.example", 404), ("urn:service:sos", 416), (f"tel:{BOB}", None)],
)
def test_what_is_dialled_has_to_be_a_telephone_number(
    scene: CallScene, uri: str, status: int | None
) -> None:
    incoming = scene.dial(invite().with_uri(uri))
    assert incoming.statuses == ([] if status is None else [status])


def test_a_stale_date_of_the_caller_is_403_and_frees_the_media(scene: CallScene) -> None:
    incoming = scene.dial(invite(extra=(("Date", "Thu, 01 Jan 2015 00:00:00 GMT"),)))
    assert (incoming.statuses, incoming.last.reason_phrase) == ([403], "Stale Date")
    assert scene.media.only.closed == 1
    assert len(scene.calls) == 0


def test_without_an_authentication_service_calls_leave_unsigned(make_scene: MakeScene) -> None:
    scene = make_scene(signs=False)
    scene.dial()
    assert "Identity" not in scene.only.request.headers


def test_an_account_over_its_limit_is_403_until_a_call_ends(scene: CallScene) -> None:
    first, second = (scene.dial(invite(call_id=f"call-{n}")) for n in (1, 2))
    assert scene.dial(invite(call_id="call-3")).statuses == [403]
    assert first.statuses == second.statuses == []
    scene.sent("INVITE")[0].answer(486)
    assert scene.dial(invite(call_id="call-4")).statuses == []


def test_a_full_gateway_answers_503(make_scene: MakeScene) -> None:
    scene = make_scene(sip={"max_calls": 1})
    scene.dial()
    assert scene.dial(invite(call_id="call-2")).statuses == [503]


def test_a_full_media_engine_answers_503(scene: CallScene) -> None:
    scene.media.full = True
    assert scene.dial().statuses == [503]
    assert len(scene.calls) == 0


def test_an_offer_that_is_refused_ends_the_call_with_its_status(scene: CallScene) -> None:
    scene.media.troubles = [MediaRefused(488, "nothing we speak")]
    incoming = scene.dial()
    assert incoming.statuses == [488]
    assert scene.media.only.closed == 1
    assert len(scene.control) == 0


def test_a_fault_of_our_own_is_answered_500(scene: CallScene) -> None:
    scene.media.troubles = [ZeroDivisionError()]
    assert scene.dial().statuses == [500]
    assert len(scene.calls) == len(scene.control) == 0


def test_a_trunk_calls_without_password_from_its_own_numbers(scene: CallScene) -> None:
    scene.receive(invite(caller=TRUNK_NUMBER), FROM_TRUNK)
    assert scene.resolver.asked == [(BOB, TRUNK_NUMBER)]
    assert scene.media.only.profiles["caller"].kind == "as_offered"


def test_a_trunk_with_another_number_is_403(scene: CallScene) -> None:
    assert scene.receive(invite(caller=ALICE), FROM_TRUNK).statuses == [403]


def test_an_anonymous_call_of_a_trunk_is_433_without_a_default_number(scene: CallScene) -> None:
    assert scene.receive(invite(caller="anonymous"), FROM_TRUNK).statuses == [433]


def test_a_trunk_may_assert_the_number_that_from_hides(scene: CallScene) -> None:
    asserted = ("P-Asserted-Identity", f"<sip:{TRUNK_NUMBER}@pbx.example>")
    scene.receive(invite(caller="anonymous", extra=(asserted,)), FROM_TRUNK)
    assert payload_of(scene.only.request)["orig"] == {"tn": TRUNK_NUMBER.lstrip("+")}


def test_what_a_trunk_asserts_beside_a_number_it_shows_does_not_count(scene: CallScene) -> None:
    asserted = ("P-Asserted-Identity", f"<sip:{ALICE}@pbx.example>")
    scene.receive(invite(caller=TRUNK_NUMBER, extra=(asserted,)), FROM_TRUNK)
    assert payload_of(scene.only.request)["orig"] == {"tn": TRUNK_NUMBER.lstrip("+")}


def test_a_call_in_transit_is_signed_with_the_level_of_the_trunk(make_scene: MakeScene) -> None:
    carrier = {**TRUNK, "unknown_numbers": "C"}
    scene = make_scene(trunk=[carrier])
    scene.receive(invite(caller="+442079460018"), FROM_TRUNK)
    payload = payload_of(scene.only.request)
    assert (payload["orig"], payload["attest"]) == ({"tn": "442079460018"}, "C")


def test_a_rule_decides_what_a_call_is_attested(make_scene: MakeScene) -> None:
    origid = "123e4567-e89b-42d3-a456-426614174000"
    scene = make_scene(attestation=[{"users": ["alice"], "attest": "C", "origid": origid}])
    scene.dial()
    payload = payload_of(scene.only.request)
    assert (payload["attest"], payload["origid"]) == ("C", origid)


def test_a_rule_can_leave_a_call_unsigned(make_scene: MakeScene) -> None:
    scene = make_scene(attestation=[{"attest": "none"}])
    scene.dial()
    assert "Identity" not in scene.only.request.headers


def test_local_calls_are_signed_by_rule_only(make_scene: MakeScene) -> None:
    for rules, signed in (([], False), ([{"directions": ["local"], "attest": "A"}], True)):
        scene = make_scene(attestation=rules)
        scene.register(CAROL, FROM_CAROL)
        scene.dial(invite(CAROL))
        assert ("Identity" in scene.only.request.headers) is signed


def test_own_users_may_want_no_anonymous_calls_from_each_other(make_scene: MakeScene) -> None:
    carol = {"username": "carol", "password": "x", "numbers": [CAROL], "refuse_anonymous": True}
    alice = {"username": "alice", "password": PASSWORD, "numbers": [ALICE]}
    scene = make_scene(user=[alice, carol])
    scene.register(CAROL, FROM_CAROL)
    assert scene.dial(invite(CAROL, extra=(("Privacy", "id"),))).statuses == [433]
    scene.dial(invite(CAROL))
    assert len(scene.sent("INVITE")) == 1


def test_a_trunk_may_not_call_prefixes_outside_its_list(scene: CallScene) -> None:
    incoming = scene.receive(invite("+442079460018", caller=TRUNK_NUMBER), FROM_TRUNK)
    assert incoming.statuses == [403]


def test_a_call_to_an_own_number_stays_in_the_house(scene: CallScene) -> None:
    scene.register(CAROL, FROM_CAROL)
    scene.dial(invite(CAROL))
    assert scene.resolver.asked == []
    assert scene.only.hops[0].flow == FROM_CAROL
    assert "Identity" not in scene.only.request.headers
    assert {side: p.network for side, p in scene.media.only.profiles.items()} == {
        "caller": "access",
        "callee": "access",
    }
    assert scene.calls.calls()[0].direction == "local"


def test_an_own_user_without_device_is_480_and_a_free_number_404(scene: CallScene) -> None:
    assert scene.dial(invite(CAROL)).statuses == [480]
    assert scene.dial(invite("+14155550199", call_id="call-2")).statuses == [404]


def test_a_routed_number_goes_to_its_next_hop(scene: CallScene) -> None:
    scene.dial(invite(ROUTED))
    assert scene.only.request.request_uri == f"sip:{ROUTED}@192.0.2.40:5060;transport=udp"
    assert scene.only.hops[0].listener == "access"


def test_media_of_a_user_that_passes_is_not_anchored(scene: CallScene) -> None:
    scene.register(DAVE, FROM_CAROL)
    scene.dial(invite(DAVE))
    assert scene.media.sessions == []
    assert scene.only.request.body == sdp("caller")


def test_passing_all_media_leaves_every_body_alone(make_scene: MakeScene) -> None:
    scene = make_scene(media={"mode": "pass"})
    incoming = scene.talking()
    assert scene.only.request.body == sdp("caller")
    assert incoming.last.body == sdp("callee")


def test_a_domain_that_nobody_serves_is_480_or_500_but_answered(scene: CallScene) -> None:
    scene.dns.known = {}
    incoming = scene.dial()
    assert len(incoming.statuses) == 1
    assert incoming.statuses[0] >= 400
    assert len(scene.calls) == 0
