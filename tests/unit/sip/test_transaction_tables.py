"""Walks every state x event of the four machines: the tables are exhaustive and true."""

from itertools import product

import pytest

from sip.timers import Timers
from sip.transaction import invite_client, invite_server, non_invite_client, non_invite_server
from sip.transaction.actions import AckReceived, Terminated
from sip.transaction.invite_client import InviteClient
from sip.transaction.invite_server import InviteServer
from sip.transaction.key import ClientKey, ServerKey
from sip.transaction.machine import Event, State, Step, Transaction, Transitions
from sip.transaction.non_invite_client import NonInviteClient
from sip.transaction.non_invite_server import NonInviteServer
from tests.support.sip_messages import BRANCH, flow, request, response

TIMERS = Timers().unreliable
TABLES: dict[str, tuple[type[Transaction], Transitions]] = {
    "invite_client": (InviteClient, invite_client.TRANSITIONS),
    "invite_server": (InviteServer, invite_server.TRANSITIONS),
    "non_invite_client": (NonInviteClient, non_invite_client.TRANSITIONS),
    "non_invite_server": (NonInviteServer, non_invite_server.TRANSITIONS),
}
STATUS = {
    Event.R1XX: 180, Event.R2XX: 200, Event.R300_699: 486, Event.R200_699: 200,
    Event.S1XX: 180, Event.S2XX: 200, Event.S300_699: 486, Event.S200_699: 200,
}  # fmt: skip


def begin(name: str, step: Step) -> Transaction:
    if name == "invite_client":
        return InviteClient(ClientKey(BRANCH, "INVITE"), request(), TIMERS, step)
    if name == "non_invite_client":
        return NonInviteClient(ClientKey(BRANCH, "BYE"), request("BYE"), TIMERS, step)
    if name == "invite_server":
        key = ServerKey(BRANCH, ("alpha.example", 5060), "INVITE")
        transaction = InviteServer(key, request(), TIMERS, "192.0.2.1")
        transaction.begin(0.2, step)
        return transaction
    return NonInviteServer(ServerKey(BRANCH, ("alpha.example", 5060), "BYE"), TIMERS, step)


def states(name: str) -> list[State]:
    return sorted(TABLES[name][0].ignored)


def events(name: str) -> list[Event]:
    machine, transitions = TABLES[name]
    listed = {event for _, event in transitions}
    return sorted(listed.union(*machine.ignored.values()))


PAIRS = [(name, *pair) for name in TABLES for pair in product(states(name), events(name))]


@pytest.mark.parametrize(("name", "state", "event"), PAIRS)
def test_each_state_and_event_is_either_a_row_or_ignored_by_name(
    name: str, state: State, event: Event
) -> None:
    machine, transitions = TABLES[name]
    assert ((state, event) in transitions) != (event in machine.ignored[state])


@pytest.mark.parametrize(("name", "state", "event"), PAIRS)
def test_each_state_and_event_does_what_its_row_says(name: str, state: State, event: Event) -> None:
    transaction = begin(name, Step(0.0))
    transaction.state = state
    step = Step(1.0)
    step.subject = response(request(), STATUS[event]) if event in STATUS else None
    if event is Event.ACK:
        step.subject = AckReceived(request("ACK"), flow())
    transaction.handle(event, step)
    row = TABLES[name][1].get((state, event))
    assert transaction.state is (state if row is None else row[1])
    if row is None:
        assert step.actions == []
    assert (Terminated(transaction.key) in step.actions) == (
        row is not None and row[1] is State.TERMINATED
    )


@pytest.mark.parametrize("name", TABLES)
def test_every_timer_of_a_state_has_a_row(name: str) -> None:
    machine, transitions = TABLES[name]
    assert sorted(machine.state_timers) == states(name)
    for state, timers in machine.state_timers.items():
        for event in timers:
            assert event is None or (state, event) in transitions


@pytest.mark.parametrize("name", TABLES)
def test_every_state_can_be_left_and_reaches_the_end(name: str) -> None:
    _, transitions = TABLES[name]
    ends = {State.TERMINATED}
    for _ in State:
        ends |= {state for (state, _), (_, to) in transitions.items() if to in ends}
    assert ends == set(states(name))


@pytest.mark.parametrize("name", TABLES)
def test_nothing_is_kept_of_a_terminated_transaction(name: str) -> None:
    transaction = begin(name, Step(0.0))
    transaction.terminate(Step(1.0))
    assert transaction.request is None
    assert transaction.response is None
    assert transaction.deadline == float("inf")
