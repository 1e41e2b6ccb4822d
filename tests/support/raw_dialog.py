"""A dialog as a user agent keeps it (RFC 3261 section 12), and the SDP it is about."""

from __future__ import annotations

import base64
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from media.sdp import SessionDescription, parse_sdp
from sip.headers import Headers
from sip.message import Request, Response, response_to
from tests.support.raw_wire import GENEROUS, Arrival

if TYPE_CHECKING:
    from tests.support.raw_phone import RawPhone

Media = bytes | None
Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]


def rtp_sdp(
    host: str, port: int = 30000, direction: Direction = "sendrecv", version: int = 1
) -> bytes:
    """A description of G.711 over plain RTP."""
    return _sdp(host, port, "RTP/AVP", direction, version)


def sdes_sdp(
    host: str,
    port: int = 30000,
    direction: Direction = "sendrecv",
    version: int = 1,
    *,
    tag: int = 1,
) -> bytes:
    """The same over SRTP with its key in the description (RFC 4568); an answer repeats the tag
    of the line it takes."""
    key = base64.b64encode(bytes(range(30))).decode()
    crypto = f"a=crypto:{tag} AES_CM_128_HMAC_SHA1_80 inline:{key}\r\n"
    return _sdp(host, port, "RTP/SAVP", direction, version, crypto)


def _sdp(
    host: str, port: int, protocol: str, direction: Direction, version: int, more: str = ""
) -> bytes:
    return (
        f"v=0\r\no=raw 1 {version} IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
        f"m=audio {port} {protocol} 0 8\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n"
        f"{more}a={direction}\r\n"
    ).encode()


def media_headers(media: Media) -> tuple[bytes, list[tuple[str, str]]]:
    """A body and the header that describes it."""
    return (media, [("Content-Type", "application/sdp")]) if media else (b"", [])


def described(message: Request | Response) -> SessionDescription:
    """The SDP of a message; fails where it has none."""
    assert message.headers.get("Content-Type") == "application/sdp", message
    return parse_sdp(message.body)


def crypto_tag(offer: SessionDescription) -> int:
    """The tag of the line in an offer that `sdes_sdp` can take."""
    found = re.search(rb"a=crypto:(\d+) AES_CM_128_HMAC_SHA1_80 ", offer.to_bytes())
    assert found is not None, offer
    return int(found[1])


@dataclass
class Dialog:
    """One side of an established call; `cseq` counts the requests of this side."""

    phone: RawPhone
    call_id: str
    local: str
    remote: str
    target: str
    routes: tuple[str, ...]
    invite_cseq: int
    description: Media
    reply: Callable[[bytes], None] | None = None
    cseq: itertools.count[int] = field(default_factory=lambda: itertools.count(1000))

    @classmethod
    def of_caller(cls, phone: RawPhone, request: Request, response: Response) -> Dialog:
        routes = tuple(str(route) for route in reversed(response.record_routes))
        return cls(
            phone,
            request.call_id,
            request.headers.get("From") or "",
            response.headers.get("To") or "",
            str(response.contacts[0].uri),
            routes,
            request.cseq.number,
            response.body,
        )

    @classmethod
    def of_callee(
        cls,
        phone: RawPhone,
        request: Request,
        response: Response,
        reply: Callable[[bytes], None],
    ) -> Dialog:
        return cls(
            phone,
            request.call_id,
            response.headers.get("To") or "",
            request.headers.get("From") or "",
            str(request.contacts[0].uri),
            tuple(str(route) for route in request.record_routes),
            request.cseq.number,
            request.body,
            reply,
        )

    def request(
        self,
        method: str,
        *extra: tuple[str, str],
        media: Media = None,
        body: bytes = b"",
        cseq: int | None = None,
        change: dict[str, str | None] | None = None,
    ) -> Request:
        """Build a request of this dialog; `change` replaces headers, None leaves one out."""
        fields: list[tuple[str, str | None]] = [("Via", self.phone.via())]
        fields += [("Route", route) for route in self.routes]
        fields += [
            ("Max-Forwards", "70"),
            ("From", self.local),
            ("To", self.remote),
            ("Call-ID", self.call_id),
            ("CSeq", f"{next(self.cseq) if cseq is None else cseq} {method}"),
            ("Contact", self.phone.contact),
        ]
        changes = change or {}
        changed = [(name, changes.get(name, value)) for name, value in fields]
        kept = [(name, value) for name, value in changed if value is not None]
        description, described_by = media_headers(media)
        headers = Headers.of(*kept, *described_by, *extra)
        return Request(method, self.target, headers, description or body)

    def acknowledge(self, media: Media = None, cseq: int | None = None) -> Request:
        """Send the ACK to a 2xx; returns it, so that it can be sent again."""
        number = self.invite_cseq if cseq is None else cseq
        request = self.request("ACK", media=media, cseq=number)
        self.send(request)
        return request

    def send(self, message: Request) -> None:
        """Send where the phone's outbound proxy is, or back to where the call came from."""
        if self.reply is not None:
            self.reply(message.to_bytes())
        else:
            self.phone.send(message)

    async def ask(
        self,
        method: str,
        *extra: tuple[str, str],
        media: Media = None,
        body: bytes = b"",
        change: dict[str, str | None] | None = None,
    ) -> Response:
        """Send a request and return its final response; an INVITE's 2xx is acknowledged."""
        request = self.request(method, *extra, media=media, body=body, change=change)
        self.send(request)
        response = await self.phone.final(request)
        if method == "INVITE" and response.status_code < 300:
            self.acknowledge(cseq=request.cseq.number)
        return response

    async def acknowledged(self) -> Request:
        """Wait for the ACK to our 2xx."""
        return (await self.asked("ACK")).request

    async def asked(self, method: str, timeout: float = GENEROUS) -> Asked:
        """Wait for a request of the other side."""

        def fits(message: object) -> bool:
            return (
                isinstance(message, Request)
                and message.method == method
                and message.call_id == self.call_id
            )

        return Asked(self, await self.phone.inbox.take(fits, timeout))

    async def hang_up(self) -> None:
        """Send BYE; fails unless it is answered with 200."""
        response = await self.ask("BYE")
        assert response.status_code == 200, response.status_code

    async def hung_up(self) -> Request:
        """Wait for the other side's BYE and confirm it."""
        asked = await self.asked("BYE")
        asked.respond(200)
        return asked.request


class Asked:
    """A request of the other side within a dialog."""

    def __init__(self, dialog: Dialog, arrival: Arrival) -> None:
        assert isinstance(arrival.message, Request)
        self.dialog = dialog
        self.request = arrival.message
        self._reply = arrival.reply

    def respond(
        self, status: int, media: Media = None, *extra: tuple[str, str], body: bytes = b""
    ) -> None:
        """Answer it."""
        description, described_by = media_headers(media)
        contact = ("Contact", self.dialog.phone.contact)
        made = response_to(self.request, status, headers=[contact, *described_by, *extra])
        response = Response(status, made.reason_phrase, made.headers, description or body)
        self._reply(response.to_bytes())
