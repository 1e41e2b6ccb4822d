"""The transaction layer: all transactions of an element, without I/O (RFC 3261 section 17)."""

from __future__ import annotations

from collections import deque
from typing import Final

from sip.flow import Flow
from sip.message import Request, Response
from sip.timers import Timers
from sip.transaction.actions import (
    AckReceived,
    Action,
    CancelReceived,
    Overloaded,
    RequestReceived,
    StrayResponse,
    TransportFailed,
)
from sip.transaction.deadlines import Deadlines
from sip.transaction.invite_client import InviteClient
from sip.transaction.invite_server import InviteServer
from sip.transaction.key import (
    ClientKey,
    ServerKey,
    TransactionKey,
    client_key,
    key_of_invite,
    server_key,
)
from sip.transaction.machine import UNFINISHED, Event, State, Step, Transaction
from sip.transaction.non_invite_client import NonInviteClient
from sip.transaction.non_invite_server import NonInviteServer

_INVITE_RECEIVED: Final = (Event.R1XX, Event.R2XX) + 4 * (Event.R300_699,)
_OTHER_RECEIVED: Final = (Event.R1XX,) + 5 * (Event.R200_699,)
_INVITE_SENT: Final = (Event.S1XX, Event.S2XX) + 4 * (Event.S300_699,)
_OTHER_SENT: Final = (Event.S1XX,) + 5 * (Event.S200_699,)


class TransactionLayer:
    """Matches messages to transactions, runs their machines, and keeps their number bounded.

    Every method returns the actions to carry out, in order. Messages have passed validation: the
    fields that matching reads (Via, CSeq, and From, To, Call-ID for RFC 2543 clients) are well
    formed. `now` is in seconds on any clock that does not go back.

    Two bounds. `max_transactions` limits server transactions, and apart from them client
    transactions, that still wait for a final response; requests within a dialog get a quarter
    more, so that calls that are up can be ended while new ones are refused. `max_lingering`
    limits those that only absorb repetitions (Accepted, Completed, Confirmed); beyond it the
    oldest end early, at the risk that a very late repetition looks new. Raises `ValueError`
    where either is below 1.
    """

    def __init__(
        self,
        timers: Timers,
        *,
        max_transactions: int = 50_000,
        max_lingering: int = 200_000,
    ) -> None:
        if min(max_transactions, max_lingering) < 1:
            raise ValueError("a transaction layer holds at least one transaction")
        self._timers = timers
        self._max_transactions = max_transactions
        self._max_lingering = max_lingering
        self._transactions: dict[TransactionKey, Transaction] = {}
        self._deadlines = Deadlines()
        self._lingering: deque[Transaction] = deque()
        self._unfinished_servers = 0
        self._unfinished_clients = 0

    def __len__(self) -> int:
        """Return the number of transactions, lingering ones included."""
        return len(self._transactions)

    @property
    def unfinished(self) -> int:
        """Number of transactions that still wait for a final response."""
        return self._unfinished_servers + self._unfinished_clients

    def receive(self, message: Request | Response, flow: Flow, now: float) -> list[Action]:
        """Take a message from the transport."""
        step = Step(now, message)
        if isinstance(message, Response):
            self._receive_response(message, flow, step)
        else:
            self._receive_request(message, flow, step)
        return step.actions

    def respond(self, key: ServerKey, response: Response, now: float) -> list[Action]:
        """Send a response of the transaction user.

        Does nothing where the transaction is gone: not even a 2xx is sent without one (RFC 6026
        section 8.8), nor a late answer to a non-INVITE request (RFC 4320 section 4.2).
        """
        step = Step(now, response)
        transaction = self._transactions.get(key)
        if transaction is not None:
            events = _INVITE_SENT if key.method == "INVITE" else _OTHER_SENT
            event = events[response.status_code // 100 - 1]
            self._handle(transaction, event, step)
        return step.actions

    def request(
        self, request: Request, *, reliable: bool, now: float
    ) -> tuple[ClientKey, list[Action]]:
        """Begin a client transaction; the top Via with its unique branch is already on.

        Where the table is full the actions are `TransportFailed` alone, which a proxy treats as
        a 503. A CANCEL always has room, and lets the INVITE of its branch end 64*T1 later (9.1).
        Raises `ValueError` for an ACK, which has no transaction, and for a branch already in use.
        """
        key = client_key(request)
        step = Step(now)
        if request.method == "ACK" or key in self._transactions:
            raise ValueError(f"no client transaction for {request.method} {key.branch!r}")
        if request.method != "CANCEL" and not self._has_room(self._unfinished_clients, request):
            step.actions.append(TransportFailed(key))
            return key, step.actions
        timers = self._timers.on(reliable)
        self._unfinished_clients += 1
        if request.method == "INVITE":
            self._add(InviteClient(key, request, timers, step))
        else:
            self._add(NonInviteClient(key, request, timers, step))
            if request.method == "CANCEL":
                invite = self._transactions.get(ClientKey(key.branch, "INVITE"))
                if invite is not None:
                    self._handle(invite, Event.CANCEL_SENT, step)
        return key, step.actions

    def transport_failed(self, key: TransactionKey, now: float) -> list[Action]:
        """Learn that the last message of a transaction could not be sent."""
        step = Step(now)
        transaction = self._transactions.get(key)
        if transaction is not None:
            self._handle(transaction, Event.TRANSPORT_ERROR, step)
        return step.actions

    def next_deadline(self) -> float | None:
        """Return when `expire` has to be called next, None while no timer runs."""
        return self._deadlines.next()

    def expire(self, now: float) -> list[Action]:
        """Handle every timer that has run out by `now`."""
        step = Step(now)
        for transaction in self._deadlines.due(now):
            unfinished = transaction.state in UNFINISHED
            transaction.fire_due(step)
            self._settle(transaction, unfinished, step)
        return step.actions

    def _receive_response(self, response: Response, flow: Flow, step: Step) -> None:
        key = client_key(response)
        transaction = self._transactions.get(key)
        if transaction is None:
            step.actions.append(StrayResponse(response, flow))
            return
        events = _INVITE_RECEIVED if key.method == "INVITE" else _OTHER_RECEIVED
        event = events[response.status_code // 100 - 1]
        self._handle(transaction, event, step)

    def _receive_request(self, request: Request, flow: Flow, step: Step) -> None:
        key = server_key(request, flow)
        transaction = self._transactions.get(key)
        method = request.method
        if method == "ACK":
            ack = AckReceived(request, flow)
            if transaction is None:
                step.actions.append(ack)
            else:
                step.subject = ack
                self._handle(transaction, Event.ACK, step)
        elif transaction is not None:
            event = Event.INVITE if method == "INVITE" else Event.REQUEST
            self._handle(transaction, event, step)
        elif method == "CANCEL":
            self._begin_cancel(key, request, flow, step)
        else:
            self._begin(key, request, flow, step)

    def _begin(self, key: ServerKey, request: Request, flow: Flow, step: Step) -> None:
        if not self._has_room(self._unfinished_servers, request):
            step.actions.append(Overloaded(request, flow))
            return
        step.actions.append(RequestReceived(key, request, flow))
        timers = self._timers.on(flow.transport != "udp")
        self._unfinished_servers += 1
        if request.method == "INVITE":
            invite = InviteServer(key, request, timers, flow.remote.host)
            invite.begin(self._timers.trying_delay, step)
            self._add(invite)
        else:
            self._add(NonInviteServer(key, timers, step))

    def _begin_cancel(self, key: ServerKey, request: Request, flow: Flow, step: Step) -> None:
        """Begin the transaction of a CANCEL, which is let in whenever its INVITE was.

        Stricter than 9.2, which goes by the branch alone: only the host that sent the INVITE
        may cancel it.
        """
        invite_key: ServerKey | None = key_of_invite(key)
        invite = self._transactions.get(key_of_invite(key))
        if not isinstance(invite, InviteServer) or invite.source != flow.remote.host:
            invite_key = None
            if not self._has_room(self._unfinished_servers, request):
                step.actions.append(Overloaded(request, flow))
                return
        self._unfinished_servers += 1
        self._add(NonInviteServer(key, self._timers.on(flow.transport != "udp"), step))
        step.actions.append(CancelReceived(key, invite_key, request, flow))

    def _has_room(self, unfinished: int, request: Request) -> bool:
        limit = self._max_transactions
        if unfinished < limit:
            return True
        return unfinished < limit + limit // 4 and request.to.tag is not None

    def _add(self, transaction: Transaction) -> None:
        self._transactions[transaction.key] = transaction
        self._deadlines.schedule(transaction)

    def _handle(
        self,
        transaction: Transaction,
        event: Event,
        step: Step,
    ) -> None:
        unfinished = transaction.state in UNFINISHED
        transaction.handle(event, step)
        self._settle(transaction, unfinished, step)

    def _settle(self, transaction: Transaction, unfinished: bool, step: Step) -> None:
        """Bring table, deadlines and counts in line with the state a transaction has now."""
        state = transaction.state
        if unfinished and state not in UNFINISHED:
            if isinstance(transaction.key, ServerKey):
                self._unfinished_servers -= 1
            else:
                self._unfinished_clients -= 1
            if state is not State.TERMINATED:
                self._linger(transaction, step)
        if state is State.TERMINATED:
            del self._transactions[transaction.key]
            self._deadlines.forget(transaction)
        else:
            self._deadlines.schedule(transaction)

    def _linger(self, transaction: Transaction, step: Step) -> None:
        lingering = self._lingering
        while lingering and lingering[0].state is State.TERMINATED:
            lingering.popleft()
        if len(lingering) >= self._max_lingering:
            oldest = lingering.popleft()
            oldest.terminate(step)
            del self._transactions[oldest.key]
            self._deadlines.forget(oldest)
        lingering.append(transaction)
