import pytest

from sip.timers import Timers
from sip.transaction.actions import (
    CancelReceived,
    Overloaded,
    RequestReceived,
    Terminated,
    Transmit,
    TransportFailed,
)
from sip.transaction.derived import cancel_for
from sip.transaction.key import server_key
from sip.transaction.layer import TransactionLayer
from tests.support.sip_messages import flow, request, response


def small(max_transactions: int = 4, max_lingering: int = 4) -> TransactionLayer:
    return TransactionLayer(
        Timers(), max_transactions=max_transactions, max_lingering=max_lingering
    )


def fill(tested: TransactionLayer, number: int) -> None:
    for n in range(number):
        actions = tested.receive(request(branch=f"z9hG4bKfill{n}"), flow(), 0.0)
        assert isinstance(actions[0], RequestReceived)


def test_a_cancel_names_the_invite_it_is_for() -> None:
    tested = small()
    tested.receive(request(), flow(), 0.0)
    cancel = request("CANCEL")
    (action,) = tested.receive(cancel, flow(), 0.1)
    key = server_key(cancel, flow())
    assert action == CancelReceived(key, server_key(request(), flow()), cancel, flow())
    ok = response(cancel, 200)
    assert tested.respond(key, ok, 0.1) == [Transmit(key, ok)]
    assert tested.receive(cancel, flow(), 0.2) == [Transmit(key, ok)]


def test_a_cancel_for_nothing_is_passed_up_to_be_answered_481() -> None:
    (action,) = small().receive(request("CANCEL"), flow(), 0.1)
    assert isinstance(action, CancelReceived)
    assert action.invite_key is None


def test_a_cancel_from_another_host_than_the_invite_cancels_nothing() -> None:
    tested = small()
    tested.receive(request(), flow(), 0.0)
    (action,) = tested.receive(request("CANCEL"), flow(remote="203.0.113.66"), 0.1)
    assert isinstance(action, CancelReceived)
    assert action.invite_key is None


def test_a_cancel_of_a_bye_cancels_nothing() -> None:
    tested = small()
    tested.receive(request("BYE", to_tag="b1"), flow(), 0.0)
    (action,) = tested.receive(request("CANCEL"), flow(), 0.1)
    assert isinstance(action, CancelReceived)
    assert action.invite_key is None


def test_a_full_table_refuses_new_calls() -> None:
    tested = small()
    fill(tested, 4)
    more = request(branch="z9hG4bKmore")
    assert tested.receive(more, flow(), 0.1) == [Overloaded(more, flow())]
    assert len(tested) == 4


def test_a_full_table_still_takes_requests_of_calls_that_are_up_within_a_quarter_more() -> None:
    tested = small()
    fill(tested, 4)
    bye = request("BYE", to_tag="b1", branch="z9hG4bKbye")
    assert isinstance(tested.receive(bye, flow(), 0.1)[0], RequestReceived)
    other = request("BYE", to_tag="b1", branch="z9hG4bKbye2")
    assert tested.receive(other, flow(), 0.1) == [Overloaded(other, flow())]


def test_a_full_table_still_takes_the_cancel_of_a_call_but_no_other() -> None:
    tested = small()
    fill(tested, 4)
    cancel = request("CANCEL", branch="z9hG4bKfill0")
    assert isinstance(tested.receive(cancel, flow(), 0.1)[0], CancelReceived)
    stray = request("CANCEL", branch="z9hG4bKstray")
    assert tested.receive(stray, flow(), 0.1) == [Overloaded(stray, flow())]


def test_a_full_table_makes_room_when_calls_are_answered() -> None:
    tested = small()
    fill(tested, 4)
    key = server_key(request(branch="z9hG4bKfill0"), flow())
    tested.respond(key, response(request(branch="z9hG4bKfill0"), 200), 0.1)
    assert isinstance(tested.receive(request(), flow(), 0.2)[0], RequestReceived)


def test_a_full_table_fails_our_own_requests_but_lets_us_cancel() -> None:
    tested = small(max_transactions=1)
    first = request(branch="z9hG4bKone")
    tested.request(first, reliable=False, now=0.0)
    key, actions = tested.request(request(branch="z9hG4bKtwo"), reliable=False, now=0.0)
    assert actions == [TransportFailed(key)]
    _, actions = tested.request(cancel_for(first), reliable=False, now=0.0)
    assert isinstance(actions[0], Transmit)


def test_the_oldest_lingering_transactions_make_room_for_newer_ones() -> None:
    tested = small(max_lingering=2)
    keys = []
    for n in range(4):
        message = request(branch=f"z9hG4bKcall{n}")
        tested.receive(message, flow(), 0.0)
        keys.append(server_key(message, flow()))
        actions = tested.respond(keys[-1], response(message, 200), 0.0)
        evicted = [a.key for a in actions if isinstance(a, Terminated)]
        assert evicted == ([keys[n - 2]] if n >= 2 else [])
    assert len(tested) == 2
    assert tested.unfinished == 0


def test_ended_transactions_do_not_count_as_lingering() -> None:
    tested = small(max_lingering=2)
    for n in range(6):
        now = n * 100.0
        message = request(branch=f"z9hG4bKcall{n}")
        tested.receive(message, flow(), now)
        tested.respond(server_key(message, flow()), response(message, 200), now)
        actions = tested.expire(now + 50)
        assert actions == [Terminated(server_key(message, flow()))]
    assert len(tested) == 0


def test_an_empty_layer_has_no_deadline() -> None:
    tested = small()
    assert tested.next_deadline() is None
    assert tested.expire(1000.0) == []


@pytest.mark.parametrize(("transactions", "lingering"), [(0, 1), (1, 0)])
def test_a_layer_that_could_hold_nothing_is_refused(transactions: int, lingering: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        small(transactions, lingering)
