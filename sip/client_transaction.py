"""Sending one request to the first of several hops that takes it (RFC 3263 4.3, RFC 3261 9.1).

To its user this is one client transaction. Inside there is one per attempt: each hop gets a Via
with a branch of its own, and a hop that cannot be reached, whose certificate is wrong, that stays
silent or answers 503 makes room for the next. No I/O happens here: a Carrier does it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from sip.flow import Flow, Hop
from sip.message import Request, Response, response_to
from sip.transaction.key import ClientKey
from sip.transport.receiver import SendFailed

Cause = Literal["timeout", "transport", "tls", "unresolved"]

_MAX_DETAILS = 4
_UNSENT_TAG = "never-sent"


@dataclass(frozen=True, slots=True)
class ResponseEvent:
    """A response came from `hop`; our Via is still on top of it.

    `flow` is what the request went out on, None for the 487 made here when a request was
    cancelled before it was sent at all.
    """

    response: Response
    hop: Hop
    flow: Flow | None


@dataclass(frozen=True, slots=True)
class FailedEvent:
    """No hop gave a final response; `detail` says for each whose fault that was."""

    cause: Cause
    detail: str


ClientEvent = ResponseEvent | FailedEvent


class Carrier(Protocol):
    """What sending needs of the wire; sip.outgoing has it."""

    def plan(self, request: Request, hops: Sequence[Hop]) -> list[Hop]:
        """Give the hops to try, in order: TCP before UDP for what is long, bad ones last."""

    def patience(self, call: Callable[[], None]) -> Callable[[], None]:
        """Call when a hop was silent too long; the returned function stops that."""

    def reached(self, hop: Hop, response: Response) -> None:
        """A hop answered."""

    def unreached(self, hop: Hop) -> None:
        """A hop could not be reached, or stayed silent."""

    def give_up(self, key: ClientKey, detail: str) -> None:
        """End a transaction of the layer that had no response; it reports that it failed."""

    def ready_flow(self, hop: Hop) -> Flow | None:
        """Give a flow that is open, None where `connect` is needed; raises SendFailed."""

    def connect(self, hop: Hop, then: Callable[[Flow | SendFailed], None]) -> Callable[[], None]:
        """Open a flow and call `then` later, unless the returned function is called before."""

    def with_via(self, request: Request, flow: Flow, suffix: str) -> Request:
        """Push a Via with a fresh branch for a flow."""

    def with_via_for(self, request: Request, hop: Hop, suffix: str) -> Request:
        """Push a Via for a hop that has no flow yet."""

    def begin(self, attempt: "ClientTransaction", request: Request, flow: Flow) -> None:
        """Begin a client transaction of the layer; `attempt.key` is set before anything is sent."""

    def cancel(self, key: ClientKey, headers: Sequence[tuple[str, str]]) -> None:
        """Send CANCEL for a transaction that had a provisional response."""

    def soon(self, call: Callable[[], None]) -> None:
        """Call after the present event was handled."""


class ClientTransaction:
    """One request on its way; made by Endpoint.send."""

    __slots__ = (
        "_cancel_headers",
        "_cancel_sent",
        "_carrier",
        "_details",
        "_early",
        "_flow",
        "_give_up_connecting",
        "_hops",
        "_last_503",
        "_on_event",
        "_provisional",
        "_request",
        "_retried",
        "_reused",
        "_stop_waiting",
        "_suffix",
        "finished",
        "hop",
        "key",
    )

    def __init__(
        self,
        request: Request,
        hops: Sequence[Hop],
        on_event: Callable[[ClientEvent], None],
        carrier: Carrier,
        suffix: str,
    ) -> None:
        self.hop: Hop | None = None
        self.key: ClientKey | None = None
        self.finished = False
        self._request = request
        self._hops = carrier.plan(request, hops)
        self._on_event = on_event
        self._carrier = carrier
        self._suffix = suffix
        self._flow: Flow | None = None
        self._give_up_connecting: Callable[[], None] | None = None
        self._stop_waiting: Callable[[], None] | None = None
        self._details: list[tuple[Cause, str]] = []
        self._last_503: ResponseEvent | None = None
        self._cancel_headers: Sequence[tuple[str, str]] | None = None
        self._cancel_sent = False
        self._provisional = False
        self._early = False
        self._reused = False
        self._retried = False

    def start(self) -> None:
        """Try the first hop; called once."""
        self._next()

    def cancel(self, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Cancel the request (RFC 3261 9.1); `headers` (Reason, RFC 3326) go on the CANCEL.

        Waits for a provisional response; the final one comes as an event. A request that waits
        for its connection was never sent: it ends with a 487 made here.
        """
        if self.finished or self._cancel_headers is not None:
            return
        self._cancel_headers = tuple(headers)
        if self._give_up_connecting is not None:
            self._give_up_connecting()
            self._give_up_connecting = None
            self._end_unsent()
        elif self._provisional:
            self._send_cancel()

    # What the endpoint reports about the current attempt.

    def response_received(self, key: ClientKey, response: Response) -> None:
        """The layer passed a response up."""
        hop, status = self.hop, response.status_code
        if key != self.key or hop is None:
            return
        self._be_patient()
        self._carrier.reached(hop, response)
        event = ResponseEvent(response, hop, self._flow)
        if status < 200:
            self._provisional = True
            self._early = self._early or status > 100
            if self._cancel_headers is not None:
                self._send_cancel()
        elif status == 503 and self._may_go_on():
            self._last_503 = event
            self._next()
            return
        else:
            self.finished = True
        self._on_event(event)

    def timed_out(self, key: ClientKey) -> None:
        """Timer B or F fired, or a CANCEL stayed without effect."""
        if key != self.key or self.hop is None or self.finished:
            return
        self._blame_hop()
        self._failed("timeout", f"{self.hop.transport}: {self.hop.address} did not answer")

    def transport_failed(self, key: ClientKey, detail: str | None) -> None:
        """The request could not be sent, or its connection broke before any answer.

        Without `detail` it is nobody's fault but ours: the table of transactions is full.
        """
        hop = self.hop
        if key != self.key or hop is None or self.finished:
            return
        if (
            detail
            and self._reused
            and not self._retried
            and not self._provisional
            and hop.flow is None
        ):
            # An old connection may have died unnoticed: that says nothing against the hop.
            self._retried = True
            self._hops.insert(0, hop)
        elif detail is not None:
            self._blame_hop()
        self._failed("transport", detail or "our own limit of transactions is reached")

    def _next(self) -> None:
        self.key = None
        self._flow = None
        while self._hops:
            hop = self._hops.pop(0)
            self.hop = hop
            try:
                flow = self._carrier.ready_flow(hop)
            except SendFailed as failure:
                self._details.append((failure.cause, failure.detail))
                continue
            if flow is None:
                self._reused = False
                self._give_up_connecting = self._carrier.connect(hop, self._connected)
            else:
                self._reused = True
                self._begin(flow)
            return
        self._exhausted()

    def _connected(self, result: Flow | SendFailed) -> None:
        self._give_up_connecting = None
        if isinstance(result, SendFailed):
            self._blame_hop()
            self._failed(result.cause, result.detail)
        else:
            self._begin(result)

    def _begin(self, flow: Flow) -> None:
        self._flow = flow
        self._provisional = self._early = False
        request = self._carrier.with_via(self._request, flow, self._suffix)
        if self._hops:
            self._stop_waiting = self._carrier.patience(self._silent)
        self._carrier.begin(self, request, flow)

    def _failed(self, cause: Cause, detail: str) -> None:
        self._be_patient()
        self._details.append((cause, detail))
        if self._may_go_on():
            self._next()
        else:
            self._exhausted()

    def _may_go_on(self) -> bool:
        """Another hop may be tried: not once a phone rings there, nor for a cancelled request."""
        return bool(self._hops) and self._cancel_headers is None and not self._early

    def _silent(self) -> None:
        """No response at all, and there are other hops: do not wait for timer B."""
        self._stop_waiting = None
        key, hop = self.key, self.hop
        if key is not None and hop is not None and self._may_go_on():
            self._blame_hop()
            self._carrier.give_up(key, f"{hop.transport}: {hop.address} did not answer")

    def _be_patient(self) -> None:
        if self._stop_waiting is not None:
            self._stop_waiting()
            self._stop_waiting = None

    def _blame_hop(self) -> None:
        if self.hop is not None:
            self._carrier.unreached(self.hop)

    def _exhausted(self) -> None:
        self.finished = True
        if self._last_503 is not None:
            event: ClientEvent = self._last_503
        elif self._details:
            cause = self._details[-1][0]
            event = FailedEvent(cause, "; ".join(why for _, why in self._details[-_MAX_DETAILS:]))
        else:
            event = FailedEvent("unresolved", "there is no hop to send to")
        # Nobody has to expect an event before send() has returned.
        self._carrier.soon(lambda: self._on_event(event))

    def _end_unsent(self) -> None:
        self.finished = True
        hop = self.hop
        assert hop is not None
        sent = self._carrier.with_via_for(self._request, hop, self._suffix)
        event = ResponseEvent(response_to(sent, 487, to_tag=_UNSENT_TAG), hop, None)
        self._carrier.soon(lambda: self._on_event(event))

    def _send_cancel(self) -> None:
        if not self._cancel_sent and self.key is not None and self._request.method == "INVITE":
            self._cancel_sent = True
            self._carrier.cancel(self.key, self._cancel_headers or ())
