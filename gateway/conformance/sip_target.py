"""A SIP peer as target: an INVITE a case, ended at once however it goes, so that nobody's phone
rings on."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from gateway.conformance.case import FINGERPRINT, Attempt, Observation
from sip.client_transaction import ClientEvent, ClientTransaction, FailedEvent, ResponseEvent
from sip.endpoint import Endpoint, EndpointSettings
from sip.fields import format_date
from sip.flow import Address, Flow, Hop
from sip.headers import Headers, MalformedHeader
from sip.host import write_host
from sip.message import Request, Response, response_to
from sip.timers import Timers
from sip.transaction_user import ServerTransaction
from sip.transport.settings import ListenerSettings

# Refusals that speak of Identity (RFC 8224 section 6.2.2), and others that may be meant so.
_STIR: Final = frozenset({428, 436, 437, 438})
_REFUSALS: Final = frozenset({400, 403, 433, 603, 606, 607, 608})
_UNCLEAR: Final = frozenset({404, 408, 413, 414, 416, 420, 483, 484, 503, 504, 513})
_VERSTAT: Final = re.compile(r";\s*verstat\s*=\s*\"?([A-Za-z0-9-]+)", re.IGNORECASE)
_BUSY: Final = 486
_ENDING_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Calling:
    """Who calls whom, and how to get there. `hops` are tried in order; numbers with ``+``.

    `timeout`: seconds to wait for what becomes of a call.
    """

    request_uri: str
    hops: Sequence[Hop]
    caller: str
    domain: str
    contact: str
    timeout: float = 10.0


class SipTarget:
    """Makes one call after the other, and remembers how a good one ended."""

    def __init__(self, endpoint: Endpoint, receiver: Receiver | None, calling: Calling) -> None:
        self._endpoint = endpoint
        self._receiver = receiver
        self._calling = calling
        self._usual: int | None = None

    async def attempt(self, attempt: Attempt, now: float) -> Observation:
        """Make the call of a case (`now` in epoch seconds, for Date), and end it."""
        if attempt.again:
            await self._call(attempt, now)
        return await self._call(attempt, now)

    async def learn(self, attempt: Attempt, now: float) -> None:
        """Make a good call, to know by which status the target ends one it lets through."""
        seen = await self._call(attempt, now)
        if seen.status not in _STIR:
            self._usual = seen.status

    async def _call(self, attempt: Attempt, now: float) -> Observation:
        if self._receiver is not None:
            self._receiver.arrived.clear()
        call = _Call(self._endpoint, self._invite(attempt, now), self._calling.hops)
        final = await call.run(self._calling.timeout)
        arrived = self._receiver.arrived if self._receiver is not None else []
        if arrived:
            status = final.status_code if isinstance(final, Response) else None
            mark = _verstat(arrived[0])
            detail = "" if mark else "delivered without verstat"
            return Observation("accepted", status, verstat=mark, detail=detail)
        return self._judged(final, rang=call.rang)

    def _judged(self, final: Response | str, *, rang: bool) -> Observation:
        if isinstance(final, str):
            return Observation("silent", detail=final)
        status, phrase = final.status_code, final.reason_phrase
        reasons = tuple(value for value in final.headers.all("Reason") if "STIR" in value)
        refused = status in _STIR or bool(reasons)
        if not refused and not rang and status != self._usual:
            if status in _REFUSALS:
                refused = True
            elif status in _UNCLEAR or status >= 500:
                return Observation("unclear", status, phrase)
        return Observation("refused" if refused else "accepted", status, phrase, reasons)

    def _invite(self, attempt: Attempt, now: float) -> Request:
        calling = self._calling
        caller = f"<sip:{calling.caller}@{calling.domain};user=phone>"
        headers = Headers.of(
            ("Max-Forwards", "70"),
            ("From", f"{caller};tag={secrets.token_hex(4)}"),
            ("To", f"<{calling.request_uri}>"),
            ("Call-ID", f"{secrets.token_hex(12)}@conformance"),
            ("CSeq", "1 INVITE"),
            ("Contact", f"<{calling.contact}>"),
            ("Date", format_date(now)),
            ("P-Asserted-Identity", caller),
            ("User-Agent", "Spingate conformance"),
        )
        for value in attempt.identities:
            headers = headers.append("Identity", value)
        body = _offer(calling, media_keys=attempt.sdp)
        return Request("INVITE", calling.request_uri, headers).with_body(body, "application/sdp")


class _Call:
    """One INVITE until it is over; a call that is answered is hung up."""

    def __init__(self, endpoint: Endpoint, invite: Request, hops: Sequence[Hop]) -> None:
        self._endpoint = endpoint
        self._invite = invite
        self._hops = hops
        self._final: asyncio.Future[Response | str] = asyncio.get_running_loop().create_future()
        self._transaction: ClientTransaction | None = None
        self.rang = False

    async def run(self, timeout: float) -> Response | str:
        """Return the final response, or why there is none."""
        self._transaction = self._endpoint.send(self._invite, self._hops, self._on_event)
        try:
            return await asyncio.wait_for(asyncio.shield(self._final), timeout)
        except TimeoutError:
            self._transaction.cancel()
        try:
            await asyncio.wait_for(self._final, _ENDING_SECONDS)
        except TimeoutError:
            return f"no answer within {timeout:g} s, and none to CANCEL"
        return f"no answer within {timeout:g} s"

    def _on_event(self, event: ClientEvent) -> None:
        if isinstance(event, FailedEvent):
            self._end(f"{event.cause}: {event.detail}")
            return
        response = event.response
        if 100 < response.status_code < 200:
            self.rang = True
            assert self._transaction is not None
            self._transaction.cancel()
        elif 200 <= response.status_code < 300:
            self._hang_up(event)
            self._end(response)
        elif response.status_code >= 300:
            self._end(response)

    def _end(self, final: Response | str) -> None:
        if not self._final.done():
            self._final.set_result(final)

    def _hang_up(self, event: ResponseEvent) -> None:
        """Acknowledge a 2xx, and end the call it began (RFC 3261 sections 13.2.2.4 and 15)."""
        try:
            target = str(event.response.contacts[0].uri)
            routes = [str(route) for route in reversed(event.response.record_routes)]
        except (MalformedHeader, IndexError):
            target, routes = self._invite.request_uri, []
        hop = Hop(event.hop.transport, event.hop.address, tls_name=event.hop.tls_name)
        to = event.response.headers.get("To") or ""
        self._endpoint.send_stateless(self._within("ACK", 1, target, to, routes), hop)
        self._endpoint.send(self._within("BYE", 2, target, to, routes), [hop], lambda _: None)

    def _within(
        self, method: str, number: int, target: str, to: str, routes: Sequence[str]
    ) -> Request:
        own = self._invite.headers
        headers = Headers.of(
            ("Max-Forwards", "70"),
            ("From", own.get("From") or ""),
            ("To", to),
            ("Call-ID", own.get("Call-ID") or ""),
            ("CSeq", f"{number} {method}"),
        )
        for route in routes:
            headers = headers.append("Route", route)
        return Request(method, target, headers)


@dataclass(slots=True)
class Receiver:
    """Where a target under test delivers calls to: keeps each INVITE, and is always busy."""

    arrived: list[Request] = field(default_factory=list)

    def on_request(self, transaction: ServerTransaction, request: Request, flow: Flow) -> None:
        """Keep an INVITE and answer 486; anything else gets 200."""
        if request.method == "INVITE":
            self.arrived = [*self.arrived[-8:], request]
        status = _BUSY if request.method == "INVITE" else 200
        transaction.respond(response_to(request, status, to_tag=secrets.token_hex(4)))

    def on_cancel(self, transaction: ServerTransaction, request: Request) -> None:
        """Every INVITE was answered already."""

    def on_ack(self, request: Request, flow: Flow) -> None:
        """No 2xx is ever sent."""


@asynccontextmanager
async def calling_from(
    listeners: Sequence[ListenerSettings], receiver: Receiver
) -> AsyncIterator[Endpoint]:
    """An endpoint while the suite runs; raises OSError where an address cannot be bound."""
    settings = EndpointSettings(max_transactions=256, max_lingering=1_024)
    endpoint = Endpoint(settings, listeners, receiver, timers=Timers())
    await endpoint.start()
    try:
        yield endpoint
    finally:
        await endpoint.stop(drain=1.0)


def listener(name: str, transport: str, host: str, port: int = 0) -> ListenerSettings:
    """A plain listener; TLS ones are made by whoever has certificates."""
    if transport not in ("udp", "tcp"):
        raise ValueError(transport)
    return ListenerSettings(
        name=name,
        transport="udp" if transport == "udp" else "tcp",
        bind=Address(host, port),
        sent_by=Address(host, port),
    )


def _verstat(request: Request) -> str | None:
    for name in ("P-Asserted-Identity", "From"):
        for value in request.headers.all(name):
            found = _VERSTAT.search(value)
            if found is not None:
                return found[1]
    return None


def _offer(calling: Calling, *, media_keys: bool) -> bytes:
    """An offer of audio that wants none: no media flows before somebody answers, nor then."""
    host = calling.contact.partition("@")[2].partition(";")[0].rpartition(":")[0].strip("[]")
    kind = "IP6" if ":" in host else "IP4"
    protocol = "UDP/TLS/RTP/SAVP" if media_keys else "RTP/AVP"
    lines = [
        "v=0",
        f"o=- 1 1 IN {kind} {host}",
        "s=-",
        f"c=IN {kind} {host}",
        "t=0 0",
        f"m=audio 40000 {protocol} 0",
        "a=inactive",
    ]
    if media_keys:
        lines += [f"a=fingerprint:{FINGERPRINT}", "a=setup:actpass"]
    return "\r\n".join([*lines, ""]).encode()


def contact_of(host: str, port: int, transport: str) -> str:
    """The Contact URI of the suite's own side."""
    return f"sip:conformance@{write_host(host)}:{port};transport={transport}"
