"""Whatever branches do, in any order: the client gets its one answer, and the context ends."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from sip.message import Request
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


@dataclass(frozen=True)
class Happening:
    branch: int
    status: int
    wait: float


happenings = st.lists(
    st.builds(
        Happening,
        st.integers(0, 5),
        # 0 is a failure of the branch, 1 a CANCEL of the caller, 2 nothing but time.
        st.sampled_from([0, 1, 2, 100, 180, 200, 302, 401, 486, 487, 503, 603]),
        st.sampled_from([0.0, 0.5, 32.0, 100.0, 181.0]),
    ),
    max_size=40,
)
qs = st.lists(st.sampled_from([0.1, 0.5, 1.0]), max_size=6)


class Client:
    """What the server transaction and the branches have seen."""

    def __init__(self, message: Request) -> None:
        self.message = message
        self.open: set[str] = set()
        self.tried: set[str] = set()
        self.finals: list[int] = []
        self.completions = 0

    def take(self, actions: list[ContextAction]) -> None:
        for action in actions:
            if isinstance(action, ForwardRequest):
                assert action.branch_id not in self.tried
                assert not self.finals
                assert self.completions == 0
                self.tried.add(action.branch_id)
                self.open.add(action.branch_id)
            elif isinstance(action, CancelBranch):
                assert action.branch_id in self.tried
            elif isinstance(action, ForwardResponse):
                status = action.response.status_code
                assert action.response.headers.all("Via") == self.message.headers.all("Via")
                assert status != 100
                if status < 200:
                    assert not self.finals
                else:
                    # Every 2xx to an INVITE is forwarded (16.7 item 5), even of a branch that
                    # was given up; the server transaction discards it after a refusal.
                    assert not self.finals or (status < 300 and self.message.method == "INVITE")
                    self.finals.append(status)
            elif isinstance(action, Completed):
                self.completions += 1


@given(st.sampled_from(["INVITE", "OPTIONS"]), qs, happenings)
@settings(deadline=None)
def test_a_context_survives_any_sequence_and_completes_once(
    method: str, order: list[float], sequence: list[Happening]
) -> None:
    message = request(method)
    context, client, now = ResponseContext(message, Timers()), Client(message), 0.0
    client.take(
        context.start([Target(str(n), "sip:b@192.0.2.4", q) for n, q in enumerate(order)], 0.0)
    )
    for what in sequence:
        now += what.wait
        client.take(context.expire(now))
        branch = str(what.branch)
        if what.status == 0:
            client.take(context.failed(branch, "transport", now))
        elif what.status == 1:
            client.take(context.cancel(now))
        elif what.status > 2 and branch in client.tried:
            answer = response(with_via(message, "z9hG4bKours"), what.status)
            client.take(context.response(branch, answer, now))
    while not context.completed:
        for branch in sorted(client.open):
            client.take(context.failed(branch, "timeout", now))
    assert client.completions == 1
    assert context.next_deadline() is None
    assert len(client.finals) >= (method == "INVITE")


@given(qs.filter(bool), happenings)
@settings(deadline=None)
def test_an_invite_nobody_answers_ends_by_timer_c_alone(
    order: list[float], sequence: list[Happening]
) -> None:
    message = request()
    context, client, now = ResponseContext(message, Timers()), Client(message), 0.0
    client.take(
        context.start([Target(str(n), "sip:b@192.0.2.4", q) for n, q in enumerate(order)], 0.0)
    )
    for what in sequence:
        if str(what.branch) in client.tried and 100 <= what.status < 200:
            answer = response(with_via(message, "z9hG4bKours"), what.status)
            client.take(context.response(str(what.branch), answer, now))
    steps = 0
    while (deadline := context.next_deadline()) is not None:
        assert deadline > now
        now = deadline
        client.take(context.expire(now))
        steps += 1
        assert steps <= 2 * len(order)
    assert client.finals == [408]
    assert client.completions == 1
