"""Ending an answered call from the middle: a BYE to both sides.

A proxy may not invent requests in a dialog, but a gateway that anchors media is the only one to
see that a leg has died, and both users would be charged for silence. Each BYE is what the far
side would have sent (RFC 3261 section 15.1.1), with the next CSeq number of that side, to where its
dialog leads by now.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from gateway.calls.route_token import Side
from sip.headers import Headers
from sip.message import Request, Response
from sip.proxy_request import IsOurs
from sip.uri import SipUri


@dataclass(frozen=True, slots=True)
class DialogFacts:
    """What a BYE to either side needs, taken from the INVITE and its 2xx."""

    call_id: str
    caller: str
    callee: str
    caller_target: str
    callee_target: str
    caller_routes: tuple[str, ...]
    callee_routes: tuple[str, ...]
    callee_tag: str | None

    def refreshed(self, request: Request, response: Response, by: Side) -> DialogFacts:
        """Return the facts after a re-INVITE or UPDATE of one side was taken (RFC 3261 12.2).

        The Contacts of request and response are where both sides are reached from now on.
        """
        sender = str(request.contacts[0].uri) if request.contacts else None
        receiver = str(response.contacts[0].uri) if response.contacts else None
        caller, callee = (sender, receiver) if by == "caller" else (receiver, sender)
        return replace(
            self,
            caller_target=caller or self.caller_target,
            callee_target=callee or self.callee_target,
        )

    def ack(self, cseq: int) -> Request:
        """Return the ACK for the callee's 2xx, with the CSeq number of the INVITE (13.2.2.4)."""
        headers = [("Route", route) for route in self.callee_routes]
        headers += [
            ("Max-Forwards", "70"),
            ("From", self.caller),
            ("To", self.callee),
            ("Call-ID", self.call_id),
            ("CSeq", f"{cseq} ACK"),
        ]
        return Request("ACK", self.callee_target, Headers.of(*headers))

    def bye(self, to: Side, cseq: int, reason: str) -> Request:
        """Return the BYE for one side; `reason` is a Reason header field value."""
        if to == "callee":
            sender, receiver = self.caller, self.callee
            target, routes = self.callee_target, self.callee_routes
        else:
            sender, receiver = self.callee, self.caller
            target, routes = self.caller_target, self.caller_routes
        headers = [("Route", route) for route in routes]
        headers += [
            ("Max-Forwards", "70"),
            ("From", sender),
            ("To", receiver),
            ("Call-ID", self.call_id),
            ("CSeq", f"{cseq} BYE"),
            ("Reason", reason),
        ]
        return Request("BYE", target, Headers.of(*headers))


def dialog_facts(request: Request, response: Response, is_ours: IsOurs) -> DialogFacts | None:
    """Return the facts of the dialog an INVITE and its 2xx made; None without both Contacts.

    `request` is the INVITE as it came in, `response` the 2xx as it came from the callee's side;
    `is_ours` tells our own Record-Route values from those of the proxies beyond us.
    """
    if not request.contacts or not response.contacts:
        return None
    return DialogFacts(
        call_id=request.call_id,
        caller=request.headers.get("From") or "",
        callee=response.headers.get("To") or "",
        caller_target=str(request.contacts[0].uri),
        callee_target=str(response.contacts[0].uri),
        caller_routes=tuple(str(route) for route in request.record_routes),
        callee_routes=tuple(reversed(list(_below_us(response, is_ours)))),
        callee_tag=response.to.tag,
    )


def _below_us(response: Response, is_ours: IsOurs) -> Iterable[str]:
    for route in response.record_routes:
        if isinstance(route.uri, SipUri) and is_ours(route.uri):
            return
        yield str(route)
