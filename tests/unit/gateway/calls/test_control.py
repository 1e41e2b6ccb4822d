"""What becomes of a request by its method, its dialog and where it came from."""

from __future__ import annotations

import pytest

from sip.headers import Headers
from sip.message import Request
from tests.support.call_scene import (
    ALICE,
    BOB,
    FROM_ALICE,
    FROM_BETA,
    FROM_TRUNK,
    CallScene,
    invite,
    with_flow,
    within,
)
from tests.support.fake_media import sdp


def outside(method: str, uri: str = "sip:alpha.example") -> Request:
    """A request outside any dialog."""
    fields = [
        ("Max-Forwards", "70"),
        ("From", "<sip:x@beta.example>;tag=x"),
        ("To", f"<{uri}>"),
        ("Call-ID", "out@x"),
        ("CSeq", f"1 {method}"),
    ]
    return Request(method, uri, Headers.of(*fields))


@pytest.mark.parametrize("flow", [FROM_ALICE, FROM_BETA])
@pytest.mark.parametrize("uri", ["sip:alpha.example", "sip:gw1.alpha.example:5061"])
def test_options_to_the_gateway_say_what_it_takes(scene: CallScene, flow: object, uri: str) -> None:
    answered = scene.receive(outside("OPTIONS", uri), flow)  # type: ignore[arg-type]
    assert answered.statuses == [200]
    assert "INVITE" in (answered.last.headers.get("Allow") or "")


@pytest.mark.parametrize("uri", ["sip:beta.example", "tel:+12125550123", "sip:", "urn:x:y"])
def test_options_of_peers_to_anybody_else_are_not_relayed(scene: CallScene, uri: str) -> None:
    message = Request("OPTIONS", uri, outside("OPTIONS").headers)
    assert scene.receive(message, FROM_BETA).statuses == [403]


@pytest.mark.parametrize("method", ["BYE", "INFO", "UPDATE", "PRACK", "NOTIFY", "REFER"])
def test_a_request_that_needs_a_dialog_is_481_without_one(scene: CallScene, method: str) -> None:
    assert scene.receive(outside(method), FROM_ALICE).statuses == [481]


@pytest.mark.parametrize("method", ["SUBSCRIBE", "PUBLISH", "FOO"])
def test_other_methods_are_405_with_what_is_allowed(scene: CallScene, method: str) -> None:
    answered = scene.receive(outside(method), FROM_ALICE)
    assert answered.statuses == [405]
    assert "Allow" in answered.last.headers


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [("Max-Forwards", "0", 483), ("Proxy-Require", "privacy", 420), ("Max-Breadth", "x", 400)],
)
def test_what_a_proxy_may_not_forward_is_refused_first(
    scene: CallScene, name: str, value: str, status: int
) -> None:
    message = invite()
    message = message.with_headers(message.headers.replace(name, value))
    assert scene.receive(message, FROM_ALICE).statuses == [status]
    assert len(scene.control) == 0


@pytest.mark.parametrize("flow", [FROM_ALICE, FROM_BETA])
def test_calls_are_not_relayed_along_a_route(scene: CallScene, flow: object) -> None:
    message = invite(extra=(("Route", "<sip:10.0.0.1;lr>"),))
    assert scene.receive(message, flow).statuses == [403]  # type: ignore[arg-type]


def test_a_route_that_is_our_own_is_taken_off(scene: CallScene) -> None:
    message = invite(extra=(("Route", "<sip:192.0.2.10;lr>"),))
    assert scene.receive(message, FROM_ALICE).statuses == [407]


def test_a_cancel_that_fits_nothing_does_nothing(scene: CallScene) -> None:
    answered = scene.receive(outside("OPTIONS"), FROM_ALICE)
    scene.loop.do(lambda: scene.control.on_cancel(answered.transaction, answered.request))
    assert answered.statuses == [200]


def test_tokens_of_a_listener_that_is_no_more_are_481(scene: CallScene) -> None:
    incoming = scene.talking()
    request = within("INFO", incoming, "caller")
    scene.listeners._by_name.pop("peers")
    assert scene.receive(request, FROM_ALICE).statuses == [481]


def test_tokens_are_good_for_as_long_as_a_call_may_last(scene: CallScene) -> None:
    incoming = scene.talking()
    scene.advance(scene.config.sip.max_call_seconds + 1)
    assert scene.receive(within("INFO", incoming, "caller"), FROM_ALICE).statuses == [481]


def test_a_peer_cannot_use_a_call_to_a_route_to_reach_other_places_inside(
    scene: CallScene,
) -> None:
    routed = "+14155550120"
    incoming = scene.talking(scene.called(scene.signed(invite(routed, caller=BOB), dest=routed)))
    for uri, statuses in (
        ("sip:admin@10.0.0.1", [403]),
        ("sip:admin@192.0.2.1;maddr=10.0.0.1", [403]),
        ("sip:callee@192.0.2.77:5060", []),
        ("sip:pbx@192.0.2.40:5060", []),
        ("sip:pbx@192.0.2.33:5060", []),
    ):
        request = within("INFO", incoming, "caller").with_uri(uri)
        assert scene.receive(request, FROM_BETA).statuses == statuses, uri


def test_a_bye_and_its_call_survive_a_restart_in_between(scene: CallScene) -> None:
    incoming = scene.talking()
    scene.calls.remove(scene.calls.calls()[0].key)
    bye = scene.receive(within("BYE", incoming, "caller"), FROM_ALICE)
    scene.sent("BYE")[0].answer(200)
    assert bye.statuses == [200]


def test_a_trunk_that_is_called_back_gets_its_requests(scene: CallScene) -> None:
    incoming = scene.receive(invite(caller="+14155550110"), FROM_TRUNK)
    scene.only.answer(200, body=sdp("callee"))
    scene.receive(within("INFO", incoming, "callee"), FROM_BETA)
    assert scene.sent("INFO")[0].hops[0].flow == FROM_TRUNK


def test_a_call_from_an_address_that_changed_is_still_its_call(scene: CallScene) -> None:
    scene.register(ALICE, FROM_ALICE)
    incoming = scene.talking(scene.called())
    other = with_flow(FROM_BETA, flow_id=6)
    scene.receive(within("BYE", incoming, "caller"), other)
    assert len(scene.sent("BYE")) == 1
