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
from sip.multipart import part_of, with_part

SDP: Final = "application/sdp"


def has_sdp(message: Request | Response) -> bool:
    """Whether a message carries a session description, alone or beside other parts."""
    return part_of(message, SDP) is not None


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
    late_answered: bool = False

    @property
    def awaits_answer(self) -> bool:
        """Whether a late offer went back that the sender of the request has yet to answer."""
        return self.offered_back and not self.late_answered

    async def request(self, request: Request) -> Request:
        """Return the request with its offer replaced; raises media.session.MediaRefused."""
        sdp = part_of(request, SDP)
        if sdp is None:
            return request
        self.offered = True
        return with_part(request, SDP, await self._offer(sdp, self.side))

    async def response(self, response: Response) -> Response:
        """Return the response with its answer, or late offer, replaced.

        Raises media.session.MediaRefused.
        """
        sdp = part_of(response, SDP)
        if sdp is None:
            return response
        tag = response.to.tag or ""
        if self.answered_by not in (None, tag):
            return with_part(response, SDP, self.first_answer)
        if not self.offered and not _is_reliable(response):
            return response.with_body(b"", None)
        if self.late_offer == sdp:  # the response again: not another offer
            return with_part(response, SDP, self.first_answer)
        back = other(self.side)
        if self.offered:
            body = await self.session.answer(sdp, back)
        else:
            body = await self._offer(sdp, back)
            self.offered_back, self.late_offer = True, sdp
        if response.status_code >= 200 or self.offered_back:
            self.answered_by, self.first_answer = tag, body
        return with_part(response, SDP, body)

    async def _offer(self, sdp: bytes, side: Side) -> bytes:
        try:
            return await self.session.offer(sdp, side)
        except MediaExhausted:
            raise MediaRefused(503, "No media port is free") from None

    async def ack(self, request: Request) -> Request:
        """Return the ACK, or PRACK, with the answer to a late offer replaced."""
        sdp = part_of(request, SDP)
        if not self.offered_back or sdp is None:
            return request
        if request.to.tag != self.answered_by:
            return request.with_body(b"", None)
        self.late_answered = True
        return with_part(request, SDP, await self.session.answer(sdp, self.side))

    def failed(self) -> None:
        """The request was refused: what was offered does not hold (RFC 3264 section 8)."""
        if self.offered:
            self.session.rollback()


def _is_reliable(response: Response) -> bool:
    """Whether a response may carry an offer: the 2xx, or a 1xx that gets a PRACK (RFC 3262 5)."""
    return response.status_code >= 200 or "RSeq" in response.headers
