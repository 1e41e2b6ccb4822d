"""What a proxy does to a request before it goes out (RFC 3261 sections 16.3, 16.4 and 16.6).

In order: `check_request`, `take_route`, the decision where to (16.5, not here), and then for
each target `prepare_forward`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from sip.fields import NameAddr, parse_option_tags
from sip.grammar import decimal, split_list
from sip.headers import Headers, MalformedHeader
from sip.loop_detection import branch_suffix, is_loop, may_be_loop
from sip.message import Request
from sip.reason_phrases import REASON_PHRASES
from sip.uri import MalformedUri, SipUri, parse_uri

IsOurs = Callable[[SipUri], bool]
"""Whether a URI names this proxy: a listener's address, or a name it answers to."""

DEFAULT_MAX_FORWARDS: Final = 70
DEFAULT_MAX_BREADTH: Final = 60
"""What a request without Max-Breadth gets (RFC 5393 section 5.3.1)."""
_LARGEST_BREADTH: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not forwarded: the response it gets, unless it is an ACK."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...] = ()


class PreparedRequest(NamedTuple):
    """A request ready to be sent, but for its Via."""

    request: Request
    branch_suffix: str
    """What the branch of the Via to be pushed has to end in (loop detection)."""
    next_hop: SipUri | None
    """The URI to locate (16.6 step 7); None where it is neither sip: nor sips:."""


def check_request(
    request: Request,
    *,
    is_ours: IsOurs,
    loop_key: bytes,
    supported: frozenset[str] = frozenset(),
) -> Refusal | None:
    """Check what RFC 3261 section 16.3 asks of a proxy beyond syntax and URI scheme.

    Returns None for a request that may be forwarded, else 400 (Max-Forwards, Max-Breadth or Route
    cannot be decoded), 483, 440 (RFC 5393), 482 or 420. `supported` are the option tags, lower
    case, that this proxy lets a Proxy-Require ask for. Nothing a peer sends makes it raise.
    """
    try:
        if request.max_forwards == 0:
            return _refusal(483)
        if max_breadth(request) == 0:
            return _refusal(440)
        _ = request.routes
        if may_be_loop(request) and is_loop(take_route(request, is_ours=is_ours)[0], loop_key):
            return _refusal(482)
        unsupported = _unsupported(request.headers, supported)
    except MalformedHeader as malformed:
        return Refusal(400, f"Malformed {malformed.name}")
    if unsupported:
        return Refusal(420, REASON_PHRASES[420], (("Unsupported", ", ".join(unsupported)),))
    return None


def max_breadth(request: Request) -> int:
    """Return into how many branches a request may spread (RFC 5393), 60 where it does not say.

    Raises `MalformedHeader` where the value is not a number below 2**31.
    """
    value = request.headers.get("Max-Breadth")
    if value is None:
        return DEFAULT_MAX_BREADTH
    breadth = decimal(value.strip(" \t"), at_most=_LARGEST_BREADTH)
    if breadth is None:
        raise MalformedHeader("Max-Breadth", "not a number below 2**31")
    return breadth


def take_route(request: Request, *, is_ours: IsOurs) -> tuple[Request, tuple[NameAddr, ...]]:
    """Take off the part of the route that leads to this proxy (RFC 3261 section 16.4).

    Returns the request to go on with and our own values that were taken off, topmost first: they
    carry the parameters we put into Record-Route. A strict router before us has moved our value
    to the Request-URI and the true Request-URI to the last Route; that is undone. A Request-URI
    that reaches us by `maddr` loses it. Raises `MalformedHeader` for a Route that cannot be
    decoded, which `check_request` has found out before.
    """
    if "maddr" in request.request_uri.lower():
        request = _without_maddr(request, is_ours)
    if "Route" not in request.headers:
        return request, ()
    routes = list(request.routes)
    values = _route_values(request.headers)
    ours: list[NameAddr] = []
    recorded = _recorded_uri(request.request_uri)
    if routes and recorded is not None and is_ours(recorded):
        ours.append(NameAddr(None, recorded))
        request = request.with_uri(routes.pop().uri)
        values.pop()
    taken = 0
    for route in routes:
        if not isinstance(route.uri, SipUri) or not is_ours(route.uri):
            break
        taken += 1
    ours += routes[:taken]
    if not ours:
        return request, ()
    return request.with_headers(_with_routes(request.headers, values[taken:])), tuple(ours)


def prepare_forward(
    request: Request,
    target_uri: str | None,
    *,
    record_routes: Sequence[str] = (),
    loop_key: bytes,
    max_breadth: int | None = None,
) -> PreparedRequest:
    """Make the copy of a request that goes to one target (RFC 3261 section 16.6, steps 1 to 7).

    `request` has passed `check_request` and `take_route` and still has the Request-URI it came
    with. `target_uri` replaces it, None keeps it (a request that follows its Route).
    `record_routes` are complete values, the topmost first, for example two where the transport
    changes (RFC 5658). `max_breadth` is this branch's share of the breadth. The Via is left to
    the transport, which alone knows where the copy leaves from. Raises `MalformedUri` where
    `target_uri` is no URI, and `MalformedHeader` where a Route or Max-Forwards cannot be decoded.
    """
    suffix = branch_suffix(request, loop_key)
    if target_uri is None:
        uri, next_hop = request.request_uri, None
    else:
        uri, next_hop = _request_uri(target_uri)
    left = request.max_forwards
    left = DEFAULT_MAX_FORWARDS if left is None else max(left - 1, 0)
    headers = request.headers.replace("Max-Forwards", str(left))
    if request.method != "ACK":
        headers = _with_breadth(headers, max_breadth)
    for value in reversed(record_routes):
        headers = headers.prepend("Record-Route", value)
    if "Route" in headers:
        uri, headers, next_hop = _follow_route(uri, headers, request.routes)
    elif target_uri is None:
        next_hop = _sip_uri(uri)
    return PreparedRequest(Request(request.method, uri, headers, request.body), suffix, next_hop)


def next_hop_uri(request: Request) -> SipUri | None:
    """Return where a request goes next: its first Route, else its Request-URI (16.6 step 7).

    For a request that `prepare_forward` made, use what that returned: only it knows whether the
    Request-URI is a strict router's. None where the URI is neither sip: nor sips:. Raises
    `MalformedHeader` for a Route that cannot be decoded.
    """
    routes = request.routes
    if not routes:
        return _sip_uri(request.request_uri)
    uri = routes[0].uri
    return uri if isinstance(uri, SipUri) else None


def _refusal(status: int) -> Refusal:
    return Refusal(status, REASON_PHRASES[status])


def _unsupported(headers: Headers, supported: frozenset[str]) -> list[str]:
    if "Proxy-Require" not in headers:
        return []
    tags = parse_option_tags("Proxy-Require", headers.all("Proxy-Require"))
    return [tag for tag in tags if tag.lower() not in supported]


def _sip_uri(text: str) -> SipUri | None:
    try:
        uri = parse_uri(text)
    except MalformedUri:
        return None
    return uri if isinstance(uri, SipUri) else None


def _recorded_uri(request_uri: str) -> SipUri | None:
    """Return a Request-URI that may be one of our Record-Route values.

    Those have lr and no user; no other Request-URI looks like that.
    """
    if "lr" not in request_uri:
        return None
    uri = _sip_uri(request_uri)
    return uri if uri is not None and "lr" in uri.params and uri.user is None else None


def _without_maddr(request: Request, is_ours: IsOurs) -> Request:
    """Strip maddr, and port and transport with it, where it leads to us (16.4)."""
    uri = _sip_uri(request.request_uri)
    maddr = None if uri is None else uri.params.get("maddr")
    if uri is None or maddr is None:
        return request
    host = maddr.removeprefix("[").removesuffix("]")
    if not is_ours(replace(uri, user=None, password=None, host=host)):
        return request
    params = uri.params.dropping("maddr").dropping("transport")
    return request.with_uri(replace(uri, port=None, params=params))


def _route_values(headers: Headers) -> list[str]:
    """Return each Route as written, which decoding has found well formed."""
    return [element for value in headers.all("Route") for element in split_list(value)]


def _with_routes(headers: Headers, values: Sequence[str]) -> Headers:
    return headers.replace("Route", ", ".join(values)) if values else headers.without("Route")


def _request_uri(target: str) -> tuple[str, SipUri | None]:
    """Return a target as text and URI without what a Request-URI must not have (16.6 step 2).

    That is headers and the method parameter (19.1.1).
    """
    uri = parse_uri(target)
    if not isinstance(uri, SipUri):
        return target, None
    if uri.headers or "method" in uri.params:
        uri = replace(uri, headers=(), params=uri.params.dropping("method"))
        return str(uri), uri
    return target, uri


def _with_breadth(headers: Headers, breadth: int | None) -> Headers:
    if breadth is None:
        if "Max-Breadth" in headers:
            return headers
        breadth = DEFAULT_MAX_BREADTH
    return headers.replace("Max-Breadth", str(breadth))


def _follow_route(
    uri: str, headers: Headers, routes: tuple[NameAddr, ...]
) -> tuple[str, Headers, SipUri | None]:
    """Return Request-URI, headers and next hop for the first Route (16.6 steps 6 and 7).

    A strict router, whose URI lacks lr, finds itself in the Request-URI and the true Request-URI
    as last Route.
    """
    first = routes[0].uri
    if not isinstance(first, SipUri):
        return uri, headers, None
    if "lr" in first.params:
        return uri, headers, first
    values = [*_route_values(headers)[1:], f"<{uri}>"]
    return str(first), _with_routes(headers, values), first
