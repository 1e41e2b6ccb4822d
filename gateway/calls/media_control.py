"""SDP of one call on its way through: which body is an offer, which an answer, and for whom.

RFC 3264 with the carriages of RFC 3261 section 13.2.1: the offer is in the INVITE and the answer
in a response, or the offer is in the first reliable response and the answer in the ACK.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.calls.route_token import Side
from media.session import MediaExhausted, MediaRefused, MediaSession
from sip.message import Request, Response

SDP: Final = "application/sdp"


def has_sdp(message: Request | Response) -> bool:
    """Whether a message carries a session description as its whole body."""
    if not message.body:
        return False
    content_type = message.headers.get("Content-Type") or ""
    return content_type.partition(";")[0].strip().lower() == SDP


def other(side: Side) -> Side:
    """Return the far side of a call."""
    return "callee" if side == "caller" else "caller"


@dataclass(slots=True)
class SdpExchange:
    """The offer and answer that travel with one request and its responses.

    `side` sent the request. Bodies are replaced by those of the media session's own legs. Where a
    forked INVITE is answered more than once the media stay with the first answer, whose To tag is
    `answered_by`: its caller sees the same description in every one and ends all but one.
    """

    session: MediaSession
    side: Side
    offered: bool = False
    offered_back: bool = False
    answered_by: str | None = None
    first_answer: bytes = b""
    late_offer: bytes = b""

    async def request(self, request: Request) -> Request:
        """Return the request with its offer replaced; raises media.session.MediaRefused."""
        if not has_sdp(request):
            return request
        self.offered = True
        return request.with_body(await self._offer(request.body, self.side), SDP)

    async def response(self, response: Response) -> Response:
        """Return the response with its answer, or late offer, replaced.

        Raises media.session.MediaRefused.
        """
        if not has_sdp(response):
            return response
        tag = response.to.tag or ""
        if self.answered_by not in (None, tag):
            return response.with_body(self.first_answer, SDP)
        if not self.offered and response.status_code < 200:
            return response.with_body(b"", None)
        if self.late_offer == response.body:  # the 2xx again: not another offer
            return response.with_body(self.first_answer, SDP)
        back = other(self.side)
        if self.offered:
            body = await self.session.answer(response.body, back)
        else:
            body = await self._offer(response.body, back)
            self.offered_back, self.late_offer = True, response.body
        if response.status_code >= 200:
            self.answered_by, self.first_answer = tag, body
        return response.with_body(body, SDP)

    async def _offer(self, sdp: bytes, side: Side) -> bytes:
        try:
            return await self.session.offer(sdp, side)
        except MediaExhausted:
            raise MediaRefused(503, "No media port is free") from None

    async def ack(self, request: Request) -> Request:
        """Return the ACK with the answer to a late offer replaced."""
        if not self.offered_back or not has_sdp(request):
            return request
        if request.to.tag != self.answered_by:
            return request.with_body(b"", None)
        return request.with_body(await self.session.answer(request.body, self.side), SDP)

    def failed(self) -> None:
        """The request was refused: what was offered does not hold (RFC 3264 section 8)."""
        if self.offered:
            self.session.rollback()
