import pytest

from sip.message import Request, Response
from sip.timers import Timers
from sip.transaction.actions import (
    Action,
    ResponseReceived,
    StrayResponse,
    Terminated,
    TimedOut,
    Transmit,
    TransportFailed,
)
from sip.transaction.derived import cancel_for
from sip.transaction.key import ClientKey
from sip.transaction.layer import TransactionLayer
from tests.support.sip_messages import flow, request, response

INVITE = request(
    extra=(
        ("Route", "<sip:edge.example;lr>"),
        ("Route", "<sip:core.example;lr>"),
        ("Content-Type", "application/sdp"),
    ),
    body=b"v=0\r\n",
)


def layer() -> TransactionLayer:
    return TransactionLayer(Timers())


def sent(tested: TransactionLayer, message: Request, reliable: bool = False) -> ClientKey:
    key, actions = tested.request(message, reliable=reliable, now=0.0)
    assert actions == [Transmit(key, message)]
    return key


def times_until_the_end(tested: TransactionLayer) -> tuple[list[float], list[Action]]:
    times: list[float] = []
    while (deadline := tested.next_deadline()) is not None:
        actions = tested.expire(deadline)
        if not isinstance(actions[0], Transmit):
            return times, actions
        times.append(deadline)
    return times, []


def test_an_unanswered_invite_is_repeated_with_doubling_and_times_out_at_64_t1() -> None:
    tested = layer()
    key = sent(tested, INVITE)
    times, actions = times_until_the_end(tested)
    assert times == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert actions == [TimedOut(key), Terminated(key)]
    assert len(tested) == 0


def test_an_unanswered_bye_is_repeated_at_most_every_t2_and_times_out_at_64_t1() -> None:
    tested = layer()
    key = sent(tested, request("BYE", to_tag="b1"))
    times, actions = times_until_the_end(tested)
    assert times == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert actions == [TimedOut(key), Terminated(key)]


@pytest.mark.parametrize("message", [INVITE, request("BYE", to_tag="b1")])
def test_on_a_reliable_transport_nothing_is_repeated(message: Request) -> None:
    tested = layer()
    key = sent(tested, message, reliable=True)
    assert tested.next_deadline() == 32.0
    assert tested.expire(32.0) == [TimedOut(key), Terminated(key)]


def test_a_provisional_response_stops_the_repetition_of_an_invite() -> None:
    tested = layer()
    key = sent(tested, INVITE)
    ringing = response(INVITE, 180)
    assert tested.receive(ringing, flow(), 0.1) == [ResponseReceived(key, ringing)]
    assert tested.receive(ringing, flow(), 0.2) == [ResponseReceived(key, ringing)]
    assert tested.next_deadline() is None


def test_after_a_provisional_response_a_bye_is_repeated_every_t2() -> None:
    tested = layer()
    bye = request("BYE", to_tag="b1")
    sent(tested, bye)
    tested.receive(response(bye, 100), flow(), 0.1)
    times, _ = times_until_the_end(tested)
    assert times == [0.5, 4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5]


def test_every_2xx_to_an_invite_is_passed_up_for_timer_m() -> None:
    tested = layer()
    key = sent(tested, INVITE)
    first, second = response(INVITE, 200), response(INVITE, 200, tag="b2")
    assert tested.receive(first, flow(), 1.0) == [ResponseReceived(key, first)]
    assert tested.receive(first, flow(), 1.5) == [ResponseReceived(key, first)]
    assert tested.receive(second, flow(), 2.0) == [ResponseReceived(key, second)]
    assert tested.receive(response(INVITE, 180), flow(), 2.1) == []
    assert tested.expire(33.0) == [Terminated(key)]
    assert tested.receive(first, flow(), 34.0) == [StrayResponse(first, flow())]


def test_a_refusal_is_acknowledged_and_its_repetition_acknowledged_again() -> None:
    tested = layer()
    key = sent(tested, INVITE)
    busy = response(INVITE, 486)
    ack, up = tested.receive(busy, flow(), 1.0)
    assert up == ResponseReceived(key, busy)
    assert tested.receive(busy, flow(), 1.5) == [ack]
    assert tested.expire(33.0) == [Terminated(key)]


def test_the_ack_to_a_refusal_is_built_as_17_1_1_3_says() -> None:
    tested = layer()
    sent(tested, INVITE)
    action, _ = tested.receive(response(INVITE, 486, tag="b7"), flow(), 1.0)
    assert isinstance(action, Transmit)
    ack = action.message
    assert isinstance(ack, Request)
    assert (ack.method, ack.request_uri, ack.body) == ("ACK", INVITE.request_uri, b"")
    assert ack.headers.all("Via") == INVITE.headers.all("Via")
    assert ack.headers.all("Route") == INVITE.headers.all("Route")
    assert ack.headers.get("From") == INVITE.headers.get("From")
    assert ack.headers.get("Call-ID") == INVITE.headers.get("Call-ID")
    assert ack.to.tag == "b7"
    assert str(ack.cseq) == "1 ACK"
    assert ack.headers.get("Max-Forwards") == "70"
    assert "Content-Type" not in ack.headers


def test_only_the_top_via_goes_into_an_ack() -> None:
    tested = layer()
    forwarded = INVITE.with_headers(
        INVITE.headers.replace(
            "Via",
            "SIP/2.0/UDP p.example;branch=z9hG4bKtest1, SIP/2.0/UDP a.example;branch=z9hG4bKa",
        )
    )
    sent(tested, forwarded)
    action, _ = tested.receive(response(forwarded, 486), flow(), 1.0)
    assert isinstance(action, Transmit)
    assert [via.branch for via in action.message.vias] == ["z9hG4bKtest1"]


def test_on_a_reliable_transport_a_refusal_ends_the_invite() -> None:
    tested = layer()
    sent(tested, INVITE, reliable=True)
    actions = tested.receive(response(INVITE, 486), flow("tcp"), 1.0)
    assert [type(action) for action in actions] == [Transmit, ResponseReceived, Terminated]


@pytest.mark.parametrize("status", [200, 404, 603])
def test_any_final_response_completes_a_bye_and_its_repetition_is_absorbed(status: int) -> None:
    tested = layer()
    bye = request("BYE", to_tag="b1")
    key = sent(tested, bye)
    final = response(bye, status)
    assert tested.receive(final, flow(), 1.0) == [ResponseReceived(key, final)]
    assert tested.receive(final, flow(), 2.0) == []
    assert tested.expire(6.0) == [Terminated(key)]


@pytest.mark.parametrize("message", [INVITE, request("BYE", to_tag="b1")])
def test_a_failure_to_send_ends_the_transaction(message: Request) -> None:
    tested = layer()
    key = sent(tested, message)
    assert tested.transport_failed(key, 0.1) == [TransportFailed(key), Terminated(key)]
    assert tested.transport_failed(key, 0.2) == []


def test_a_response_to_nothing_we_sent_is_a_stray() -> None:
    ringing = response(INVITE, 180)
    assert layer().receive(ringing, flow(), 0.0) == [StrayResponse(ringing, flow())]


def test_a_response_to_a_cancel_is_not_taken_for_one_to_its_invite() -> None:
    tested = layer()
    sent(tested, INVITE)
    cancel = cancel_for(INVITE)
    stray = response(cancel, 200)
    assert tested.receive(stray, flow(), 0.1) == [StrayResponse(stray, flow())]


def test_a_cancel_is_built_as_9_1_says() -> None:
    cancel = cancel_for(INVITE)
    assert (cancel.method, cancel.request_uri, cancel.body) == ("CANCEL", INVITE.request_uri, b"")
    for name in ("Via", "Route", "From", "To", "Call-ID"):
        assert cancel.headers.all(name) == INVITE.headers.all(name)
    assert str(cancel.cseq) == "1 CANCEL"


def test_an_invite_that_stays_unanswered_after_a_cancel_is_given_up_64_t1_later() -> None:
    tested = layer()
    key = sent(tested, INVITE)
    tested.receive(response(INVITE, 180), flow(), 1.0)
    cancel = cancel_for(INVITE)
    cancel_key, _ = tested.request(cancel, reliable=False, now=10.0)
    tested.receive(response(cancel, 200), flow(), 10.1)
    assert tested.expire(15.1) == [Terminated(cancel_key)]
    assert tested.expire(41.9) == []
    assert tested.expire(42.0) == [TimedOut(key), Terminated(key)]


def test_a_487_after_a_cancel_ends_the_invite_as_any_refusal() -> None:
    tested = layer()
    key = sent(tested, INVITE)
    tested.receive(response(INVITE, 180), flow(), 1.0)
    tested.request(cancel_for(INVITE), reliable=False, now=10.0)
    terminated = response(INVITE, 487)
    assert ResponseReceived(key, terminated) in tested.receive(terminated, flow(), 10.2)


def test_an_ack_has_no_client_transaction_and_a_branch_is_used_once() -> None:
    tested = layer()
    with pytest.raises(ValueError, match="ACK"):
        tested.request(request("ACK"), reliable=False, now=0.0)
    sent(tested, INVITE)
    with pytest.raises(ValueError, match="z9hG4bKtest1"):
        tested.request(INVITE, reliable=False, now=0.0)


def test_responses_hold_no_reference_to_the_request_once_accepted() -> None:
    tested = layer()
    sent(tested, INVITE)
    ok: Response = response(INVITE, 200)
    tested.receive(ok, flow(), 1.0)
    assert tested.transport_failed(ClientKey("z9hG4bKtest1", "INVITE"), 1.1) == []
