"""Other providers call: verified, judged by policy, marked, delivered to nobody but own users."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.asserted_headers import called_number
from media.session import MediaRefused
from sip.message import Request
from stir.certificates.certificate import CredentialUnavailable
from tests.support.call_scene import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    FROM_ALICE,
    FROM_BETA,
    FROM_CAROL,
    ROUTED,
    CallScene,
    from_beta,
    with_flow,
    within,
)
from tests.support.fake_media import sdp
from tests.support.stir_authority import NOW, URL
from tests.unit.gateway.calls.conftest import MakeScene


@pytest.fixture
def home(scene: CallScene) -> CallScene:
    """A scene where alice's device is registered."""
    scene.register(ALICE, FROM_ALICE)
    return scene


def replace_from(request: Request, value: str) -> Request:
    return request.with_headers(request.headers.replace("From", value))


def policy(identity: str) -> dict[str, Any]:
    return {"peer": [{"domain": "beta.example", "identity": identity}]}


def test_a_verified_call_is_delivered_with_its_mark(home: CallScene) -> None:
    home.called()
    request = home.only.request
    assert home.certificates.asked == [URL]
    assert home.only.hops[0].flow == FROM_ALICE
    assert request.headers.all("P-Asserted-Identity") == (
        f"<sip:{BOB};verstat=TN-Validation-Passed@alpha.example;user=phone>",
    )


def test_the_record_of_a_call_holds_every_check(home: CallScene) -> None:
    incoming = home.called()
    home.only.answer(486)
    (record,) = home.records.written
    assert incoming.statuses == [486]
    assert record.verdict is not None
    assert record.verdict["outcome"] == "valid"
    assert {check["step"] for check in record.verdict["checks"]} >= {"chain", "authority"}
    assert (record.caller, record.called) == (BOB, ALICE)
    assert (record.account, record.policy) == ("beta.example", "require") or record.policy


def test_a_call_without_identity_is_428_with_the_stir_reason(home: CallScene) -> None:
    incoming = home.called(from_beta())
    assert incoming.statuses == [428]
    assert incoming.last.headers.all("Reason")[0].startswith("STIR")
    assert home.sent("INVITE") == []


def test_a_forged_identity_is_438(home: CallScene) -> None:
    request = home.signed(from_beta())
    value = request.headers.get("Identity") or ""
    token, _, params = value.partition(";")
    forged = f"{token[:-6]}AAAAAA;{params}"
    incoming = home.called(request.with_headers(request.headers.replace("Identity", forged)))
    assert incoming.statuses == [438]


def test_a_certificate_that_cannot_be_had_is_436(home: CallScene) -> None:
    home.certificates.credential = CredentialUnavailable("timeout", "certs.beta.example")
    assert home.called().statuses == [436]


def test_a_replayed_identity_is_refused(home: CallScene) -> None:
    request = home.signed(from_beta())
    home.called(request)
    again = request.with_headers(request.headers.replace("Call-ID", "other@beta"))
    assert home.called(again).statuses[0] >= 400


def test_a_marking_policy_delivers_what_failed_and_says_so(make_scene: MakeScene) -> None:
    scene = make_scene(**policy("mark"))
    scene.register(ALICE, FROM_ALICE)
    scene.called(from_beta())
    (asserted,) = scene.only.request.headers.all("P-Asserted-Identity")
    assert f"{BOB};verstat=No-TN-Validation" in asserted


def test_an_observing_policy_delivers_unmarked(make_scene: MakeScene) -> None:
    scene = make_scene(**policy("observe"))
    scene.register(ALICE, FROM_ALICE)
    scene.called(from_beta())
    assert "P-Asserted-Identity" not in scene.only.request.headers


@pytest.mark.parametrize("lenient", ["mark", "observe"])
def test_what_a_strict_policy_would_have_refused_is_written_down(
    make_scene: MakeScene, lenient: str
) -> None:
    scene = make_scene(**policy(lenient))
    scene.register(ALICE, FROM_ALICE)
    scene.called(from_beta())
    scene.only.answer(486)
    (record,) = scene.records.written
    assert (record.would_refuse, record.status) == (428, 486)
    assert 'spingate_calls_spared_total{status="428"} 1.0' in scene.metrics.exposition().decode()


def test_a_verified_call_would_have_passed_anyway(make_scene: MakeScene) -> None:
    scene = make_scene(**policy("observe"))
    scene.register(ALICE, FROM_ALICE)
    scene.called()
    scene.only.answer(486)
    (record,) = scene.records.written
    assert record.would_refuse is None


def anonymous(extra: tuple[tuple[str, str], ...] = ()) -> Request:
    return replace_from(from_beta(extra=extra), "<sip:anonymous@anonymous.invalid>;tag=b1")


@pytest.mark.parametrize("hidden", ["from", "privacy"])
@pytest.mark.parametrize("by", ["verification", "peer", "user"])
def test_anonymous_callers_are_433_where_they_are_not_wanted(
    make_scene: MakeScene, by: str, hidden: str
) -> None:
    anchors = {"trust_anchors": ["root.pem"]}
    sections: dict[str, dict[str, Any]] = {
        "verification": {
            "stir": {"verification": {**anchors, "anonymous_callers": "refuse"}},
        },
        "peer": {"peer": [{"domain": "beta.example", "anonymous_callers": "refuse"}]},
        "user": {
            "user": [
                {"username": "alice", "password": "x", "numbers": [ALICE], "refuse_anonymous": True}
            ]
        },
    }
    scene = make_scene(**sections[by])
    scene.register(ALICE, FROM_ALICE)
    request = anonymous() if hidden == "from" else from_beta(extra=(("Privacy", "id"),))
    assert scene.called(scene.signed(request)).statuses == [433]
    assert scene.certificates.asked == []
    assert scene.called(scene.signed(from_beta())).statuses != [433]


def test_an_anonymous_caller_is_spared_where_policy_only_observes(make_scene: MakeScene) -> None:
    peer = {"domain": "beta.example", "identity": "observe", "anonymous_callers": "refuse"}
    scene = make_scene(peer=[peer])
    scene.register(ALICE, FROM_ALICE)
    scene.called(scene.signed(anonymous()))
    scene.only.answer(486)
    (record,) = scene.records.written
    assert record.would_refuse == 433


TRUSTING = {"peer": [{"domain": "beta.example", "trust_verstat": True}]}


def stating(verstat: str) -> Request:
    return replace_from(from_beta(), f"<sip:{BOB};verstat={verstat}@beta.example>;tag=b1")


def test_a_peer_that_verifies_for_us_is_believed(make_scene: MakeScene) -> None:
    scene = make_scene(**TRUSTING)
    scene.register(ALICE, FROM_ALICE)
    scene.called(stating("TN-Validation-Passed-B"))
    (asserted,) = scene.only.request.headers.all("P-Asserted-Identity")
    assert f"{BOB};verstat=TN-Validation-Passed@" in asserted
    assert scene.certificates.asked == []


@pytest.mark.parametrize("verstat", ["TN-Validation-Passed", "TN-Validation-Passed-A"])
def test_what_it_verified_of_one_number_is_not_shown_of_another(
    make_scene: MakeScene, verstat: str
) -> None:
    scene = make_scene(**TRUSTING)
    request = replace_from(from_beta(), "<sip:+13035550155@beta.example>;tag=b1")
    asserted = f"<sip:{BOB};verstat={verstat}@beta.example>"
    headers = request.headers.append("P-Asserted-Identity", asserted)
    assert scene.called(request.with_headers(headers)).statuses == [428]


@pytest.mark.parametrize(
    ("verstat", "status"), [("TN-Validation-Failed", 438), ("No-TN-Validation", 428)]
)
def test_what_it_could_not_verify_is_refused_as_ever(
    make_scene: MakeScene, verstat: str, status: int
) -> None:
    scene = make_scene(**TRUSTING)
    assert scene.called(stating(verstat)).statuses == [status]


def test_its_word_does_not_outweigh_a_forged_identity(make_scene: MakeScene) -> None:
    scene = make_scene(**TRUSTING)
    request = stating("TN-Validation-Passed")
    headers = request.headers.append("Identity", "a.b.c;info=<https://x.example/y>")
    assert scene.called(request.with_headers(headers)).statuses == [438]


def test_nobody_elses_word_counts(home: CallScene) -> None:
    assert home.called(stating("TN-Validation-Passed")).statuses == [428]


def test_the_route_reads_verdicts_in_its_own_dialect(make_scene: MakeScene) -> None:
    route = {"numbers": [ROUTED], "uri": "sip:{number}@192.0.2.40:5060", "verstat": "pbx"}
    dialect = {"name": "pbx", "header": "From", "levels": "all", "place": "uri"}
    scene = make_scene(route=[route], verstat=[dialect])
    incoming = scene.called(scene.signed(from_beta(ROUTED), dest=ROUTED))
    shown = scene.only.request.headers.get("From") or ""
    assert "verstat=TN-Validation-Passed-A" in shown
    scene.only.answer(486)
    # the caller is answered with the From it sent
    assert "verstat" not in (incoming.last.headers.get("From") or "")


def test_the_policy_of_another_peer_does_not_count(make_scene: MakeScene) -> None:
    scene = make_scene(**policy("mark"))
    scene.register(ALICE, FROM_ALICE)
    stranger = with_flow(FROM_BETA, peer_names=("gamma.example",))
    assert scene.receive(from_beta(), stranger).statuses == [428]


def test_nothing_is_relayed_to_other_domains(home: CallScene) -> None:
    elsewhere = from_beta().with_uri(f"sip:{BOB}@gamma.example")
    incoming = home.called(elsewhere)
    assert incoming.statuses == [403]
    assert home.certificates.asked == []


@pytest.mark.parametrize("to", [BOB, "nobody", "12"])
def test_a_number_of_somebody_else_is_404_and_costs_no_verification(
    home: CallScene, to: str
) -> None:
    incoming = home.called(home.signed(from_beta(to)))
    assert incoming.statuses == [404]
    assert home.certificates.asked == []


def test_an_own_number_without_device_is_480_after_verification(scene: CallScene) -> None:
    incoming = scene.called()
    assert incoming.statuses == [480]
    assert scene.certificates.asked == [URL]


def test_an_own_number_that_nobody_has_is_404(scene: CallScene) -> None:
    free = "+14155550150"
    assert scene.called(scene.signed(from_beta(free), dest=free)).statuses == [404]


def test_a_broken_database_makes_a_user_unreachable_not_unknown(home: CallScene) -> None:
    home.bindings.broken = True
    assert home.called().statuses == [480]


def test_a_contact_whose_connection_is_gone_is_not_called(scene: CallScene) -> None:
    scene.register(CAROL, FROM_CAROL)
    scene.transports.open.clear()
    assert scene.called(scene.signed(from_beta(CAROL), dest=CAROL)).statuses == [480]


def test_a_number_with_a_route_goes_to_the_next_hop(scene: CallScene) -> None:
    scene.called(scene.signed(from_beta(ROUTED), dest=ROUTED))
    assert scene.only.hops[0].address.host == "192.0.2.40"
    assert scene.media.only.profiles["callee"].kind == "rtp"


def test_a_peer_over_its_limit_is_503(make_scene: MakeScene) -> None:
    scene = make_scene(peer=[{"domain": "beta.example", "max_calls": 1}])
    scene.register(ALICE, FROM_ALICE)
    scene.called()
    second = scene.signed(from_beta()).headers.replace("Call-ID", "second@beta")
    assert scene.called(from_beta().with_headers(second)).statuses == [503]


def test_calls_are_refused_where_nothing_verifies_them(make_scene: MakeScene) -> None:
    scene = make_scene(verifies=False)
    scene.register(ALICE, FROM_ALICE)
    assert scene.called().statuses == [501]


def test_media_is_dtls_towards_peers_and_what_the_user_speaks_at_home(home: CallScene) -> None:
    home.called()
    profiles = home.media.only.profiles
    assert (profiles["caller"].kind, profiles["caller"].network) == ("webrtc", "peers")
    assert (profiles["callee"].kind, profiles["callee"].network) == ("sdes", "access")


def test_a_user_whose_media_passes_gets_the_callers_own_offer(scene: CallScene) -> None:
    scene.register(DAVE, FROM_CAROL)
    scene.called(scene.signed(from_beta(DAVE), dest=DAVE))
    assert scene.media.sessions == []
    assert scene.only.request.body == sdp("caller")


def test_an_offer_that_is_not_encrypted_is_refused(home: CallScene) -> None:
    home.media.troubles = [MediaRefused(488, "not protected")]
    assert home.called().statuses == [488]
    assert len(home.calls) == 0


def test_all_devices_of_a_user_ring_and_the_preferred_ones_first(scene: CallScene) -> None:
    scene.register(ALICE, FROM_ALICE, "desk", q=0.5)
    scene.register(ALICE, FROM_CAROL, "mobile", q=1.0)
    incoming = scene.called()
    (mobile,) = scene.sent("INVITE")
    assert mobile.request.request_uri.startswith("sip:mobile@")
    mobile.answer(480)
    _, desk = scene.sent("INVITE")
    assert desk.request.request_uri.startswith("sip:desk@")
    desk.answer(486)
    assert incoming.statuses == [486]


def test_a_number_is_read_from_tel_and_sip_uris() -> None:
    from sip.uri import parse_uri

    assert called_number(parse_uri(f"tel:{ALICE}")) == ALICE
    assert called_number(parse_uri(f"sip:{ALICE}@alpha.example")) == ALICE
    assert called_number(parse_uri("sip:4155550100@alpha.example;user=phone")) is None
    assert called_number(parse_uri("sip:alice@alpha.example")) is None


def test_time_does_not_pass_by_itself(scene: CallScene) -> None:
    assert scene.now() == NOW


def test_a_stranger_transfers_no_device_to_a_number_of_its_choice(home: CallScene) -> None:
    incoming = home.called()
    home.only.answer(200, body=sdp("callee"))
    refer = within("REFER", incoming, "caller", extra=[("Refer-To", "<tel:+19005550100>")])
    answered = home.receive(refer, FROM_BETA)
    assert answered.statuses == [403]
    assert home.sent("REFER") == []
    by_device = home.receive(within("REFER", incoming, "callee"), FROM_ALICE)
    (sent,) = home.sent("REFER")
    sent.answer(202)
    assert by_device.statuses == [202]


def test_a_sips_call_is_delivered_over_tls_alone(scene: CallScene) -> None:
    scene.register(ALICE, FROM_ALICE)
    secure = scene.signed(from_beta()).with_uri(f"sips:{ALICE}@alpha.example")
    assert scene.called(secure).statuses == [480]
    over_tls = with_flow(FROM_ALICE, transport="tls", flow_id=9)
    scene.register(ALICE, over_tls)
    scene.called(secure)
    assert [hop.transport for hop in scene.only.hops] == ["tls"]
