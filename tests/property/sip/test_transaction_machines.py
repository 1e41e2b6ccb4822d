"""Whatever happens to a transaction, in any order: it never raises and it always ends."""

from dataclasses import dataclass
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from sip.message import Request
from sip.timers import Timers
from sip.transaction.actions import (
    Action,
    RequestReceived,
    ResponseReceived,
    Terminated,
    TimedOut,
    Transmit,
)
from sip.transaction.derived import cancel_for
from sip.transaction.key import ServerKey, TransactionKey, client_key, server_key
from sip.transaction.layer import TransactionLayer
from tests.support.sip_messages import flow, request, response

TIMERS = Timers()
# The longest a transaction may live after the last thing that happened to it: its final response
# after 64*T1, and the wait for an ACK or repetitions of another 64*T1.
LONGEST = 2 * 64 * TIMERS.t1

Kind = Literal["request", "ack", "cancel", "respond", "transport_failed", "wait"]


@dataclass(frozen=True)
class Happening:
    kind: Kind
    status: int
    wait: float


statuses = st.sampled_from([100, 180, 183, 199, 200, 202, 302, 401, 486, 487, 503, 603, 699])
waits = st.sampled_from([0.0, 0.1, 0.2, 0.5, 1.0, 4.0, 5.0, 31.9, 32.0, 100.0])
happenings = st.lists(
    st.builds(
        Happening,
        st.sampled_from(["request", "ack", "cancel", "respond", "transport_failed", "wait"]),
        statuses,
        waits,
    ),
    max_size=30,
)
methods = st.sampled_from(["INVITE", "BYE", "OPTIONS"])


class Bookkeeper:
    """Checks what every list of actions has to keep to, whatever led to it."""

    def __init__(self) -> None:
        self.alive: set[TransactionKey] = set()

    def take(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, RequestReceived):
                assert action.key not in self.alive
                self.alive.add(action.key)
            elif isinstance(action, Terminated):
                self.alive.discard(action.key)
            elif isinstance(action, Transmit | ResponseReceived | TimedOut) and isinstance(
                action.key, ServerKey
            ):
                assert action.key in self.alive or action.key.method == "CANCEL"


def drain(layer: TransactionLayer, now: float, books: Bookkeeper) -> float:
    """Run the clock until no timer is left; every deadline lies ahead and is reached once."""
    steps = 0
    while (deadline := layer.next_deadline()) is not None:
        assert deadline > now or steps == 0
        now = max(now, deadline)
        books.take(layer.expire(now))
        after = layer.next_deadline()
        assert after is None or after > now
        steps += 1
        assert steps < 200
    return now


def happens_to_server(
    layer: TransactionLayer, message: Request, what: Happening, now: float
) -> list[Action]:
    key = server_key(message, flow())
    if what.kind == "request":
        return layer.receive(message, flow(), now)
    if what.kind == "ack":
        return layer.receive(request("ACK", to_tag="b1"), flow(), now)
    if what.kind == "cancel":
        return layer.receive(request("CANCEL"), flow(), now)
    if what.kind == "respond":
        return layer.respond(key, response(message, what.status), now)
    if what.kind == "transport_failed":
        return layer.transport_failed(key, now)
    return layer.expire(now)


@given(methods, happenings)
@settings(deadline=None)
def test_a_server_transaction_survives_any_sequence_and_ends_once_answered(
    method: str, sequence: list[Happening]
) -> None:
    layer, books, now = TransactionLayer(TIMERS), Bookkeeper(), 0.0
    message = request(method)
    books.take(layer.receive(message, flow(), now))
    for what in sequence:
        now += what.wait
        books.take(layer.expire(now))
        books.take(happens_to_server(layer, message, what, now))
    if server_key(message, flow()) in books.alive:
        books.take(layer.respond(server_key(message, flow()), response(message, 486), now))
    assert drain(layer, now, books) <= now + LONGEST
    assert len(layer) == layer.unfinished == 0
    assert not books.alive


def happens_to_client(
    layer: TransactionLayer, message: Request, what: Happening, now: float
) -> list[Action]:
    key = client_key(message)
    if what.kind == "respond":
        return layer.receive(response(message, what.status), flow(), now)
    if what.kind == "transport_failed":
        return layer.transport_failed(key, now)
    return layer.expire(now)


@given(methods, st.booleans(), happenings)
@settings(deadline=None)
def test_a_client_transaction_survives_any_sequence_and_ends_once_cancelled(
    method: str, reliable: bool, sequence: list[Happening]
) -> None:
    layer, books, now = TransactionLayer(TIMERS), Bookkeeper(), 0.0
    message = request(method)
    key, actions = layer.request(message, reliable=reliable, now=now)
    ended = [action for action in actions if isinstance(action, Terminated)]
    for what in sequence:
        now += what.wait
        ended += [a for a in layer.expire(now) if isinstance(a, Terminated)]
        ended += [
            a for a in happens_to_client(layer, message, what, now) if isinstance(a, Terminated)
        ]
    if method == "INVITE":
        layer.request(cancel_for(message), reliable=reliable, now=now)
    drain(layer, now, books)
    assert len(layer) == layer.unfinished == 0
    assert ended.count(Terminated(key)) <= 1


@given(happenings)
@settings(deadline=None)
def test_a_call_gets_at_most_one_kind_of_final_response_however_the_user_errs(
    sequence: list[Happening],
) -> None:
    layer, now = TransactionLayer(TIMERS), 0.0
    message = request()
    layer.receive(message, flow(), now)
    finals: set[int] = set()
    for what in sequence:
        if what.kind == "request":
            continue  # after the end it would rightly be a new transaction
        now += what.wait
        actions = layer.expire(now) + happens_to_server(layer, message, what, now)
        for action in actions:
            if isinstance(action, Transmit) and action.key == server_key(message, flow()):
                status = getattr(action.message, "status_code", 0)
                if status >= 200:
                    finals.add(status // 100 if status < 300 else status)
    assert len(finals) <= 1
