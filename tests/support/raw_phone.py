"""A small scripted SIP user agent: it sends exactly what a test tells it to, and waits.

Nothing happens by itself but keeping what arrives: no automatic answer, no retransmission.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable

from sip.digest import authorize
from sip.headers import Headers
from sip.message import Request, Response, response_to
from sip.stream import Framed
from tests.support.raw_dialog import Dialog, Media, media_headers
from tests.support.raw_wire import GENEROUS, Arrival, Wire

Wanted = Callable[[Framed], bool]


class RawPhone:
    """A user agent with one number behind one wire."""

    def __init__(
        self, wire: Wire, number: str, domain: str, username: str = "", password: str = ""
    ) -> None:
        self.wire = wire
        self.inbox = wire.inbox
        self.number = number
        self.domain = domain
        self.username = username
        self.password = password
        self.address_of_record = f"sip:{number}@{domain}"
        self.registered = False
        self._counts = itertools.count(1)

    @property
    def contact(self) -> str:
        """Where the phone says it is."""
        wire = self.wire
        return f"<sip:{self.number}@{wire.local};transport={wire.transport}>"

    # --- messages ----------------------------------------------------------------------------

    def via(self) -> str:
        """A Via of this phone with a fresh branch."""
        branch = f"z9hG4bK{secrets.token_hex(8)}"
        return f"SIP/2.0/{self.wire.transport.upper()} {self.wire.local};branch={branch};rport"

    def request(
        self,
        method: str,
        uri: str,
        *extra: tuple[str, str],
        to: str | None = None,
        from_: str | None = None,
        media: Media = None,
        change: dict[str, str | None] | None = None,
    ) -> Request:
        """Build a request outside a dialog; `change` replaces headers, None leaves one out."""
        fields: dict[str, str | None] = {
            "Via": self.via(),
            "Max-Forwards": "70",
            "From": f"{from_ or f'<{self.address_of_record}>'};tag={secrets.token_hex(4)}",
            "To": to or f"<{uri}>",
            "Call-ID": f"{secrets.token_hex(8)}@raw.example",
            "CSeq": f"{next(self._counts)} {method}",
            "Contact": self.contact,
            **(change or {}),
        }
        kept = [(name, value) for name, value in fields.items() if value is not None]
        body, described = media_headers(media)
        return Request(method, uri, Headers.of(*kept, *described, *extra), body)

    def send(self, message: Request | Response) -> None:
        """Put a message on the wire."""
        self.wire.send(message.to_bytes())

    async def response(
        self, to: Request, status: int | None = None, timeout: float = GENEROUS
    ) -> Response:
        """Take the next response to a request, or the next with a status."""

        def fits(message: Framed) -> bool:
            return (
                isinstance(message, Response)
                and message.headers.get("Call-ID") == to.headers.get("Call-ID")
                and message.headers.get("CSeq") == to.headers.get("CSeq")
                and (status is None or message.status_code == status)
            )

        arrival = await self.inbox.take(fits, timeout)
        assert isinstance(arrival.message, Response)
        return arrival.message

    async def ask(self, request: Request, timeout: float = GENEROUS) -> Response:
        """Send a request and return its final response; ACK it where it is an INVITE's failure."""
        self.send(request)
        return await self.final(request, timeout)

    async def final(self, request: Request, timeout: float = GENEROUS) -> Response:
        """Return the final response to a request already sent, with its ACK if it is a failure."""
        while True:
            response = await self.response(request, timeout=timeout)
            if response.status_code >= 200:
                if request.method == "INVITE" and response.status_code >= 300:
                    self.send(ack_of_failure(request, response))
                return response

    def authorised(
        self, request: Request, challenge: Response, *, algorithm: str | None = None
    ) -> Request:
        """Return the request again, answering the challenge (the named algorithm only, if any)."""
        asked, given = (
            ("WWW-Authenticate", "Authorization")
            if challenge.status_code == 401
            else ("Proxy-Authenticate", "Proxy-Authorization")
        )
        offered = [
            value
            for value in challenge.headers.all(asked)
            if algorithm is None or f"algorithm={algorithm}" in value.replace('"', "")
        ]
        value = authorize(
            offered,
            username=self.username,
            password=self.password,
            method=request.method,
            uri=request.request_uri,
        )
        assert value is not None, "no challenge that can be answered"
        headers = request.headers.replace("Via", self.via()).append(given, value)
        return request.with_headers(
            headers.replace("CSeq", f"{next(self._counts)} {request.method}")
        )

    async def ask_as_user(self, request: Request, *, algorithm: str | None = None) -> Response:
        """Send a request, answer its challenge, return the final response."""
        challenge = await self.ask(request)
        assert challenge.status_code in (401, 407), challenge.status_code
        return await self.ask(self.authorised(request, challenge, algorithm=algorithm))

    async def ask_as_user_wrongly(self) -> tuple[int, str, tuple[str, ...]]:
        """Register with a wrong password; returns all that the answer gives away."""
        self.password = secrets.token_hex(8)
        answer = await self.ask_as_user(self.registration())
        names = tuple(name for name, _ in answer.headers)
        return answer.status_code, answer.reason_phrase, names

    # --- registering -------------------------------------------------------------------------

    def registration(
        self, *extra: tuple[str, str], contact: str | None = None, number: str = ""
    ) -> Request:
        """A REGISTER for the own number; an empty contact only asks what is registered."""
        return self.request(
            "REGISTER",
            f"sip:{self.domain}",
            *extra,
            to=f"<sip:{number or self.number}@{self.domain}>",
            change={"Contact": self.contact if contact is None else contact or None},
        )

    async def register(self, *extra: tuple[str, str], contact: str | None = None) -> Response:
        """Register with digest; fails unless it succeeds."""
        response = await self.ask_as_user(self.registration(*extra, contact=contact))
        assert response.status_code == 200, response.status_code
        self.registered = True
        return response

    async def unregister(self) -> None:
        """Take every binding of the number away."""
        if self.registered:
            self.registered = False
            await self.ask_as_user(self.registration(("Expires", "0"), contact="*"))

    # --- calling -----------------------------------------------------------------------------

    async def call(
        self, number: str, media: Media = None, *extra: tuple[str, str], from_: str | None = None
    ) -> OutgoingCall:
        """Send an INVITE to a number; a user answers the challenge first."""
        uri = f"sip:{number}@{self.domain};user=phone"
        request = self.request("INVITE", uri, *extra, media=media, from_=from_)
        if self.username:
            challenge = await self.ask(request)
            assert challenge.status_code == 407, challenge.status_code
            request = self.authorised(request, challenge)
        self.send(request)
        return OutgoingCall(self, request)

    async def incoming(
        self, call: OutgoingCall | None = None, timeout: float = GENEROUS
    ) -> IncomingCall:
        """Wait for a call, or for this one."""
        wanted = is_request("INVITE") if call is None else in_call(call.request, "INVITE")
        return IncomingCall(self, await self.inbox.take(wanted, timeout))

    async def close(self) -> None:
        """Leave without a word."""
        self.registered = False
        await self.wire.close()


class OutgoingCall:
    """An INVITE of ours that has no final response yet."""

    def __init__(self, phone: RawPhone, request: Request) -> None:
        self.phone = phone
        self.request = request

    async def response(self, status: int | None = None, timeout: float = GENEROUS) -> Response:
        """Take the next response, or the next with a status."""
        return await self.phone.response(self.request, status, timeout)

    async def refused(self, timeout: float = GENEROUS) -> Response:
        """Wait for a failure, acknowledge and return it."""
        response = await self.phone.final(self.request, timeout)
        assert response.status_code >= 300, response.status_code
        return response

    async def answered(self, media: Media = None) -> Dialog:
        """Wait for the 200 and acknowledge it (with the answer to a late offer)."""
        response = await self.response(200)
        dialog = Dialog.of_caller(self.phone, self.request, response)
        dialog.acknowledge(media)
        return dialog

    async def cancel(self) -> Response:
        """Cancel; returns the response to the CANCEL."""
        request = self.request
        kept = [(n, request.headers.get(n) or "") for n in ("Via", "From", "To", "Call-ID")]
        headers = Headers.of(
            *kept, ("CSeq", f"{request.cseq.number} CANCEL"), ("Max-Forwards", "70")
        )
        return await self.phone.ask(Request("CANCEL", request.request_uri, headers))


class IncomingCall:
    """An INVITE that came to us."""

    def __init__(self, phone: RawPhone, arrival: Arrival) -> None:
        assert isinstance(arrival.message, Request)
        self.phone = phone
        self.request = arrival.message
        self.reply = arrival.reply
        self.tag = secrets.token_hex(4)

    def respond(self, status: int, media: Media = None, *extra: tuple[str, str]) -> Response:
        """Answer with a status; Contact and Record-Route as RFC 3261 section 12.1.1 asks."""
        body, described = media_headers(media)
        routes = [("Record-Route", v) for v in self.request.headers.all("Record-Route")]
        headers = [*routes, ("Contact", self.phone.contact), *described, *extra]
        made = response_to(self.request, status, to_tag=self.tag, headers=headers)
        response = Response(made.status_code, made.reason_phrase, made.headers, body)
        self.reply(response.to_bytes())
        return response

    def answer(self, media: Media = None) -> Dialog:
        """Answer 200; the ACK is waited for with `Dialog.acknowledged`."""
        response = self.respond(200, media)
        return Dialog.of_callee(self.phone, self.request, response, self.reply)

    async def cancelled(self) -> Request:
        """Wait for the CANCEL, answer it and the INVITE; returns the CANCEL."""
        arrival = await self.phone.inbox.take(in_call(self.request, "CANCEL"))
        assert isinstance(arrival.message, Request)
        arrival.reply(response_to(arrival.message, 200, to_tag=self.tag).to_bytes())
        await self.decline(487)
        return arrival.message

    async def decline(self, status: int, *extra: tuple[str, str]) -> None:
        """Refuse the call and wait for the ACK of the transaction."""
        self.respond(status, None, *extra)
        await self.phone.inbox.take(in_call(self.request, "ACK"))


def is_request(method: str) -> Wanted:
    """Fits requests of a method."""
    return lambda message: isinstance(message, Request) and message.method == method


def in_call(request: Request, method: str) -> Wanted:
    """Fits requests of a method in the same call."""
    return lambda message: (
        isinstance(message, Request)
        and message.method == method
        and message.call_id == request.call_id
    )


def ack_of_failure(request: Request, response: Response) -> Request:
    """The ACK to a failure: of the same transaction (RFC 3261 section 17.1.1.3)."""
    headers = [
        ("Via", request.headers.get("Via") or ""),
        ("From", request.headers.get("From") or ""),
        ("To", response.headers.get("To") or ""),
        ("Call-ID", request.call_id),
        ("CSeq", f"{request.cseq.number} ACK"),
        ("Max-Forwards", "70"),
    ]
    return Request("ACK", request.request_uri, Headers.of(*headers))
