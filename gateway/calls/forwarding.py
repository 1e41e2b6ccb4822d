"""Forwarding one request: the proxy core's actions carried out over the endpoint.

A `Forwarding` lives as long as its server transaction. Responses whose SDP has to be replaced
wait in line behind each other, so that a caller sees them in the order they came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog

from gateway.calls.media_control import SdpExchange, has_sdp
from gateway.calls.next_hops import NextHops
from gateway.refusal import final_response, reason_value
from media.session import MediaRefused
from sip.endpoint import ClientEvent, ClientTransaction, Endpoint, ResponseEvent, ServerTransaction
from sip.flow import Hop, Transport
from sip.locate import NotLocated
from sip.message import Request, Response
from sip.proxy_request import PreparedRequest, prepare_forward
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
from sip.uri import SipUri

_LONGEST_LINE: Final = 64
_OWN_FAILURES: Final = frozenset({408, 500, 503})
# What callers are told of a next hop that failed: never its name or address, those are in the log.
_FAULTS: Final[dict[str, str]] = {
    "absent": "DNS knows no server of the next hop",
    "unavailable": "DNS did not answer for the next hop",
    "unsupported": "The next hop speaks no transport that we do",
    "unresolved": "The next hop was not located",
    "timeout": "The next hop did not answer",
    "transport": "The next hop could not be connected to",
    "tls": "The next hop could not prove its domain over TLS",
}
_log = structlog.get_logger("spingate.forwarding")


@dataclass(frozen=True, slots=True)
class Destination:
    """One place a request is forwarded to.

    `target` becomes the Request-URI; None keeps it, for a request that follows its Route. `hops`
    are known where the flow is (a registered connection); else the next hop is located by
    RFC 3263 over the given transports, from the given listener.
    """

    request: Request
    target: SipUri | None
    listener: str
    transports: frozenset[Transport]
    hops: tuple[Hop, ...] = ()
    record_routes: tuple[str, ...] = ()
    q: float = 1.0

    @property
    def culprit(self) -> str:
        """Whom logs name where the request cannot be delivered."""
        return self.hops[0].address.host if self.hops else str(self.target or "the Route")


class ForwardingWatcher(Protocol):
    """What call control hears of a forwarded request."""

    def sent_to(self, hop: Hop, response: Response) -> None:
        """This response came from this hop, its SDP not yet replaced."""

    def leaving(self, response: Response) -> Response:
        """Return a response as it is to go back."""

    def responded(self, response: Response) -> None:
        """A response, other than 100, went back."""

    def media_refused(self, response: Response, reason: str) -> None:
        """A 2xx came whose SDP cannot be used; the caller gets an error instead."""

    def finished(self) -> None:
        """Nothing more will come."""


class Forwarder:
    """What all forwardings share: the endpoint, the next hops and the timers."""

    def __init__(self, next_hops: NextHops, timers: Timers, loop_key: bytes) -> None:
        self.timers = timers
        self.loop_key = loop_key
        self._next_hops = next_hops
        self._endpoint: Endpoint | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint requests leave by; it is made after its transaction user, then attached."""
        assert self._endpoint is not None, "attach() comes first"
        return self._endpoint

    def attach(self, endpoint: Endpoint) -> None:
        """Give the endpoint, once."""
        self._endpoint = endpoint

    async def locate(self, destination: Destination, next_hop: SipUri | None) -> tuple[Hop, ...]:
        """Return the hops for a destination, best first; raises NotLocated."""
        if destination.hops:
            return destination.hops
        if next_hop is None:
            raise NotLocated("unsupported", "the next hop is no SIP URI")
        return await self._next_hops.find(next_hop, destination.listener, destination.transports)

    def forward(
        self,
        transaction: ServerTransaction,
        destinations: Sequence[Destination],
        watcher: ForwardingWatcher,
        exchange: SdpExchange | None = None,
    ) -> Forwarding:
        """Start to forward the request of a server transaction."""
        forwarding = Forwarding(self, transaction, destinations, watcher, exchange)
        forwarding.begin()
        return forwarding

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run work in the background, kept from the garbage collector until it is done."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("a task failed in the gateway", exc_info=task.exception())


class Forwarding:
    """One server transaction on its way to one or more destinations."""

    def __init__(
        self,
        forwarder: Forwarder,
        transaction: ServerTransaction,
        destinations: Sequence[Destination],
        watcher: ForwardingWatcher,
        exchange: SdpExchange | None,
    ) -> None:
        self._forwarder = forwarder
        self._transaction = transaction
        self._watcher = watcher
        self._exchange = exchange
        self._loop = asyncio.get_running_loop()
        self._destinations = {str(index): each for index, each in enumerate(destinations)}
        self._context = ResponseContext(transaction.request, forwarder.timers)
        self._clients: dict[str, ClientTransaction] = {}
        self._given_up: set[str] = set()
        self._fault: str | None = None
        self._line: list[Response] = []  # seldom used, and an empty deque takes 600 octets
        self._editing = False
        self._completed = False
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Send the request to the first destinations."""
        targets = [
            Target(identifier, str(each.target), each.q)
            for identifier, each in self._destinations.items()
        ]
        self._carry_out(self._context.start(targets, self._loop.time()))

    def cancel(self) -> None:
        """The caller gave up: cancel what is pending (RFC 3261 section 16.10)."""
        self._carry_out(self._context.cancel(self._loop.time()))

    def _carry_out(self, actions: list[ContextAction]) -> None:
        for action in actions:
            match action:
                case ForwardRequest(branch_id=branch, target=target, max_breadth=breadth):
                    self._send(branch, self._destinations[target.id], breadth)
                case ForwardResponse(response=response):
                    self._reply(response)
                case CancelBranch(branch_id=branch):
                    self._cancel_branch(branch)
                case Completed():
                    self._completed = True
                    self._finish_if_idle()
        self._arm()

    def _cancel_branch(self, branch: str) -> None:
        client = self._clients.get(branch)
        if client is None:
            self._given_up.add(branch)  # still being located: it will not be sent at all
        else:
            client.cancel()

    def _arm(self) -> None:
        deadline = None if self._completed else self._context.next_deadline()
        if self._timer is not None:
            if deadline is not None and self._timer.when() <= deadline:
                return  # it wakes early and sets itself anew: cheaper than one timer an event
            self._timer.cancel()
            self._timer = None
        if deadline is not None:
            self._timer = self._loop.call_at(deadline, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self._carry_out(self._context.expire(self._loop.time()))

    def _send(self, branch: str, destination: Destination, breadth: int) -> None:
        prepared = prepare_forward(
            destination.request,
            None if destination.target is None else str(destination.target),
            record_routes=destination.record_routes,
            loop_key=self._forwarder.loop_key,
            max_breadth=breadth,
        )
        if destination.hops:
            self._launch(branch, destination, prepared, destination.hops)
        else:
            self._forwarder.spawn(self._locate_and_send(branch, destination, prepared))

    async def _locate_and_send(
        self, branch: str, destination: Destination, prepared: PreparedRequest
    ) -> None:
        try:
            hops = await self._forwarder.locate(destination, prepared.next_hop)
        except NotLocated as error:
            _log.warning(
                "next hop not located",
                culprit=destination.culprit,
                cause=error.cause,
                detail=error.detail,
                call_id=self._transaction.request.call_id,
            )
            self._fault = _FAULTS[error.cause]
            self._carry_out(self._context.failed(branch, "unresolved", self._loop.time()))
            return
        if branch in self._given_up:
            self._carry_out(self._context.failed(branch, "timeout", self._loop.time()))
        else:
            self._launch(branch, destination, prepared, hops)

    def _launch(
        self,
        branch: str,
        destination: Destination,
        prepared: PreparedRequest,
        hops: tuple[Hop, ...],
    ) -> None:
        def on_event(event: ClientEvent) -> None:
            self._on_event(branch, destination, event)

        self._clients[branch] = self._forwarder.endpoint.send(
            prepared.request, hops, on_event, branch_suffix=prepared.branch_suffix
        )

    def _on_event(self, branch: str, destination: Destination, event: ClientEvent) -> None:
        now = self._loop.time()
        if isinstance(event, ResponseEvent):
            self._watcher.sent_to(event.hop, event.response)
            self._carry_out(self._context.response(branch, event.response, now))
            return
        _log.warning(
            "request not delivered",
            culprit=destination.culprit,
            cause=event.cause,
            detail=event.detail,
            call_id=self._transaction.request.call_id,
        )
        self._fault = _FAULTS[event.cause]
        self._carry_out(self._context.failed(branch, event.cause, now))

    def _reply(self, response: Response) -> None:
        # A device may have been shown another From than the caller sent: a mark, a verified name.
        sent = self._transaction.request.headers.get("From")
        if sent is not None and response.headers.get("From") != sent:
            response = response.with_headers(response.headers.replace("From", sent))
        needs_editing = self._exchange is not None and has_sdp(response)
        if not needs_editing and not self._editing:
            self._respond(response)
            return
        if len(self._line) >= _LONGEST_LINE:
            return
        self._line.append(response)
        if not self._editing:
            self._editing = True
            self._forwarder.spawn(self._edit_line())

    async def _edit_line(self) -> None:
        assert self._exchange is not None
        try:
            while self._line:
                response = self._line.pop(0)
                try:
                    edited = await self._exchange.response(response)
                except MediaRefused as error:
                    self._refuse_media(response, error)
                else:
                    self._respond(edited)
        finally:
            self._editing = False
        self._finish_if_idle()

    def _refuse_media(self, response: Response, error: MediaRefused) -> None:
        if response.status_code < 200:
            self._respond(response.with_body(b"", None))
            return
        self._watcher.media_refused(response, error.reason)
        reason = ("Reason", reason_value(error.status, error.reason))
        self._respond(final_response(self._transaction.request, error.status, headers=(reason,)))

    def _respond(self, response: Response) -> None:
        if response.status_code >= 300 and self._exchange is not None:
            self._exchange.failed()
        response = self._watcher.leaving(self._explained(response))
        self._transaction.respond(response)
        self._watcher.responded(response)

    def _explained(self, response: Response) -> Response:
        """Say why, in a response that stands for a next hop which gave none (RFC 3326)."""
        status = response.status_code
        if self._fault is None or status not in _OWN_FAILURES or "Reason" in response.headers:
            return response
        reason = reason_value(status, self._fault)
        return response.with_headers(response.headers.append("Reason", reason))

    def _finish_if_idle(self) -> None:
        if self._completed and not self._editing and not self._line:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._watcher.finished()
