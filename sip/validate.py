"""What a proxy owes a message: to forward it, to answer it, or silence (RFC 3261 section 16.3).

Only what a proxy works with is judged. "Any other component SHOULD be ignored and remain
unchanged" (16.3), so an odd Date, Contact or body is the business of whoever it is meant for.
"""

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Literal

from sip.fields import Via, parse_option_tags, split_header
from sip.flow import Transport
from sip.header_names import MalformedHeader
from sip.limits import DEFAULT_LIMITS, MessageLimits
from sip.message import Request, Response
from sip.parser import MalformedMessage, parse_datagram
from sip.reason_phrases import REASON_PHRASES
from sip.stream import Ping, StreamFramer
from sip.uri import AbsoluteUri, MalformedUri, SipUri

Outcome = Literal["forward", "answer", "drop"]
Kind = Literal["request", "response"]

# Fields that can stand once, and that elements would read two different things from if they
# stood twice: dialogs and transactions by the first six, framing, the body's meaning, and the
# times by which registrations end and signatures go stale.
SINGLE = (
    "Call-ID",
    "CSeq",
    "From",
    "To",
    "Max-Forwards",
    "Content-Length",
    "Content-Type",
    "Date",
    "Expires",
)
REQUIRED = ("Via", "From", "To", "Call-ID", "CSeq")
_SINGLE_KEYS = frozenset(name.lower() for name in SINGLE)
_REQUIRED_KEYS = frozenset(name.lower() for name in REQUIRED)
_MAGIC_COOKIE = "z9hg4bk"


@dataclass(frozen=True, slots=True)
class Assessment:
    """The outcome, the status of an answer, a reason to log, and headers the answer needs."""

    outcome: Outcome
    status: int | None = None
    reason: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def reason_phrase(self) -> str:
        """The answer's phrase, which for 400 says what was wrong (RFC 3261 section 21.4.1)."""
        if self.status is None:
            return ""
        phrase = REASON_PHRASES.get(self.status, "")
        return f"{phrase} - {self.reason}" if self.status == 400 and self.reason else phrase


_FORWARD = Assessment("forward")


def assess(
    message: Request | Response,
    transport: Transport,
    *,
    limits: MessageLimits = DEFAULT_LIMITS,
    supported: frozenset[str] = frozenset(),
) -> Assessment:
    """Judge a parsed message as a proxy must; never raises.

    `supported` are the option tags a Proxy-Require may name. Responses and ACK are dropped where
    another request would be answered (RFC 3261 sections 17.1.1.3, 18.1.2).
    """
    del transport  # no rule of section 16.3 depends on it; framing has been judged before
    if isinstance(message, Response):
        return _assess_response(message, limits)
    assessment = _assess_request(message, limits, supported)
    if assessment.outcome == "answer" and message.method == "ACK":
        return Assessment("drop", None, assessment.reason)
    return assessment


def assess_malformed(problem: MalformedMessage) -> Assessment:
    """Judge bytes that could not be parsed."""
    if problem.status is None or problem.partial is None or problem.partial.method == "ACK":
        return Assessment("drop", None, problem.reason)
    return Assessment("answer", problem.status, problem.reason)


def assess_bytes(
    data: bytes, transport: Transport, *, limits: MessageLimits = DEFAULT_LIMITS
) -> tuple[Kind | None, Assessment]:
    """Parse and judge one datagram, or the first message of a stream; never raises."""
    message = _first_message(data, transport, limits)
    if isinstance(message, MalformedMessage):
        kind: Kind | None = "response" if message.is_response else None
        kind = kind or (None if message.partial is None else "request")
        return kind, assess_malformed(message)
    if message is None:
        return None, Assessment("drop", None, "no message, only keep-alives")
    kind = "request" if isinstance(message, Request) else "response"
    return kind, assess(message, transport, limits=limits)


def _first_message(
    data: bytes, transport: Transport, limits: MessageLimits
) -> Request | Response | MalformedMessage | None:
    if transport == "udp":
        if not data.strip(b"\r\n\0"):
            return None
        try:
            return parse_datagram(data, limits)
        except MalformedMessage as problem:
            return problem
    framer = StreamFramer(limits)
    for framed in framer.feed(data):
        if not isinstance(framed, Ping):
            return framed
    return framer.finish()


def _answer(status: int, reason: str, *headers: tuple[str, str]) -> Assessment:
    return Assessment("answer", status, reason, headers)


def _assess_request(
    request: Request, limits: MessageLimits, supported: frozenset[str]
) -> Assessment:
    if len(request.request_uri) > limits.request_uri:
        return _answer(414, f"Request-URI longer than {limits.request_uri} characters")
    try:
        _check_common(request, limits)
        if request.cseq.method != request.method:
            return _answer(400, "CSeq: method is not the request's")
        refused = _check_request_uri(request)
        if refused is not None:
            return refused
        if request.max_forwards == 0:
            return _answer(483, "Max-Forwards is 0")
        unknown = _unknown_proxy_options(request, supported)
        if unknown:
            tags = ", ".join(unknown)
            return _answer(420, f"Proxy-Require: {tags}", ("Unsupported", tags))
        _check_routing(request)
    except MalformedHeader as problem:
        return _answer(400, str(problem))
    return _FORWARD


def _assess_response(response: Response, limits: MessageLimits) -> Assessment:
    try:
        _check_common(response, limits)
    except MalformedHeader as problem:
        return Assessment("drop", None, str(problem))
    if len(response.vias) > 1 and not _is_unicast(response.vias[1]):
        # RFC 4475 3.3.10: forwarding it would make us the amplifier of an attack.
        return Assessment("drop", None, "Via: next hop is a broadcast or multicast address")
    return _FORWARD


def _check_common(message: Request | Response, limits: MessageLimits) -> None:
    """Check what every element needs to match, answer and forward a message."""
    _check_presence(message)
    vias = message.vias
    if len(vias) > limits.vias:
        raise MalformedHeader("Via", f"more than {limits.vias}")
    for via in vias:
        branch = via.branch
        if branch is None:
            continue
        if len(branch) > limits.word:
            raise MalformedHeader("Via", f"branch longer than {limits.word} characters")
        if len(branch) == len(_MAGIC_COOKIE) and branch.lower() == _MAGIC_COOKIE:
            # RFC 4475 3.2.1: it promises a unique identifier and gives none.
            raise MalformedHeader("Via", "branch is the magic cookie alone")
    for name, address in (("From", message.from_), ("To", message.to)):
        if len(address.tag or "") > limits.word:
            raise MalformedHeader(name, f"tag longer than {limits.word} characters")
    if len(message.call_id) > limits.word:
        raise MalformedHeader("Call-ID", f"longer than {limits.word} characters")
    _ = message.cseq


def _check_presence(message: Request | Response) -> None:
    keys = message.headers.keys()
    names = set(keys)
    if len(names) != len(keys):
        seen: set[str] = set()
        for key in keys:
            if key in seen and key in _SINGLE_KEYS:
                raise MalformedHeader(key, "more than one")
            seen.add(key)
    if not names >= _REQUIRED_KEYS:
        absent = next(name for name in REQUIRED if name.lower() not in names)
        raise MalformedHeader(absent, "absent")


def _check_request_uri(request: Request) -> Assessment | None:
    try:
        uri = request.uri
    except MalformedUri as problem:
        return _answer(400, f"Request-URI: {problem}")
    if isinstance(uri, AbsoluteUri):
        return _answer(416, f"Request-URI: scheme {uri.scheme[:40]}")
    if isinstance(uri, SipUri) and uri.headers:
        # RFC 3261 19.1.1, table 1: not allowed here (RFC 4475 3.1.2.11).
        return _answer(400, "Request-URI: headers are not allowed")
    return None


def _unknown_proxy_options(request: Request, supported: frozenset[str]) -> tuple[str, ...]:
    if "Proxy-Require" not in request.headers:
        return ()
    tags = parse_option_tags("Proxy-Require", request.headers.all("Proxy-Require"))
    return tuple(tag for tag in tags if tag.lower() not in supported)


def _check_routing(request: Request) -> None:
    """Check what the next steps of section 16 decode, and what can be read in two ways."""
    headers = request.headers
    if "Route" in headers:
        _ = request.routes
    if "Record-Route" in headers:
        _ = request.record_routes
    if request.method == "REGISTER":
        for value in headers.all("Contact"):
            if "?" in value and any(map(_is_bare_with_headers, split_header("Contact", value))):
                # RFC 4475 3.1.2.13: the URI's headers could be taken for the field's parameters.
                raise MalformedHeader("Contact", 'URI with "?" needs angle brackets')


def _is_bare_with_headers(contact: str) -> bool:
    return "?" in contact.partition(";")[0] and "<" not in contact


def _is_unicast(via: Via) -> bool:
    return _is_unicast_host(via.received or via.params.text("maddr") or via.sent_by.host)


@lru_cache(maxsize=4096)
def _is_unicast_host(host: str) -> bool:
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return True
    return not (address.is_multicast or address.is_unspecified or host == "255.255.255.255")
