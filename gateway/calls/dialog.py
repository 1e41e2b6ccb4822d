"""Requests within a dialog: routed by the sealed tokens in their Route header fields alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import structlog

from gateway.asserted_headers import dialog_headers
from gateway.calls.ending import Ending
from gateway.calls.forwarding import Destination, Forwarding
from gateway.calls.media_control import SdpExchange, other
from gateway.calls.passage import Passage, find_passage
from gateway.calls.route_token import RouteToken, Side
from gateway.calls.state import Call
from gateway.calls.wiring import Wiring
from gateway.refusal import CallRefused
from media.session import MediaRefused
from sip.endpoint import ServerTransaction
from sip.fields import NameAddr
from sip.flow import Flow, Hop
from sip.headers import Headers
from sip.locate import NotLocated
from sip.message import Request, Response
from sip.proxy_request import prepare_forward

_TARGET_REFRESH: Final = frozenset({"INVITE", "UPDATE"})
_NEGOTIATING: Final = frozenset({"INVITE", "UPDATE", "PRACK"})
_log = structlog.get_logger("spingate.calls")


class DialogRequest:
    """One request within a dialog on its way; the watcher of its forwarding."""

    def __init__(
        self,
        wiring: Wiring,
        ending: Ending,
        transaction: ServerTransaction,
        on_over: Callable[[], None],
    ) -> None:
        self._wiring = wiring
        self._ending = ending
        self._transaction = transaction
        self._on_over = on_over
        self._call: Call | None = None
        self._by: Side = "caller"
        self._exchange: SdpExchange | None = None
        self._forwarding: Forwarding | None = None
        self._cancelled = False

    def cancel(self) -> None:
        """A CANCEL for a re-INVITE; one whose SDP is still being replaced is not sent at all."""
        self._cancelled = True
        if self._forwarding is not None:
            self._forwarding.cancel()

    def start(self, request: Request, own_routes: Sequence[NameAddr]) -> None:
        """Route the request; it is answered 481 where it belongs to no call of ours."""
        try:
            flow = self._transaction.flow
            passage = find_passage(self._wiring, request, own_routes, flow)
            self._check_transfer(request, flow)
        except CallRefused as refusal:
            self._refuse(refusal)
            return
        self._call, self._by = passage.call, other(passage.toward.side)
        if self._call is not None:
            self._call.note_request(self._by, request.cseq.number)
        headers = dialog_headers(request.headers, self._wiring.dialects)
        request = request.with_headers(self._unverified(headers, flow))
        if request.body and _negotiates(request, passage):
            self._wiring.forwarder.spawn(self._edit_and_forward(request, passage))
        else:
            self._forward(request, passage)

    def _unverified(self, headers: Headers, flow: Flow) -> Headers:
        """Take out of a peer's request what only a verified one may say to an own device."""
        display, wiring = self._wiring.caller_display, self._wiring
        if display is None or wiring.listeners.role(flow) != "peers":
            return headers
        return (
            headers
            if wiring.peers.terms(flow).identity == "observe"
            else (display.within_dialog(headers))
        )

    def _check_transfer(self, request: Request, flow: Flow) -> None:
        """Raise CallRefused for a REFER of another provider (RFC 3515 section 5).

        An own device would obey and call whom a stranger names, signed and paid for as its own.
        """
        if request.method == "REFER" and self._wiring.listeners.role(flow) == "peers":
            raise CallRefused(403, "Transfers are not taken from other providers")

    async def _edit_and_forward(self, request: Request, passage: Passage) -> None:
        try:
            request = await self._exchanged(request, passage)
        except MediaRefused as error:
            self._refuse(CallRefused(error.status, error.reason))
            return
        if self._cancelled:
            if self._exchange is not None:
                self._exchange.failed()
            self._refuse(CallRefused(487))
            return
        self._forward(request, passage)

    async def _exchanged(self, request: Request, passage: Passage) -> Request:
        call = passage.call
        assert call is not None
        assert call.media is not None
        if request.method == "PRACK" and call.exchange is not None and call.exchange.awaits_answer:
            return await call.exchange.ack(request)
        self._exchange = SdpExchange(call.media, other(passage.toward.side))
        edited = await self._exchange.request(request)
        if request.method == "INVITE":
            call.exchange = self._exchange
        return edited

    def _forward(self, request: Request, passage: Passage) -> None:
        call = passage.call
        if request.method == "INVITE" and not request.body and _negotiates(request, passage):
            assert call is not None
            assert call.media is not None
            call.exchange = self._exchange = SdpExchange(call.media, other(passage.toward.side))
        destination = dialog_destination(self._wiring, request, passage.toward)
        self._forwarding = self._wiring.forwarder.forward(
            self._transaction, [destination], self, self._exchange
        )

    def _refuse(self, refusal: CallRefused) -> None:
        self._transaction.respond(refusal.response(self._transaction.request))
        self._on_over()

    # --- what the forwarding tells -----------------------------------------------------------

    def sent_to(self, hop: Hop, response: Response) -> None:
        """Nothing to note: the dialog's route is fixed."""

    def leaving(self, response: Response) -> Response:
        """Return the response as it is."""
        return response

    def responded(self, response: Response) -> None:
        """Note where both sides are reached after a target refresh (RFC 3261 12.2.1.2)."""
        request, call = self._transaction.request, self._call
        if call is None or call.dialog is None or not 200 <= response.status_code < 300:
            return
        callee = request.to if self._by == "caller" else request.from_
        if request.method in _TARGET_REFRESH and callee.tag == call.dialog.callee_tag:
            call.dialog = call.dialog.refreshed(request, response, self._by)

    def media_refused(self, response: Response, reason: str) -> None:
        """The answer to a re-INVITE cannot be used: the call cannot go on."""
        if self._call is not None:
            self._ending.hang_up(self._call, f"media: {reason}", sides=("caller", "callee"))

    def finished(self) -> None:
        """Forget the request; after a BYE forget the call, or that answer of a forked one.

        A BYE that got any final response, or none, has ended the call (RFC 3261 section 15.1.2).
        """
        self._on_over()
        request, call = self._transaction.request, self._call
        if request.method != "BYE" or call is None:
            return
        call.callee_tags -= {request.from_.tag or "", request.to.tag or ""}
        if not call.callee_tags:
            self._ending.end(call, call.record)


def _negotiates(request: Request, passage: Passage) -> bool:
    """Whether SDP in a request or its responses is about the media of a call that we bridge.

    In OPTIONS it only tells what somebody can do (RFC 3261 section 11.2).
    """
    call = passage.call
    return request.method in _NEGOTIATING and call is not None and call.media is not None


def dialog_destination(wiring: Wiring, request: Request, toward: RouteToken) -> Destination:
    """Return where a request within a dialog goes next."""
    return Destination(
        request=request,
        target=None,
        listener=toward.listener,
        transports=wiring.listeners.transports(wiring.listeners.role_of(toward.listener)),
        hops=(wiring.listeners.hop(toward.flow),) if toward.flow is not None else (),
    )


async def pass_ack(
    wiring: Wiring, ending: Ending, request: Request, own_routes: Sequence[NameAddr], flow: Flow
) -> None:
    """Forward the ACK to a 2xx, with the answer to a late offer; one that fits nothing is dropped.

    An ACK is never answered (RFC 3261 section 17), so a call whose late offer gets an answer that
    cannot be used is hung up.
    """
    try:
        passage = find_passage(wiring, request, own_routes, flow)
        call = passage.call
        request = request.with_headers(dialog_headers(request.headers, wiring.dialects))
        if call is not None and call.exchange is not None:
            try:
                request = await call.exchange.ack(request)
            except MediaRefused as error:
                ending.hang_up(call, f"media: {error.reason}", sides=("caller", "callee"))
                raise
        destination = dialog_destination(wiring, request, passage.toward)
        prepared = prepare_forward(request, None, loop_key=wiring.loop_key)
        hops = await wiring.forwarder.locate(destination, prepared.next_hop)
    except (CallRefused, MediaRefused, NotLocated) as error:
        _log.info("ACK dropped", culprit=flow.remote.host, reason=str(error))
        return
    if hops:
        wiring.forwarder.endpoint.send_stateless(prepared.request, hops[0])
