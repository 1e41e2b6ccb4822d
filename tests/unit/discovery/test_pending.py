"""Invitations that wait: one token, one answer, bounded time and number."""

from __future__ import annotations

import itertools

import pytest

from discovery.model import Service
from discovery.spin.compact import token_digest
from discovery.spin.pending import MAX_ATTEMPTS, PendingInvitations, Waiting
from discovery.spin.reason import Refusal, Refused
from tests.support.spin_passports import ALICE, BOB


def pending(max_pending: int = 10) -> PendingInvitations:
    counter = itertools.count(1)
    return PendingInvitations(
        lambda count: next(counter).to_bytes(count, "big"), max_pending=max_pending
    )


def opened(engine: PendingInvitations, now: float = 0.0) -> Waiting:
    waiting = engine.open(BOB, ALICE, (Service.VOICE,), lifetime=60, now=now)
    engine.bind(waiting.invitation_id, "the.signed.invitation")
    return waiting


def refusal(engine: PendingInvitations, invitation_id: str, bearer: str, now: float) -> Refusal:
    with pytest.raises(Refused) as caught:
        engine.authorise(invitation_id, bearer, now)
    return caught.value.reason


def begin_refusal(engine: PendingInvitations, invitation_id: str, body: str) -> Refusal:
    with pytest.raises(Refused) as caught:
        engine.begin(invitation_id, body)
    return caught.value.reason


def test_an_identifier_a_token_and_a_jti_have_the_lengths_of_the_format() -> None:
    waiting = opened(pending())
    assert [len(text) for text in (waiting.invitation_id, waiting.token, waiting.jti)] == [
        22,
        22,
        16,
    ]
    assert waiting.token not in repr(waiting)


def test_the_token_opens_the_door_and_the_digest_names_the_invitation() -> None:
    engine = pending()
    waiting = opened(engine)
    assert engine.authorise(waiting.invitation_id, waiting.token, 59) == waiting
    assert engine.begin(waiting.invitation_id, "b1") == token_digest("the.signed.invitation")
    assert engine.settle(waiting.invitation_id, "b1")


@pytest.mark.parametrize("bearer", ["", "x", "é" * 22])
def test_a_wrong_token_and_an_unknown_id_look_alike(bearer: str) -> None:
    engine = pending()
    waiting = opened(engine)
    assert refusal(engine, waiting.invitation_id, bearer, 1) is Refusal.BAD_TOKEN
    assert refusal(engine, "unknown", waiting.token, 1) is Refusal.BAD_TOKEN
    assert refusal(engine, "unknown", "-" * 22, 1) is Refusal.BAD_TOKEN


def test_an_invitation_never_sent_takes_no_answer() -> None:
    engine = pending()
    waiting = engine.open(BOB, ALICE, (Service.VOICE,), lifetime=60, now=0)
    assert refusal(engine, waiting.invitation_id, waiting.token, 1) is Refusal.BAD_TOKEN
    engine.abandon(waiting.invitation_id)
    assert len(engine) == 0


def test_a_late_answer_hears_that_it_is_late_and_later_nothing() -> None:
    engine = pending()
    waiting = opened(engine)
    assert refusal(engine, waiting.invitation_id, waiting.token, 60) is Refusal.EXPIRED
    opened(engine, now=181)
    assert refusal(engine, waiting.invitation_id, waiting.token, 181) is Refusal.BAD_TOKEN


def test_the_same_body_again_is_fine_and_another_is_a_replay() -> None:
    engine = pending()
    waiting = opened(engine)
    engine.begin(waiting.invitation_id, "b1")
    engine.settle(waiting.invitation_id, "b1")
    assert engine.begin(waiting.invitation_id, "b1") is None
    assert begin_refusal(engine, waiting.invitation_id, "b2") is Refusal.REPLAYED


def test_one_answer_is_checked_at_a_time() -> None:
    engine = pending()
    waiting = opened(engine)
    engine.begin(waiting.invitation_id, "b1")
    assert begin_refusal(engine, waiting.invitation_id, "b2") is Refusal.RATE_LIMITED
    engine.release(waiting.invitation_id)
    assert engine.begin(waiting.invitation_id, "b2")
    assert not engine.settle(waiting.invitation_id, "b1")


def test_refused_answers_are_counted_and_come_to_an_end() -> None:
    engine = pending()
    waiting = opened(engine)
    for attempt in range(MAX_ATTEMPTS):
        engine.begin(waiting.invitation_id, f"b{attempt}")
        engine.release(waiting.invitation_id)
    assert begin_refusal(engine, waiting.invitation_id, "last") is Refusal.RATE_LIMITED


def test_the_number_of_waiting_invitations_is_bounded_until_they_are_old() -> None:
    engine = pending(max_pending=2)
    opened(engine)
    opened(engine)
    with pytest.raises(Refused) as caught:
        opened(engine)
    assert caught.value.reason is Refusal.OVERLOADED
    opened(engine, now=180)
    assert len(engine) == 1


def test_the_next_deadline_is_that_of_an_unanswered_one() -> None:
    engine = pending()
    assert engine.next_deadline() is None
    first = opened(engine, now=0)
    opened(engine, now=10)
    assert engine.next_deadline() == 60
    engine.begin(first.invitation_id, "b")
    engine.settle(first.invitation_id, "b")
    assert engine.next_deadline() == 70


def invited_for_messages(engine: PendingInvitations, now: float = 0.0) -> Waiting:
    waiting = engine.open(BOB, ALICE, (Service.IM,), lifetime=72 * 3600, now=now)
    engine.bind(waiting.invitation_id, "the.signed.invitation")
    return waiting


def test_later_leaves_the_token_good_for_one_answer_that_says_more() -> None:
    engine = pending()
    waiting = invited_for_messages(engine)
    engine.begin(waiting.invitation_id, "later")
    assert engine.postpone(waiting.invitation_id, "later")
    assert engine.begin(waiting.invitation_id, "later") is None  # the very same, said again
    engine.begin(waiting.invitation_id, "later too")
    with pytest.raises(Refused) as caught:
        engine.postpone(waiting.invitation_id, "later too")
    assert caught.value.reason is Refusal.REPLAYED
    engine.release(waiting.invitation_id)
    assert engine.authorise(waiting.invitation_id, waiting.token, 71 * 3600)
    engine.begin(waiting.invitation_id, "now")
    assert engine.settle(waiting.invitation_id, "now")
    assert begin_refusal(engine, waiting.invitation_id, "and again") is Refusal.REPLAYED


def test_what_waits_for_days_keeps_nothing_from_being_forgotten_in_its_time() -> None:
    engine = pending()
    invited_for_messages(engine)
    for minute in range(1, 100):
        opened(engine, now=60.0 * minute)
    assert len(engine) <= 5


def test_what_waits_for_days_leaves_room_for_calls() -> None:
    engine = pending(max_pending=4)
    for _ in range(2):
        invited_for_messages(engine)
    with pytest.raises(Refused) as caught:
        invited_for_messages(engine)
    assert caught.value.reason is Refusal.OVERLOADED
    opened(engine)
    long_after = 72 * 3600 + 121.0
    invited_for_messages(engine, long_after)
    assert len(engine) == 1
