"""The asyncio driver of SIP: bytes from the transports become events of a transaction user.

Everything that decides lives in engines without I/O (validation, transactions, fail-over); this
file runs their actions, keeps one timer, and never lets anything from the network raise.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sip.client_transaction import ClientEvent, ClientTransaction, FailedEvent, ResponseEvent
from sip.flow import Flow, Hop
from sip.headers import MalformedHeader
from sip.message import Request, Response
from sip.outgoing import Outgoing
from sip.own_responses import OwnResponses
from sip.parser import MalformedMessage
from sip.timers import Timers
from sip.transaction.actions import (
    AckReceived,
    Action,
    CancelReceived,
    Overloaded,
    RequestReceived,
    ResponseReceived,
    StrayResponse,
    Terminated,
    TimedOut,
    Transmit,
    TransportFailed,
)
from sip.transaction.key import ClientKey, ServerKey
from sip.transaction.layer import TransactionLayer
from sip.transaction_user import (
    EndpointSettings,
    Observer,
    ServerTransaction,
    TransactionUser,
)
from sip.transport.receiver import SendFailed
from sip.transport.settings import ListenerSettings
from sip.transport.transport_set import TransportSet
from sip.transport.via import reply_address, stamp_via
from sip.validate import Assessment, assess, assess_malformed

__all__ = [
    "ClientEvent",
    "ClientTransaction",
    "Endpoint",
    "EndpointSettings",
    "FailedEvent",
    "Observer",
    "ResponseEvent",
    "ServerTransaction",
    "TransactionUser",
]

_log = logging.getLogger(__name__)

# Timers closer than this are handled together: transactions by the thousand, one wake-up.
_TIMER_GRAIN = 0.01


class Endpoint:
    """SIP over all listeners, for one transaction user.

    To be made inside the event loop it runs on. Raises ValueError and OSError as TransportSet
    does.
    """

    def __init__(
        self,
        settings: EndpointSettings,
        listeners: Sequence[ListenerSettings],
        user: TransactionUser,
        *,
        timers: Timers,
        observer: Observer | None = None,
    ) -> None:
        self.transports = TransportSet(listeners, self, max_waiting=settings.max_connecting)
        self._user = user
        self._observer = observer
        self._layer = TransactionLayer(
            timers,
            max_transactions=settings.max_transactions,
            max_lingering=settings.max_lingering,
        )
        self._servers: dict[ServerKey, ServerTransaction] = {}
        self._outgoing = Outgoing(
            self.transports,
            self._layer,
            self,
            udp_limit=settings.udp_limit,
            failover_after=settings.failover_after,
        )
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._draining = False
        self._drained = asyncio.Event()
        self._own = OwnResponses(settings.retry_after)
        self._do: dict[type[Action], Callable[[Any], None]] = {
            Transmit: self._transmit,
            RequestReceived: self._request_received,
            CancelReceived: self._cancel_received,
            AckReceived: self._ack_received,
            ResponseReceived: self._response_received,
            StrayResponse: self._stray_response,
            TimedOut: self._timed_out,
            TransportFailed: self._transport_failed,
            Terminated: self._terminated,
            Overloaded: self._overload,
        }

    # Life.

    async def start(self) -> None:
        """Bind every listener; raises OSError."""
        self._loop = asyncio.get_running_loop()
        await self.transports.start()

    async def stop(self, *, drain: float = 0.0) -> None:
        """Refuse new requests, let what is under way end for `drain` seconds, close everything."""
        self._draining = True
        await self.transports.stop_accepting()
        if self._layer.unfinished and drain > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._drained.wait(), drain)
        if self._timer is not None:
            self._timer.cancel()
        await self.transports.stop()

    @property
    def unfinished(self) -> int:
        """How many transactions still wait for a final response."""
        return self._layer.unfinished

    # For the transaction user.

    def send(
        self,
        request: Request,
        hops: Sequence[Hop],
        on_event: Callable[[ClientEvent], None],
        *,
        branch_suffix: str = "",
    ) -> ClientTransaction:
        """Send a request to the first hop that takes it (RFC 3263 4.3).

        Each attempt gets our Via with a fresh branch. `on_event` gets every provisional response,
        then one final response or a FailedEvent, then repeated 2xx responses to an INVITE; it is
        not called before send has returned.
        """
        return self._outgoing.send(request, hops, on_event, branch_suffix)

    def send_stateless(self, request: Request, hop: Hop, *, branch_suffix: str = "") -> None:
        """Send a request without a transaction: the ACK to a 2xx; failures are only observed."""

        def write(result: Flow | SendFailed) -> None:
            if isinstance(result, SendFailed):
                self.dropped(f"unsent: {result.detail}", self.transports.flow_to(hop))
                return
            sent = self._outgoing.with_via(request, result, branch_suffix)
            try:
                self._write(result, sent)
            except SendFailed as failure:
                self.dropped(f"unsent: {failure.detail}", result)

        try:
            flow = self._outgoing.ready_flow(hop)
        except SendFailed as failure:
            _log.info("%s for call %s not sent: %s", request.method, request.call_id, failure)
            return
        if flow is None:
            self._outgoing.connect(hop, write)
        else:
            write(flow)

    def respond(self, key: ServerKey, response: Response) -> None:
        """Send a response of a server transaction; ServerTransaction.respond is the way here."""
        self.run(self._layer.respond(key, response, self._loop.time()))

    # From the transports (Receiver).

    def received(self, message: Request | Response, flow: Flow) -> None:
        """A message arrived: stamp, judge, and hand it to its transaction."""
        if isinstance(message, Request):
            message = _stamped(message, flow)
        if self._observer is not None:
            self._observer.message("in", flow, message)
        verdict = assess(message, flow.transport)
        if verdict.outcome == "forward":
            if self._draining and isinstance(message, Request) and _begins_something(message):
                self._overloaded(message, flow)
            else:
                self.run(self._layer.receive(message, flow, self._loop.time()))
        elif verdict.outcome == "answer" and isinstance(message, Request):
            self._answer(message, verdict, flow)
        else:
            self.dropped(f"malformed: {verdict.reason}", flow)

    def malformed(self, error: MalformedMessage, flow: Flow) -> None:
        """Something that is no SIP message arrived: an answer where one is owed, else silence."""
        verdict = assess_malformed(error)
        if verdict.outcome == "answer" and error.partial is not None:
            self._answer(_stamped(error.partial, flow), verdict, flow)
        else:
            self.dropped(f"malformed: {verdict.reason}", flow)

    def dropped(self, reason: str, flow: Flow) -> None:
        """Report what was dropped to the observer."""
        if self._observer is not None:
            self._observer.dropped(reason, flow)

    def closed(self, flow: Flow, reason: str) -> None:
        """A connection is gone: requests on it that nobody answered yet have failed."""
        for key in self._outgoing.unanswered_on(flow):
            self.fail(key, reason)

    # For the sending half (Driver).

    def now(self) -> float:
        """Give the event loop's time."""
        return self._loop.time()

    def soon(self, call: Callable[[], None]) -> None:
        """Call from the event loop, errors caught."""
        self._loop.call_soon(self.guarded, call)

    def guarded(self, call: Callable[[], None]) -> None:
        """Call, and log what it raises: one call that goes wrong must not stop the others."""
        try:
            call()
        except Exception:  # noqa: BLE001 - the outermost loop: our own fault, never the peer's
            _log.exception("the transaction user failed")

    def later(self, delay: float, call: Callable[[], None]) -> Callable[[], None]:
        """Call in `delay` seconds, errors caught; the returned function stops that."""
        return self._loop.call_later(delay, self.guarded, call).cancel

    def fail(self, key: ClientKey, detail: str) -> None:
        """Tell the layer that a client transaction cannot go on, and why."""
        self._outgoing.note_fault(key, detail)
        self.run(self._layer.transport_failed(key, self._loop.time()))

    def run(self, actions: Iterable[Action]) -> None:
        """Carry out actions of the transaction layer, then set the timer."""
        for action in actions:
            self._do[type(action)](action)
        self._set_timer()
        if self._draining and not self._layer.unfinished:
            self._drained.set()

    # Actions.

    def _transmit(self, action: Transmit) -> None:
        key = action.key
        if isinstance(key, ServerKey):
            self._send_response(key, action.message)
            return
        flow = self._outgoing.flow_of(key)
        if flow is None:
            return
        try:
            self._write(flow, action.message)
        except SendFailed as failure:
            self.fail(key, failure.detail)

    def _request_received(self, action: RequestReceived) -> None:
        transaction = ServerTransaction(self, action.key, action.request, action.flow)
        self._servers[action.key] = transaction
        try:
            self._user.on_request(transaction, action.request, action.flow)
        except Exception:  # noqa: BLE001 - the outermost loop: our own fault, never the peer's
            _log.exception("call %s: the transaction user failed", action.request.call_id)
            if not transaction.final_sent:
                transaction.respond(self._own.make(action.request, 500))

    def _cancel_received(self, action: CancelReceived) -> None:
        cancel = ServerTransaction(self, action.key, action.request, action.flow)
        self._servers[action.key] = cancel
        invite = self._servers.get(action.invite_key) if action.invite_key is not None else None
        cancel.respond(self._own.make(action.request, 481 if invite is None else 200))
        if invite is not None and not invite.final_sent:
            self.guarded(lambda: self._user.on_cancel(invite, action.request))

    def _ack_received(self, action: AckReceived) -> None:
        self.guarded(lambda: self._user.on_ack(action.request, action.flow))

    def _response_received(self, action: ResponseReceived) -> None:
        self.guarded(lambda: self._outgoing.response_received(action.key, action.response))

    def _stray_response(self, action: StrayResponse) -> None:
        self.dropped("unmatched: response to no request of ours", action.flow)

    def _timed_out(self, action: TimedOut) -> None:
        key = action.key
        if isinstance(key, ClientKey):
            self.guarded(lambda: self._outgoing.timed_out(key))
        elif (server := self._servers.get(key)) is not None and server.on_timeout is not None:
            self.guarded(server.on_timeout)

    def _transport_failed(self, action: TransportFailed) -> None:
        key = action.key
        if isinstance(key, ClientKey):
            self.guarded(lambda: self._outgoing.transport_failed(key))
        elif (server := self._servers.get(key)) is not None and server.on_failure is not None:
            self.guarded(server.on_failure)

    def _terminated(self, action: Terminated) -> None:
        if isinstance(action.key, ClientKey):
            self._outgoing.terminated(action.key)
        else:
            self._servers.pop(action.key, None)

    def _overload(self, action: Overloaded) -> None:
        self._overloaded(action.request, action.flow)

    # Sending.

    def _send_response(self, key: ServerKey, message: Request | Response) -> None:
        """Send a response where its request came from (RFC 3261 18.2.2)."""
        server = self._servers.get(key)
        if server is None:
            return
        try:
            self._write(server.flow, message)
            return
        except SendFailed as failure:
            hop = self._way_back(server)
            if hop is None or (isinstance(message, Response) and message.status_code < 200):
                self._log_undelivered(key, server, failure.detail)
                return

        def write(result: Flow | SendFailed) -> None:
            try:
                if isinstance(result, SendFailed):
                    raise result
                self._write(result, message)
            except SendFailed as failure:
                self._log_undelivered(key, server, failure.detail)

        self._outgoing.connect(hop, write)

    def _way_back(self, server: ServerTransaction) -> Hop | None:
        flow = server.flow
        if flow.transport == "udp":
            return None
        address, name = reply_address(server.request, flow)
        tls_name = name if flow.transport == "tls" else None
        return Hop(flow.transport, address, listener=flow.listener, tls_name=tls_name)

    def _log_undelivered(self, key: ServerKey, server: ServerTransaction, detail: str) -> None:
        self.dropped(f"undelivered: {detail}", server.flow)
        self.run(self._layer.transport_failed(key, self._loop.time()))

    def _answer(self, request: Request, verdict: Assessment, flow: Flow) -> None:
        """Answer without a transaction what never becomes one."""
        self._reply(self._own.refusal(request, verdict), flow)
        self.dropped(f"answered {verdict.status}: {verdict.reason}", flow)

    def _overloaded(self, request: Request, flow: Flow) -> None:
        self._reply(self._own.overloaded(request), flow)
        self.dropped("overloaded: answered 503", flow)

    def _reply(self, response: Response, flow: Flow) -> None:
        try:
            self._write(flow, response)
        except SendFailed as failure:
            self.dropped(f"undelivered: {failure.detail}", flow)

    def _write(self, flow: Flow, message: Request | Response) -> None:
        # Observed first: the answer may be observed elsewhere before a slow trace is written.
        if self._observer is not None:
            self._observer.message("out", flow, message)
        self.transports.write(flow, message.to_bytes())

    # The timer.

    def _set_timer(self) -> None:
        deadline = self._layer.next_deadline()
        if deadline is None or (self._timer is not None and self._timer_at <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = max(deadline, self._loop.time() + _TIMER_GRAIN)
        self._timer = self._loop.call_at(self._timer_at, self._expire)

    def _expire(self) -> None:
        self._timer = None
        # A loop's clock may lag behind the timer it has just fired.
        self.run(self._layer.expire(max(self._loop.time(), self._timer_at)))


def _stamped(request: Request, flow: Flow) -> Request:
    try:
        return stamp_via(request, flow)
    except MalformedHeader:
        return request  # validation names what is wrong


def _begins_something(request: Request) -> bool:
    """A request outside of any dialog that is not about one under way."""
    return request.method not in ("ACK", "CANCEL") and request.to.tag is None
