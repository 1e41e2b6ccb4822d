import pytest

from sip.message import Request, Response
from sip.response_context import (
    CancelBranch,
    Completed,
    ContextAction,
    ForwardRequest,
    ForwardResponse,
    ResponseContext,
    Target,
)
from sip.timers import Timers
from tests.support.sip_messages import request, response, with_via

INVITE = request()
TIMERS = Timers()


def targets(*qs: float) -> list[Target]:
    return [Target(f"b{n}", f"sip:b{n}@192.0.2.4", q) for n, q in enumerate(qs)]


def started(*qs: float, of: Request = INVITE) -> ResponseContext:
    context = ResponseContext(of, TIMERS)
    context.start(targets(*qs), 0.0)
    return context


def answer(status: int, of: Request = INVITE, **named: object) -> Response:
    extra = tuple((name.replace("_", "-"), str(value)) for name, value in named.items())
    return response(with_via(of, "z9hG4bKours"), status, extra=extra)


def forked(actions: list[ContextAction]) -> list[str]:
    return [action.branch_id for action in actions if isinstance(action, ForwardRequest)]


def sent(actions: list[ContextAction]) -> list[int]:
    return [a.response.status_code for a in actions if isinstance(a, ForwardResponse)]


def cancelled(actions: list[ContextAction]) -> list[str]:
    return [action.branch_id for action in actions if isinstance(action, CancelBranch)]


def done(actions: list[ContextAction]) -> bool:
    return Completed() in actions


def test_targets_of_one_q_are_tried_together_and_lower_ones_later() -> None:
    context = ResponseContext(INVITE, TIMERS)
    assert forked(context.start(targets(0.5, 1.0, 0.5, 1.0), 0.0)) == ["b1", "b3"]
    assert context.response("b1", answer(486), 1.0) == []
    assert forked(context.response("b3", answer(480), 2.0)) == ["b0", "b2"]


def test_the_breadth_is_shared_among_parallel_branches() -> None:
    message = request(extra=(("Max-Breadth", "8"),))
    actions = ResponseContext(message, TIMERS).start(targets(1, 1, 1, 0.5), 0.0)
    assert [a.max_breadth for a in actions if isinstance(a, ForwardRequest)] == [3, 3, 2]


def test_more_parallel_targets_than_breadth_is_440() -> None:
    message = request(extra=(("Max-Breadth", "1"),))
    actions = ResponseContext(message, TIMERS).start(targets(1, 1), 0.0)
    assert sent(actions) == [440]
    assert done(actions)


def test_serial_targets_do_not_need_more_breadth() -> None:
    message = request(extra=(("Max-Breadth", "1"),))
    assert forked(ResponseContext(message, TIMERS).start(targets(1, 0.5), 0.0)) == ["b0"]


def test_an_empty_target_set_is_480() -> None:
    actions = ResponseContext(INVITE, TIMERS).start([], 0.0)
    assert sent(actions) == [480]
    assert done(actions)


def test_a_branch_id_stands_for_one_target() -> None:
    with pytest.raises(ValueError, match="one id"):
        started(1.0).start(targets(1.0), 0.0)


def test_provisional_responses_are_forwarded_at_once_but_100_is_not() -> None:
    context = started(1.0)
    assert context.response("b0", answer(100), 0.1) == []
    assert sent(context.response("b0", answer(180), 0.2)) == [180]
    assert sent(context.response("b0", answer(183), 0.3)) == [183]


def test_our_via_is_taken_off_a_response() -> None:
    context = started(1.0)
    (action,) = context.response("b0", answer(180), 0.1)
    assert isinstance(action, ForwardResponse)
    assert action.response.headers.all("Via") == INVITE.headers.all("Via")


def test_a_response_whose_vias_were_tampered_with_goes_back_the_way_the_request_came() -> None:
    bad = answer(180)
    bad = bad.with_headers(bad.headers.replace("Via", "SIP/2.0/UDP evil.example;branch=z9hG4bKx"))
    (action,) = started(1.0).response("b0", bad, 0.1)
    assert isinstance(action, ForwardResponse)
    assert action.response.headers.all("Via") == INVITE.headers.all("Via")


def test_a_2xx_is_forwarded_at_once_and_the_other_branches_are_cancelled() -> None:
    context = started(1.0, 1.0, 0.5)
    actions = context.response("b0", answer(200), 1.0)
    assert sent(actions) == [200]
    assert cancelled(actions) == ["b1"]
    assert not done(actions)
    actions = context.response("b1", answer(487), 1.1)
    assert sent(actions) == []
    assert forked(actions) == []
    assert done(actions)


def test_a_2xx_that_crosses_the_cancel_is_forwarded_too() -> None:
    context = started(1.0, 1.0)
    context.response("b0", answer(200), 1.0)
    actions = context.response("b1", answer(200), 1.1)
    assert sent(actions) == [200]
    assert done(actions)


def test_repetitions_of_a_2xx_are_forwarded_after_all_is_done() -> None:
    context = started(1.0)
    assert not context.final_sent
    assert done(context.response("b0", answer(200), 1.0))
    assert context.final_sent
    actions = context.response("b0", answer(200), 1.5)
    assert sent(actions) == [200]
    assert not done(actions)


def test_no_provisional_response_follows_a_final_one() -> None:
    context = started(1.0, 1.0)
    context.response("b0", answer(200), 1.0)
    assert context.response("b1", answer(180), 1.1) == []


@pytest.mark.parametrize(
    ("statuses", "best"),
    [
        ((486, 404), 486),
        ((404, 302), 302),
        ((500, 486), 486),
        ((486, 603), 603),
        ((408, 480), 480),
        ((480, 486), 486),
        ((486, 401), 401),
        ((486, 484), 484),
        ((407, 484), 407),
        ((503, 500), 500),
        ((503, 408), 408),
        ((503, 503), 500),
        ((488, 487), 488),
    ],
)
def test_the_best_response_is_chosen_as_16_7_says(statuses: tuple[int, int], best: int) -> None:
    context = started(1.0, 1.0)
    assert sent(context.response("b0", answer(statuses[0]), 1.0)) == []
    actions = context.response("b1", answer(statuses[1]), 2.0)
    assert sent(actions) == [best]
    assert done(actions)


def test_the_challenges_of_all_branches_reach_the_client() -> None:
    context = started(1.0, 1.0, 1.0)
    context.response("b0", answer(407, Proxy_Authenticate='Digest realm="p"'), 1.0)
    context.response("b1", answer(486), 1.0)
    (action, _) = context.response("b2", answer(401, WWW_Authenticate='Digest realm="w"'), 1.0)
    assert isinstance(action, ForwardResponse)
    assert action.response.status_code == 407
    assert action.response.headers.all("Proxy-Authenticate") == ('Digest realm="p"',)
    assert action.response.headers.all("WWW-Authenticate") == ('Digest realm="w"',)


def test_a_6xx_stops_the_search_but_waits_for_the_others() -> None:
    context = started(1.0, 1.0, 0.5)
    actions = context.response("b0", answer(603), 1.0)
    assert sent(actions) == []
    assert cancelled(actions) == ["b1"]
    actions = context.response("b1", answer(487), 1.1)
    assert (sent(actions), forked(actions), done(actions)) == ([603], [], True)


def test_a_2xx_on_its_way_still_wins_over_a_6xx() -> None:
    context = started(1.0, 1.0)
    context.response("b0", answer(603), 1.0)
    actions = context.response("b1", answer(200), 1.1)
    assert sent(actions) == [200]
    assert done(actions)


@pytest.mark.parametrize(
    ("cause", "status"),
    [("timeout", 408), ("transport", 500), ("tls", 500), ("unresolved", 500)],
)
def test_a_failed_branch_is_as_good_as_a_408_or_503(cause: str, status: int) -> None:
    context = started(1.0)
    actions = context.failed("b0", cause, 1.0)  # type: ignore[arg-type]
    assert sent(actions) == [status]
    assert done(actions)


def test_a_failed_branch_lets_the_next_be_tried() -> None:
    context = started(1.0, 0.5)
    assert forked(context.failed("b0", "transport", 1.0)) == ["b1"]
    assert sent(context.response("b1", answer(200), 2.0)) == [200]


def test_our_own_answers_have_a_to_tag_that_stays_the_same() -> None:
    tags = set()
    for _ in range(2):
        (action, _) = started(1.0).failed("b0", "timeout", 1.0)
        assert isinstance(action, ForwardResponse)
        assert action.branch_id is None
        tags.add(action.response.to.tag)
    assert len(tags) == 1
    assert None not in tags


def test_a_cancel_reaches_every_pending_branch_and_487_comes_from_them() -> None:
    context = started(1.0, 1.0, 0.5)
    context.response("b0", answer(486), 1.0)
    assert cancelled(context.cancel(2.0)) == ["b1"]
    assert context.cancel(2.1) == []
    actions = context.response("b1", answer(487), 2.2)
    assert sent(actions) == [487]
    assert forked(actions) == []
    assert done(actions)


def test_a_200_that_crosses_the_callers_cancel_is_forwarded() -> None:
    context = started(1.0)
    context.cancel(2.0)
    assert sent(context.response("b0", answer(200), 2.1)) == [200]


def test_a_cancel_before_anybody_is_tried_is_487_at_once() -> None:
    context = ResponseContext(INVITE, TIMERS)
    actions = context.cancel(0.1)
    assert sent(actions) == [487]
    assert done(actions)
    assert context.start(targets(1.0), 0.2) == []


def test_a_cancel_after_the_answer_does_nothing() -> None:
    context = started(1.0)
    context.response("b0", answer(200), 1.0)
    assert context.cancel(2.0) == []


@pytest.mark.parametrize("cause", ["timeout", "transport"])
def test_a_cancelled_branch_that_never_answers_is_487(cause: str) -> None:
    context = started(1.0)
    context.cancel(1.0)
    assert sent(context.failed("b0", cause, 32.0)) == [487]  # type: ignore[arg-type]


def test_timer_c_cancels_a_branch_that_rings_too_long() -> None:
    context = started(1.0)
    context.response("b0", answer(180), 1.0)
    assert context.next_deadline() == 182.0
    assert context.expire(181.9) == []
    assert cancelled(context.expire(182.0)) == ["b0"]
    actions = context.response("b0", answer(487), 182.1)
    assert sent(actions) == [408]
    assert done(actions)


def test_every_provisional_response_but_100_restarts_timer_c() -> None:
    context = started(1.0)
    context.response("b0", answer(180), 10.0)
    context.response("b0", answer(100), 20.0)
    assert context.next_deadline() == 191.0
    context.response("b0", answer(183), 100.0)
    assert context.next_deadline() == 281.0


def test_timer_c_without_any_provisional_response_is_a_408() -> None:
    context = started(1.0, 0.5)
    actions = context.expire(181.0)
    assert cancelled(actions) == ["b0"]
    assert forked(actions) == ["b1"]
    context.response("b1", answer(486), 182.0)
    assert context.completed


def test_a_branch_that_ignores_the_cancel_of_timer_c_is_given_up() -> None:
    context = started(1.0)
    context.response("b0", answer(180), 0.0)
    context.expire(181.0)
    deadline = context.next_deadline()
    assert deadline == 245.0
    actions = context.expire(deadline)
    assert sent(actions) == [408]
    assert done(actions)
    assert context.next_deadline() is None


def test_a_branch_that_ignores_the_callers_cancel_is_given_up_as_487() -> None:
    context = started(1.0)
    context.response("b0", answer(180), 0.0)
    context.cancel(1.0)
    context.response("b0", answer(180), 2.0)
    assert context.next_deadline() == 65.0
    assert sent(context.expire(65.0)) == [487]


def test_a_non_invite_request_gets_one_final_response_and_nothing_is_cancelled() -> None:
    options = request("OPTIONS")
    context = started(1.0, 1.0, of=options)
    assert context.next_deadline() is None
    assert context.cancel(0.1) == []
    assert sent(context.response("b0", answer(200, options), 1.0)) == [200]
    actions = context.response("b1", answer(200, options), 1.1)
    assert sent(actions) == []
    assert done(actions)


def test_a_provisional_response_to_a_non_invite_request_is_not_forwarded() -> None:
    options = request("OPTIONS")
    context = started(1.0, of=options)
    assert context.response("b0", answer(183, options), 0.5) == []


@pytest.mark.parametrize("received", [True, False])
def test_a_non_invite_request_is_never_answered_408(received: bool) -> None:
    options = request("OPTIONS")
    context = started(1.0, of=options)
    if received:
        actions = context.response("b0", answer(408, options), 30.0)
    else:
        actions = context.failed("b0", "timeout", 32.0)
    assert sent(actions) == []
    assert done(actions)


def test_unknown_branches_and_second_endings_are_ignored() -> None:
    context = started(1.0)
    assert context.response("b9", answer(200), 1.0) == []
    assert context.failed("b9", "timeout", 1.0) == []
    context.response("b0", answer(486), 1.0)
    assert context.response("b0", answer(486), 1.1) == []
    assert context.failed("b0", "timeout", 1.2) == []


def test_further_targets_may_follow_until_the_client_has_its_answer() -> None:
    context = started(1.0)
    assert context.start([Target("c0", "sip:c@192.0.2.5", 0.9)], 0.1) == []
    assert forked(context.response("b0", answer(486), 1.0)) == ["c0"]
    context.response("c0", answer(486), 1.0)
    assert context.start([Target("c1", "sip:c@192.0.2.5")], 2.0) == []
