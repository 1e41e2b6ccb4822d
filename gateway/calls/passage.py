"""Which call a request within a dialog belongs to, and whether it may go where it wants to.

Everything needed to route it is sealed into the Record-Route values that both ends were given.
Those ends are strangers: what they hold is good for their one dialog, from their own side, for as
long as a call may last, and leads to no place inside but the one that was called.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from gateway.calls.route_token import PARAMETER, RouteSeal, RouteToken, dialog_mark
from gateway.calls.state import Call
from gateway.calls.wiring import Wiring
from gateway.refusal import CallRefused
from sip.fields import NameAddr
from sip.flow import Flow
from sip.message import Request
from sip.proxy_request import next_hop_uri
from sip.uri import MalformedUri, SipUri, parse_uri


@dataclass(frozen=True, slots=True)
class Passage:
    """Which call a request within a dialog belongs to and which way it goes.

    `call` is None where this process did not set the call up: it is still routed.
    """

    toward: RouteToken
    call: Call | None


def find_passage(
    wiring: Wiring, request: Request, own_routes: Sequence[NameAddr], flow: Flow
) -> Passage:
    """Read the tokens of the Route header fields that were ours.

    Raises CallRefused: 481 where there is none, or where side, tags or time are not those of the
    call, so that who only knows a Call-ID can do nothing (RFC 3261 section 12.2.2); 403 for a
    next hop inside that is not part of the call.
    """
    tokens = [token for route in own_routes if (token := _token(wiring.seal, route)) is not None]
    if len(tokens) < 2:
        raise CallRefused(481)
    came_by, toward = tokens[0], tokens[-1]
    if not _belong_together(came_by, toward) or not _fits(wiring, request, came_by, toward, flow):
        raise CallRefused(481)
    call = wiring.calls.get(toward.call_key)
    if call is not None and not _tags_match(call, request, toward):
        raise CallRefused(481)
    passage = Passage(toward, call)
    if not _may_go_inside(wiring, request, passage):
        raise CallRefused(403, "The next hop is not part of this call")
    return passage


def _token(seal: RouteSeal, route: NameAddr) -> RouteToken | None:
    if not isinstance(route.uri, SipUri):
        return None
    text = route.uri.params.get(PARAMETER)
    return seal.open(text) if text else None


def _belong_together(came_by: RouteToken, toward: RouteToken) -> bool:
    return came_by.call_key == toward.call_key and came_by.side != toward.side


def _fits(
    wiring: Wiring, request: Request, came_by: RouteToken, toward: RouteToken, flow: Flow
) -> bool:
    """Whether the tokens are for this dialog, this side and this time."""
    listeners = wiring.listeners
    if not (listeners.has(came_by.listener) and listeners.has(toward.listener)):
        return False  # sealed under another configuration
    if listeners.role(flow) != listeners.role_of(came_by.listener):
        return False
    caller_tag = request.from_.tag if toward.side == "callee" else request.to.tag
    mark = dialog_mark(request.call_id, caller_tag or "")
    return toward.dialog == mark and wiring.clock() < toward.expires_at


def _tags_match(call: Call, request: Request, toward: RouteToken) -> bool:
    if request.call_id != call.call_id:
        return False
    from_tag, to_tag = request.from_.tag or "", request.to.tag or ""
    if toward.side == "caller":
        from_tag, to_tag = to_tag, from_tag
    early = not call.callee_tags
    return from_tag == call.caller_tag and (early or to_tag in call.callee_tags)


def _may_go_inside(wiring: Wiring, request: Request, passage: Passage) -> bool:
    """Whether a request for the inside that follows no known flow goes to a place of its call.

    It would otherwise go wherever its Request-URI or Route, which a stranger writes, leads.
    """
    toward = passage.toward
    if toward.flow is not None or wiring.listeners.role_of(toward.listener) == "peers":
        return True
    uri = next_hop_uri(request)
    host = "" if uri is None else (uri.params.text("maddr") or uri.host).lower()
    return (
        host in wiring.delivery.hosts
        or host in _hosts_of(passage.call)
        or (_is_address(host) and wiring.callers.is_trunk_address(host))
    )


def _hosts_of(call: Call | None) -> Iterator[str]:
    """Where the call was delivered to, and where its answer said to continue."""
    if call is None:
        return
    if call.callee_hop is not None:
        yield call.callee_hop.address.host
    if call.dialog is None:
        return
    for text in (call.dialog.callee_target, *call.dialog.callee_routes):
        try:
            uri = parse_uri(text.strip("<>").partition(">")[0])
        except MalformedUri:
            continue
        if isinstance(uri, SipUri):
            yield uri.host.lower()


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
