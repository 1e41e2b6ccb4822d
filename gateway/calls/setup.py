"""One INVITE that starts a call, from its authorisation to its final response."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from gateway.calls.ending import Ending
from gateway.calls.forwarding import Destination, Forwarding
from gateway.calls.hangup import dialog_facts
from gateway.calls.media_control import SdpExchange, has_sdp
from gateway.calls.record import CallRecord
from gateway.calls.route_token import RouteToken, Side, dialog_mark
from gateway.calls.state import MAX_FORKS, Call, Direction, TooManyCalls
from gateway.calls.targets import MediaTerms, Route
from gateway.calls.wiring import Wiring
from gateway.refusal import CallRefused
from media.session import LegProfile, MediaEvent, MediaExhausted, MediaRefused
from sip.endpoint import ServerTransaction
from sip.flow import Flow, Hop
from sip.headers import MalformedHeader
from sip.message import Request, Response
from sip.uri import MalformedUri

_CHALLENGE: Final = 407
_log = structlog.get_logger("spingate.calls")


class CallSetup(ABC):
    """The life of one INVITE outside a dialog; also the watcher of its forwarding."""

    direction: Direction

    def __init__(
        self,
        wiring: Wiring,
        ending: Ending,
        transaction: ServerTransaction,
        on_over: Callable[[], None],
    ) -> None:
        self.wiring = wiring
        self.ending = ending
        self._on_over = on_over
        self.transaction = transaction
        self.received = transaction.request
        self.request = transaction.request
        self.flow: Flow = transaction.flow
        self.call: Call | None = None
        self._forwarding: Forwarding | None = None
        self._task: asyncio.Task[None] | None = None
        self._taken = False
        self._answered = False
        self._hung_up: set[str] = set()
        now = wiring.clock()
        self.record = CallRecord(
            gateway=wiring.config.provider.domain,
            call_id=self.received.call_id,
            direction=self.direction,
            started=now,
        )

    # --- what kinds of calls add -------------------------------------------------------------

    @abstractmethod
    async def prepare(self) -> None:
        """Authorise the call, find where it goes, and call `admit` and `go`.

        Raises CallRefused.
        """

    # --- life --------------------------------------------------------------------------------

    def start(self, request: Request) -> None:
        """Begin with the request as route processing left it."""
        self.request = request
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._task.add_done_callback(self._never_begun)

    def _never_begun(self, task: asyncio.Task[None]) -> None:
        """The CANCEL came in the same breath: a task cancelled that early never runs at all."""
        if task.cancelled():
            self._refuse(CallRefused(487))

    def cancel(self) -> None:
        """The caller sent CANCEL (RFC 3261 sections 9.2 and 16.10)."""
        if self._forwarding is not None:
            self._forwarding.cancel()
        elif self._task is not None and not self._task.done():
            self._task.cancel()

    async def _run(self) -> None:
        try:
            await self.prepare()
        except CallRefused as refusal:
            self._refuse(refusal)
        except TooManyCalls as full:
            self._refuse(CallRefused(full.status, full.text))
        except MediaRefused as refused:
            self._refuse(CallRefused(refused.status, refused.reason))
        except MediaExhausted:
            self._refuse(CallRefused(503, "No media port is free"))
        except (MalformedHeader, MalformedUri) as malformed:
            self._refuse(CallRefused(400, str(malformed)))
        except asyncio.CancelledError:
            self._refuse(CallRefused(487))
        except Exception:  # noqa: BLE001 - our own fault must not leave a caller without answer
            _log.exception("call set-up failed in the gateway", call_id=self.received.call_id)
            self._refuse(CallRefused(500))

    def _refuse(self, refusal: CallRefused) -> None:
        response = refusal.response(self.received)
        if not self.transaction.final_sent:
            self.transaction.respond(response)
        self.responded(response)
        self.finished()

    # --- steps -------------------------------------------------------------------------------

    def admit(self, account: str, limit: int, status_over_limit: int) -> None:
        """Enter the call in the table; raises TooManyCalls."""
        calls = self.wiring.calls
        key = calls.admit(account, limit, status_over_limit)
        self.record.account = account
        self.call = Call(
            key=key,
            call_id=self.received.call_id,
            caller_tag=self.received.from_.tag or "",
            direction=self.direction,
            account=account,
            created=self.record.started,
            record=self.record,
            caller_flow=self.flow,
        )
        self.call.note_request("caller", self.received.cseq.number)
        calls.add(self.call)

    async def bridge(self, caller: MediaTerms, callee: MediaTerms) -> SdpExchange | None:
        """Open the media session and replace the offer; None where media passes by.

        Raises MediaRefused, MediaExhausted.
        """
        passes = self.wiring.config.media.mode == "pass" or "pass" in (caller.kind, callee.kind)
        if self.call is None or passes:
            return None
        networks = self._networks()
        session = self.wiring.media.open(
            self.call.key,
            caller=_profile(caller, networks["caller"], as_offered=self._from_device()),
            callee=_profile(callee, networks["callee"], as_offered=False),
            on_event=self._media_event,
        )
        self.call.media = session
        exchange = SdpExchange(session, "caller")
        self.request = await exchange.request(self.request)
        return exchange

    def _from_device(self) -> bool:
        """A device may offer what it likes; what we offer it is the configured kind."""
        return self.wiring.listeners.role(self.flow) == "access" and has_sdp(self.request)

    @abstractmethod
    def _networks(self) -> dict[Side, str]:
        """The media network of each side: "access" or "peers"."""

    def go(self, routes: Sequence[Route], exchange: SdpExchange | None) -> None:
        """Forward the request to its routes, with our Record-Route (RFC 3261 section 16.6)."""
        destinations = [self._destination(route) for route in routes]
        self._forwarding = self.wiring.forwarder.forward(
            self.transaction, destinations, self, exchange
        )

    def _destination(self, route: Route) -> Destination:
        return Destination(
            request=self.request,
            target=route.uri,
            listener=route.listener,
            transports=route.transports,
            hops=route.hops,
            record_routes=self._record_routes(route),
            q=route.q,
        )

    def _record_routes(self, route: Route) -> tuple[str, ...]:
        """Our two values, the callee's side on top (RFC 5658 section 4)."""
        assert self.call is not None
        listeners, seal = self.wiring.listeners, self.wiring.seal
        caller_flow = self.flow if listeners.role(self.flow) == "access" else None
        call_key, mark = self.call.key, dialog_mark(self.call.call_id, self.call.caller_tag)
        until = int(self.call.created + self.wiring.config.sip.max_call_seconds)
        caller = RouteToken("caller", self.flow.listener, call_key, mark, until, caller_flow)
        callee_flow = _flow_to(route.hops, self.flow)
        callee = RouteToken("callee", route.listener, call_key, mark, until, callee_flow)
        return (
            listeners.record_route(route.listener, seal.seal(callee)),
            listeners.record_route(self.flow.listener, seal.seal(caller)),
        )

    # --- what the forwarding tells -----------------------------------------------------------

    def sent_to(self, hop: Hop, response: Response) -> None:
        """Note the hop that answered, or until one has, that took the request."""
        if self._taken:
            return
        self._taken = 200 <= response.status_code < 300
        if self.call is not None:
            self.call.callee_hop = hop
        self.record.next_hop = f"{hop.transport}:{hop.address}"

    def leaving(self, response: Response) -> Response:
        """Return the response as it is."""
        return response

    def responded(self, response: Response) -> None:
        """Note progress and the answer."""
        now = self.wiring.clock()
        status = response.status_code
        if status < 200:
            if self.record.ringing is None and status > 100:
                self.record.ringing = now
                self.wiring.metrics.setup_seconds.labels(self.direction).observe(
                    max(0.0, now - self.record.started)
                )
            return
        self.record.status = status
        if status < 300 and self.call is not None:
            self._note_answer(self.call, response, now)
        elif self.record.reason is None:
            self.record.reason = response.headers.get("Reason") or response.reason_phrase

    def _note_answer(self, call: Call, response: Response, now: float) -> None:
        self._answered = True
        if self.record.answered is None:
            self.record.answered = now
        if len(call.callee_tags) < MAX_FORKS:
            call.callee_tags.add(response.to.tag or "")
        if call.dialog is None:
            call.dialog = dialog_facts(self.received, response, self.wiring.listeners.is_ours)
        if call.media_failure is not None:
            self.ending.hang_up(call, f"media: {call.media_failure}", sides=("caller", "callee"))

    def media_refused(self, response: Response, reason: str) -> None:
        """End the callee's half of a call whose answer cannot be used."""
        tag = response.to.tag or ""
        if tag in self._hung_up or len(self._hung_up) >= MAX_FORKS:
            return
        self._hung_up.add(tag)
        if self.call is not None:
            self.call.dialog = dialog_facts(self.received, response, self.wiring.listeners.is_ours)
            cseq = self.received.cseq.number
            self.ending.refuse_answer(self.call, f"media: {reason}", cseq)

    def finished(self) -> None:
        """Forget a call that was not answered.

        An INVITE that we challenge is no call yet: the same one comes again with credentials. A
        challenge of the callee's side ends one like any other refusal.
        """
        self._on_over()
        challenged = self.call is None and self.record.status == _CHALLENGE
        if not self._answered and not challenged:
            self.ending.end(self.call, self.record)

    def _media_event(self, event: MediaEvent) -> None:
        if self.call is not None:
            self.ending.media_event(self.call, event)


def _flow_to(hops: tuple[Hop, ...], arrived: Flow) -> Flow | None:
    """The flow that reaches a registered device, for its dialog's later requests."""
    if not hops:
        return None
    hop = hops[0]
    if hop.flow is not None:
        return hop.flow
    return Flow(hop.transport, arrived.local, hop.address, hop.listener or arrived.listener)


def _profile(terms: MediaTerms, network: str, *, as_offered: bool) -> LegProfile:
    assert terms.kind != "pass"
    kind = "as_offered" if as_offered else terms.kind
    return LegProfile(kind, network, terms.behind_nat, terms.signalling_host)
