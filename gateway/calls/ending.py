"""How calls end: by BYE, by refusal, by dead media, by age; always with every port freed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Final

import structlog

from gateway.calls.forwarding import Forwarder
from gateway.calls.media_control import other
from gateway.calls.next_hops import NextHops
from gateway.calls.record import CallRecord, CallRecordFile
from gateway.calls.route_token import Side
from gateway.calls.state import Call, CallTable
from gateway.listeners import Listeners
from gateway.metrics import Metrics
from gateway.refusal import reason_value
from media.session import Failed, MediaEvent, MediaSession
from sip.endpoint import ClientEvent
from sip.flow import Hop
from sip.locate import NotLocated
from sip.message import Request
from sip.proxy_request import next_hop_uri

_BOTH: Final[tuple[Side, ...]] = ("caller", "callee")
_log = structlog.get_logger("spingate.calls")


class Ending:
    """Takes calls down and writes their records."""

    def __init__(
        self,
        calls: CallTable,
        listeners: Listeners,
        forwarder: Forwarder,
        next_hops: NextHops,
        metrics: Metrics,
        records: CallRecordFile,
        clock: Callable[[], float],
    ) -> None:
        self._calls = calls
        self._listeners = listeners
        self._forwarder = forwarder
        self._next_hops = next_hops
        self._metrics = metrics
        self._records = records
        self._clock = clock

    def end(self, call: Call | None, record: CallRecord) -> None:
        """Take a call out of the table, close its media and write its record, once."""
        if record.ended is not None:
            return
        record.ended = self._clock()
        if call is not None:
            self._calls.remove(call.key)
        outcome = "answered" if record.answered is not None else str(record.status or "none")
        self._metrics.calls.labels(record.direction, outcome).inc()
        session = call.media if call is not None else None
        if session is None:
            self._records.write(record)
        else:
            self._forwarder.spawn(self._close_media(session, record))

    async def _close_media(self, session: MediaSession, record: CallRecord) -> None:
        record.media = asdict(await session.close())
        self._records.write(record)

    def media_event(self, call: Call, event: MediaEvent) -> None:
        """Note that a leg connected; end the call whose leg failed."""
        if not isinstance(event, Failed):
            self._metrics.media_events.labels("connected").inc()
            call.record.events.append(f"media connected: {event.side}")
            return
        self._metrics.media_events.labels("failed").inc()
        call.record.events.append(f"media failed: {event.side}: {event.reason}")
        _log.warning(
            "media leg failed", culprit=event.side, reason=event.reason, call_id=call.call_id
        )
        if call.record.answered is None:
            call.media_failure = event.reason  # it rings: whoever answers is hung up at once
        else:
            self.hang_up(call, f"media: {event.reason}", sides=_BOTH)

    def expire(self, now: float) -> None:
        """End the calls that are older than a call may be."""
        for call in self._calls.overdue(now):
            self.hang_up(call, "call lasted too long", sides=_BOTH)

    def refuse_answer(self, call: Call, reason: str, cseq: int) -> None:
        """End the callee's half of a call whose 2xx cannot be passed on: ACK it, then BYE.

        `cseq` is the INVITE's. Without the ACK the callee would repeat its 2xx until the BYE is
        through (RFC 3261 section 13.3.1.4).
        """
        acknowledgement = call.dialog.ack(cseq) if call.dialog is not None else None
        self.hang_up(call, reason, ("callee",), acknowledgement)

    def hang_up(
        self, call: Call, reason: str, sides: Sequence[Side], first: Request | None = None
    ) -> None:
        """Send BYE to the given sides of an answered call, after `first`, and forget it."""
        if call.record.reason is None:
            call.record.reason = reason
        if call.dialog is not None:
            for side in sides:
                cseq = call.cseqs.get(other(side), 0) + 1
                request = call.dialog.bye(side, cseq, reason_value(480, reason))
                self._forwarder.spawn(self._send_bye(call, side, request, first))
        self.end(call, call.record)

    async def _send_bye(
        self, call: Call, side: Side, request: Request, first: Request | None
    ) -> None:
        hops = await self._hops(call, side, request)
        if hops and first is not None:
            self._forwarder.endpoint.send_stateless(first, hops[0])
        if hops:
            self._forwarder.endpoint.send(request, hops, _ignore)

    async def _hops(self, call: Call, side: Side, request: Request) -> tuple[Hop, ...]:
        """The flow the side was last seen on, then where its next hop is located.

        A device is reached by its own connection or not at all; that of a peer may be closed.
        """
        known = self._listeners.hop(call.caller_flow) if side == "caller" else call.callee_hop
        if known is None or known.listener is None:
            return () if known is None else (known,)
        role = self._listeners.role_of(known.listener)
        next_hop = next_hop_uri(request)
        if next_hop is None or (known.flow is not None and role == "access"):
            return (known,)
        transports = self._listeners.transports(role)
        try:
            return (known, *await self._next_hops.find(next_hop, known.listener, transports))
        except NotLocated:
            return (known,)


def _ignore(_event: ClientEvent) -> None:
    """The call is over either way."""
