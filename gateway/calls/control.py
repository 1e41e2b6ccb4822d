"""Call control: what becomes of each request, by its method, its dialog and where it came from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from gateway.calls.dialog import DialogRequest, pass_ack
from gateway.calls.diverted import DivertedSetup, diverting_trunk
from gateway.calls.ending import Ending
from gateway.calls.inbound import InboundSetup
from gateway.calls.messages import InboundMessage, OutboundMessage
from gateway.calls.outbound import OutboundSetup
from gateway.calls.registration import Registration
from gateway.calls.setup import CallSetup
from gateway.calls.wiring import Wiring
from gateway.refusal import CallRefused, final_response
from sip.endpoint import ServerTransaction
from sip.fields import NameAddr
from sip.flow import Flow
from sip.message import Request
from sip.proxy_request import check_request, take_route
from sip.transaction.key import ServerKey
from sip.uri import MalformedUri, SipUri, parse_uri

ALLOW: Final = (
    "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, UPDATE, PRACK, INFO, REFER, NOTIFY, MESSAGE"
)
_IN_DIALOG_ONLY: Final = frozenset({"BYE", "UPDATE", "PRACK", "INFO", "REFER", "NOTIFY"})


class _Cancellable(Protocol):
    def cancel(self) -> None: ...


class CallControl:
    """The transaction user of the SIP endpoint (`sip.endpoint.TransactionUser`)."""

    def __init__(self, wiring: Wiring, ending: Ending, registration: Registration) -> None:
        self._wiring = wiring
        self._ending = ending
        self._registration = registration
        self._pending: dict[ServerKey, _Cancellable] = {}
        self._draining = False

    def drain(self) -> None:
        """Take no new calls from now on: the next INVITE goes to another gateway."""
        self._draining = True

    def give_up(self) -> None:
        """Cancel what still rings, so that both sides hear of it before everything closes."""
        for pending in list(self._pending.values()):
            pending.cancel()

    def __len__(self) -> int:
        return len(self._pending)

    def on_request(self, transaction: ServerTransaction, request: Request, flow: Flow) -> None:
        """Take a new request (RFC 3261 section 16.3 and 16.4 first)."""
        wiring = self._wiring
        refusal = check_request(request, is_ours=wiring.listeners.is_ours, loop_key=wiring.loop_key)
        if refusal is not None:
            transaction.respond(
                final_response(request, refusal.status, refusal.reason, refusal.headers)
            )
            return
        routed, own_routes = take_route(request, is_ours=wiring.listeners.is_ours)
        if request.to.tag:
            self._dialog_request(transaction, routed, own_routes)
        elif request.method in ("INVITE", "MESSAGE"):
            self._new_call(transaction, routed, flow)
        elif request.method == "REGISTER" and wiring.listeners.role(flow) == "access":
            wiring.forwarder.spawn(self._registration.handle(transaction, flow, wiring.clock()))
        else:
            self._answer(transaction, routed, flow)

    def on_cancel(self, transaction: ServerTransaction, request: Request) -> None:
        """Cancel the INVITE that a CANCEL matched."""
        pending = self._pending.get(transaction.key)
        if pending is not None:
            pending.cancel()

    def on_ack(self, request: Request, flow: Flow) -> None:
        """Pass the ACK to a 2xx on; one that may not be forwarded is dropped."""
        is_ours = self._wiring.listeners.is_ours
        if check_request(request, is_ours=is_ours, loop_key=self._wiring.loop_key) is not None:
            return
        routed, own_routes = take_route(request, is_ours=is_ours)
        self._wiring.forwarder.spawn(pass_ack(self._wiring, self._ending, routed, own_routes, flow))

    def _new_call(self, transaction: ServerTransaction, request: Request, flow: Flow) -> None:
        if request.routes:
            # What is left of the route leads to somebody of the caller's choice.
            refusal = CallRefused(403, "Calls are not relayed along a Route")
            transaction.respond(refusal.response(request))
            return
        if self._draining:
            refused = CallRefused(503, "Gateway stops", headers=(("Retry-After", "30"),))
            transaction.respond(refused.response(request))
            return
        kind = self._kind(request, flow)
        setup = kind(self._wiring, self._ending, transaction, self._forget(transaction))
        self._pending[transaction.key] = setup
        setup.start(request)

    def _kind(self, request: Request, flow: Flow) -> type[CallSetup]:
        from_device = self._wiring.listeners.role(flow) == "access"
        if request.method == "MESSAGE":
            return OutboundMessage if from_device else InboundMessage
        if not from_device:
            return InboundSetup
        diverted = diverting_trunk(self._wiring, request, flow) is not None
        return DivertedSetup if diverted else OutboundSetup

    def _dialog_request(
        self, transaction: ServerTransaction, request: Request, own_routes: Sequence[NameAddr]
    ) -> None:
        passing = DialogRequest(self._wiring, self._ending, transaction, self._forget(transaction))
        self._pending[transaction.key] = passing
        passing.start(request, own_routes)

    def _forget(self, transaction: ServerTransaction) -> _Forget:
        return _Forget(self._pending, transaction.key)

    def _answer(self, transaction: ServerTransaction, request: Request, flow: Flow) -> None:
        """Requests outside a dialog that set up no call."""
        if request.method == "OPTIONS" and self._is_for_us(request):
            headers = (("Allow", ALLOW), ("Accept", "application/sdp"))
            transaction.respond(final_response(request, 200, headers=headers))
        elif request.method in _IN_DIALOG_ONLY:
            transaction.respond(final_response(request, 481))
        elif self._wiring.listeners.role(flow) == "peers" and not self._is_for_us(request):
            refusal = CallRefused(403, "Requests for other domains are not relayed")
            transaction.respond(refusal.response(request))
        else:
            transaction.respond(final_response(request, 405, headers=(("Allow", ALLOW),)))

    def _is_for_us(self, request: Request) -> bool:
        try:
            uri = parse_uri(request.request_uri)
        except MalformedUri:
            return False
        listeners = self._wiring.listeners
        return isinstance(uri, SipUri) and (
            listeners.serves_domain(uri.host) or listeners.is_ours(uri)
        )


class _Forget:
    """Takes a request off the list of pending ones."""

    def __init__(self, pending: dict[ServerKey, _Cancellable], key: ServerKey) -> None:
        self._pending = pending
        self._key = key

    def __call__(self) -> None:
        self._pending.pop(self._key, None)
