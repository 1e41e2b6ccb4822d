"""The two requests that are made from an INVITE and go to the same hop: CANCEL and ACK."""

from __future__ import annotations

from typing import Final

from sip.headers import Headers
from sip.message import Request, Response

_MAX_FORWARDS: Final = "70"


def cancel_for(request: Request) -> Request:
    """Return the CANCEL of a request as it was sent, its top Via included (RFC 3261 9.1).

    It has the branch of the request, so it matches the same server transaction downstream.
    """
    return _derive(request, "CANCEL", request.headers.get("To") or "")


def ack_for_non_2xx(request: Request, response: Response) -> Request:
    """Return the ACK of an INVITE as it was sent to a 300-699 response (RFC 3261 17.1.1.3).

    To comes from the response, for it carries the tag of who refused.
    """
    to = response.headers.get("To") or request.headers.get("To") or ""
    return _derive(request, "ACK", to)


def _derive(request: Request, method: str, to: str) -> Request:
    headers = request.headers
    fields = [("Via", _top_via_value(request))]
    fields += [("Route", value) for value in headers.all("Route")]
    fields += [
        ("Max-Forwards", _MAX_FORWARDS),
        ("From", headers.get("From") or ""),
        ("To", to),
        ("Call-ID", request.call_id),
        ("CSeq", f"{request.cseq.number} {method}"),
    ]
    return Request(method, request.request_uri, Headers.of(*fields))


def _top_via_value(request: Request) -> str:
    value = request.headers.get("Via") or ""
    # Our own Via is a field of its own; only a request of someone else may join several.
    return str(request.top_via) if "," in value else value
