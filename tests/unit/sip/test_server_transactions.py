from sip.message import Request, Response
from sip.timers import Timers
from sip.transaction.actions import (
    AckReceived,
    Action,
    RequestReceived,
    Terminated,
    TimedOut,
    Transmit,
    TransportFailed,
)
from sip.transaction.key import ServerKey, server_key
from sip.transaction.layer import TransactionLayer
from tests.support.sip_messages import flow, request, response

KEY = server_key(request(), flow())


def layer() -> TransactionLayer:
    return TransactionLayer(Timers())


def statuses(actions: list[Action]) -> list[int]:
    return [
        action.message.status_code
        for action in actions
        if isinstance(action, Transmit) and isinstance(action.message, Response)
    ]


def kinds(actions: list[Action]) -> list[type]:
    return [type(action) for action in actions]


def received(tested: TransactionLayer, message: Request, reliable: bool = False) -> ServerKey:
    (action,) = tested.receive(message, flow("tcp" if reliable else "udp"), 0.0)
    assert isinstance(action, RequestReceived)
    return action.key


def test_an_invite_is_passed_up_once_and_its_repetition_absorbed() -> None:
    tested = layer()
    assert kinds(tested.receive(request(), flow(), 0.0)) == [RequestReceived]
    tested.respond(KEY, response(request(), 180), 0.1)
    assert statuses(tested.receive(request(), flow(), 0.5)) == [180]


def test_100_is_sent_after_200_ms_of_silence() -> None:
    tested = layer()
    received(tested, request())
    assert tested.next_deadline() == 0.2
    assert tested.expire(0.19) == []
    assert statuses(tested.expire(0.2)) == [100]
    assert tested.next_deadline() is None


def test_100_is_not_sent_when_the_user_answers_within_200_ms() -> None:
    tested = layer()
    received(tested, request())
    tested.respond(KEY, response(request(), 180), 0.1)
    assert tested.expire(1.0) == []


def test_100_does_not_wait_when_the_client_already_repeats_itself() -> None:
    tested = layer()
    received(tested, request())
    assert statuses(tested.receive(request(), flow(), 0.05)) == [100]
    assert statuses(tested.receive(request(), flow(), 0.06)) == [100]


def test_100_is_sent_at_once_where_the_delay_is_zero() -> None:
    tested = TransactionLayer(Timers(trying_delay=0.0))
    actions = tested.receive(request(), flow(), 0.0)
    assert kinds(actions) == [RequestReceived, Transmit]
    assert statuses(actions) == [100]


def test_100_has_no_to_tag_of_ours() -> None:
    tested = layer()
    received(tested, request())
    (action,) = tested.expire(0.2)
    assert isinstance(action, Transmit)
    assert action.message.to.tag is None


def test_a_refusal_is_repeated_until_the_ack_with_doubling_capped_at_t2() -> None:
    tested = layer()
    received(tested, request())
    assert statuses(tested.respond(KEY, response(request(), 486), 0.0)) == [486]
    times = []
    while (deadline := tested.next_deadline()) is not None and deadline < 20:
        times.append(deadline)
        assert statuses(tested.expire(deadline)) == [486]
    assert times == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5]


def test_the_ack_to_a_refusal_is_absorbed_with_its_repetitions() -> None:
    tested = layer()
    received(tested, request())
    tested.respond(KEY, response(request(), 486), 0.0)
    ack = request("ACK", to_tag="b1")
    assert tested.receive(ack, flow(), 0.1) == []
    assert tested.receive(ack, flow(), 0.2) == []
    assert tested.receive(request(), flow(), 0.3) == []
    assert tested.expire(5.1) == [Terminated(KEY)]
    assert len(tested) == 0


def test_a_refusal_never_acknowledged_times_out() -> None:
    tested = layer()
    received(tested, request())
    tested.respond(KEY, response(request(), 486), 0.0)
    actions = tested.expire(32.0)
    assert actions == [TimedOut(KEY), Terminated(KEY)]


def test_on_a_reliable_transport_a_refusal_is_sent_once_and_ends_with_its_ack() -> None:
    tested = layer()
    received(tested, request(), reliable=True)
    tested.respond(KEY, response(request(), 486), 0.0)
    assert tested.next_deadline() == 32.0
    assert tested.receive(request("ACK", to_tag="b1"), flow("tcp"), 0.1) == [Terminated(KEY)]


def test_after_a_2xx_repeated_invites_are_absorbed_for_timer_l() -> None:
    tested = layer()
    received(tested, request())
    assert statuses(tested.respond(KEY, response(request(), 200), 1.0)) == [200]
    assert tested.receive(request(), flow(), 1.5) == []
    assert tested.expire(32.9) == []
    assert tested.expire(33.0) == [Terminated(KEY)]


def test_further_2xx_of_the_user_are_sent_and_anything_else_is_not() -> None:
    tested = layer()
    received(tested, request())
    tested.respond(KEY, response(request(), 200), 0.0)
    assert statuses(tested.respond(KEY, response(request(), 200, tag="b2"), 0.1)) == [200]
    assert tested.respond(KEY, response(request(), 180), 0.2) == []
    assert tested.respond(KEY, response(request(), 486), 0.2) == []


def test_the_ack_to_a_2xx_goes_to_the_user_with_or_without_the_branch_of_the_invite() -> None:
    tested = layer()
    received(tested, request())
    tested.respond(KEY, response(request(), 200), 0.0)
    same = request("ACK", to_tag="b1")
    other = request("ACK", to_tag="b1", branch="z9hG4bKother")
    assert tested.receive(same, flow(), 0.1) == [AckReceived(same, flow())]
    assert tested.receive(other, flow(), 0.1) == [AckReceived(other, flow())]


def test_an_ack_before_any_final_response_acknowledges_nothing() -> None:
    tested = layer()
    received(tested, request())
    assert tested.receive(request("ACK"), flow(), 0.1) == []
    assert statuses(tested.respond(KEY, response(request(), 200), 0.2)) == [200]


def test_an_invite_whose_response_cannot_be_sent_still_absorbs_repetitions() -> None:
    tested = layer()
    received(tested, request())
    tested.respond(KEY, response(request(), 200), 0.0)
    assert tested.transport_failed(KEY, 0.1) == [TransportFailed(KEY)]
    assert tested.receive(request(), flow(), 0.2) == []
    assert len(tested) == 1


def test_a_response_to_a_transaction_that_is_gone_is_not_sent() -> None:
    tested = layer()
    received(tested, request())
    tested.respond(KEY, response(request(), 200), 0.0)
    tested.expire(32.0)
    assert tested.respond(KEY, response(request(), 200), 33.0) == []


def test_a_repeated_bye_is_absorbed_until_there_is_an_answer_to_repeat() -> None:
    tested = layer()
    bye = request("BYE", to_tag="b1")
    key = received(tested, bye)
    assert tested.receive(bye, flow(), 0.5) == []
    assert statuses(tested.respond(key, response(bye, 200), 0.6)) == [200]
    assert statuses(tested.receive(bye, flow(), 1.5)) == [200]
    assert tested.respond(key, response(bye, 500), 1.6) == []
    assert tested.expire(32.6) == [Terminated(key)]


def test_a_repeated_options_gets_the_last_provisional_response() -> None:
    tested = layer()
    options = request("OPTIONS")
    key = received(tested, options)
    tested.respond(key, response(options, 100), 0.1)
    assert statuses(tested.receive(options, flow(), 0.5)) == [100]


def test_on_a_reliable_transport_a_bye_ends_with_its_answer() -> None:
    tested = layer()
    bye = request("BYE", to_tag="b1")
    key = received(tested, bye, reliable=True)
    assert kinds(tested.respond(key, response(bye, 200), 0.1)) == [Transmit, Terminated]
    assert len(tested) == 0


def test_a_request_the_user_forgets_ends_when_its_client_has_given_up() -> None:
    tested = layer()
    options = request("OPTIONS")
    key = received(tested, options)
    assert tested.expire(32.0) == [TimedOut(key), Terminated(key)]
    assert tested.respond(key, response(options, 200), 33.0) == []


def test_a_failure_to_answer_a_bye_ends_its_transaction() -> None:
    tested = layer()
    bye = request("BYE", to_tag="b1")
    key = received(tested, bye)
    tested.respond(key, response(bye, 200), 0.1)
    assert tested.transport_failed(key, 0.2) == [TransportFailed(key), Terminated(key)]


def test_after_a_pause_of_the_process_nothing_is_sent_in_a_burst() -> None:
    tested = layer()
    received(tested, request())
    tested.respond(KEY, response(request(), 486), 0.0)
    assert statuses(tested.expire(20.0)) == [486]
    assert tested.next_deadline() == 21.0
