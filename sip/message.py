"""Requests and responses: a start line, raw headers and a body, decoded on demand.

Nothing here is about the wire a message came by; that is `sip.flow`. Decoded headers are kept
with the message, which never changes: `with_...` methods return another one.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Generic, Self, TypeVar, overload

from sip.fields import (
    CSeq,
    NameAddr,
    Via,
    parse_cseq,
    parse_first_via,
    parse_max_forwards,
    parse_name_addr,
    parse_name_addrs,
    parse_seconds,
    parse_vias,
)
from sip.headers import ENCODING, ERRORS, Headers, MalformedHeader
from sip.reason_phrases import REASON_PHRASES
from sip.uri import Uri, parse_uri

M = TypeVar("M", bound="_Message")
T = TypeVar("T")


class _Decoded(Generic[M, T]):
    """A property computed once; functools.cached_property takes a lock each first time (3.11)."""

    def __init__(self, decode: Callable[[M], T]) -> None:
        self.decode = decode
        self.__doc__ = decode.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, message: None, owner: type) -> Self: ...
    @overload
    def __get__(self, message: M, owner: type) -> T: ...
    def __get__(self, message: M | None, owner: type) -> T | Self:
        if message is None:
            return self
        value = message.__dict__[self.name] = self.decode(message)
        return value


def _decoded(decode: Callable[[M], T]) -> _Decoded[M, T]:
    return _Decoded(decode)


class _Message:
    """What requests and responses share."""

    headers: Headers
    body: bytes

    @_decoded
    def top_via(self) -> Via:
        """The topmost Via; raises MalformedHeader when there is none."""
        decoded = self.__dict__.get("vias")
        return decoded[0] if decoded else parse_first_via(self._required("Via"))

    @_decoded
    def vias(self) -> tuple[Via, ...]:
        """Every Via, topmost first."""
        return parse_vias(self.headers.all("Via"))

    @_decoded
    def from_(self) -> NameAddr:
        """The From header; raises MalformedHeader when absent."""
        return parse_name_addr("From", self._required("From"))

    @_decoded
    def to(self) -> NameAddr:
        """The To header; raises MalformedHeader when absent."""
        return parse_name_addr("To", self._required("To"))

    @_decoded
    def call_id(self) -> str:
        """The Call-ID, compared byte by byte (RFC 3261 20.8); raises MalformedHeader if absent."""
        value = self._required("Call-ID")
        if not value or not value.isascii() or not value.isprintable() or " " in value:
            raise MalformedHeader("Call-ID", "empty, or not printable ASCII in one word")
        return value

    @_decoded
    def cseq(self) -> CSeq:
        """The CSeq; raises MalformedHeader when absent."""
        return parse_cseq(self._required("CSeq"))

    @_decoded
    def max_forwards(self) -> int | None:
        """Max-Forwards, 0 to 255, or None when absent."""
        value = self.headers.get("Max-Forwards")
        return None if value is None else parse_max_forwards(value)

    @_decoded
    def expires(self) -> int | None:
        """Expires in seconds, at most 2**32-1, or None when absent."""
        value = self.headers.get("Expires")
        return None if value is None else parse_seconds("Expires", value)

    @_decoded
    def routes(self) -> tuple[NameAddr, ...]:
        """Every Route, topmost first."""
        return parse_name_addrs("Route", self.headers.all("Route"))

    @_decoded
    def record_routes(self) -> tuple[NameAddr, ...]:
        """Every Record-Route, topmost first."""
        return parse_name_addrs("Record-Route", self.headers.all("Record-Route"))

    @_decoded
    def contacts(self) -> tuple[NameAddr, ...]:
        """Every Contact; none for "*", which `contact_is_star` tells."""
        values = self.headers.all("Contact")
        if values == ("*",):
            return ()
        return parse_name_addrs("Contact", values)

    @property
    def contact_is_star(self) -> bool:
        """Whether the only Contact is "*": remove all bindings (RFC 3261 section 10.2.2)."""
        return self.headers.all("Contact") == ("*",)

    def _required(self, name: str) -> str:
        value = self.headers.get(name)
        if value is None:
            raise MalformedHeader(name, "absent")
        return value

    def _bytes(self, start_line: str) -> bytes:
        lines = self.headers.lines()
        length = f"Content-Length: {len(self.body)}"
        at = self.headers.index("Content-Length")
        if at < 0:
            lines.append(length)
        else:
            lines[at] = length
        head = "\r\n".join((start_line, *lines, "", ""))
        return head.encode(ENCODING, ERRORS) + self.body


@dataclass(frozen=True)
class Request(_Message):
    """A request; `request_uri` is the text that came. Not slotted: it keeps what it decoded."""

    method: str
    request_uri: str
    headers: Headers
    body: bytes = b""

    @property
    def uri(self) -> Uri:
        """The Request-URI taken apart; raises MalformedUri."""
        return parse_uri(self.request_uri)

    def to_bytes(self) -> bytes:
        """Serialise with CRLF line ends and the body's true Content-Length."""
        return self._bytes(f"{self.method} {self.request_uri} SIP/2.0")

    def with_headers(self, headers: Headers) -> "Request":
        """Return a copy with other headers."""
        return Request(self.method, self.request_uri, headers, self.body)

    def with_uri(self, uri: object) -> "Request":
        """Return a copy with another Request-URI, given as text or as a URI value."""
        return Request(self.method, str(uri), self.headers, self.body)

    def with_body(self, body: bytes, content_type: str | None) -> "Request":
        """Return a copy with another body; None removes Content-Type."""
        return replace(self, body=body, headers=_body_headers(self.headers, body, content_type))


@dataclass(frozen=True)
class Response(_Message):
    """A response. Not slotted: it keeps what it decoded."""

    status_code: int
    reason_phrase: str
    headers: Headers
    body: bytes = b""

    def to_bytes(self) -> bytes:
        """Serialise with CRLF line ends and the body's true Content-Length."""
        return self._bytes(f"SIP/2.0 {self.status_code} {self.reason_phrase}")

    def with_headers(self, headers: Headers) -> "Response":
        """Return a copy with other headers."""
        return Response(self.status_code, self.reason_phrase, headers, self.body)

    def with_body(self, body: bytes, content_type: str | None) -> "Response":
        """Return a copy with another body; None removes Content-Type."""
        return replace(self, body=body, headers=_body_headers(self.headers, body, content_type))


def _body_headers(headers: Headers, body: bytes, content_type: str | None) -> Headers:
    changed = headers.replace("Content-Length", str(len(body)))
    if content_type is None:
        return changed.without("Content-Type")
    return changed.replace("Content-Type", content_type)


def response_to(
    request: Request,
    status_code: int,
    reason_phrase: str | None = None,
    *,
    to_tag: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
) -> Response:
    """Build a response from a request (RFC 3261 section 8.2.6), malformed ones included.

    Via, From, Call-ID and CSeq are copied as they came, Timestamp into a 100; `to_tag` is put on
    To when it has no tag and the status is above 100. `headers` are added after them.
    """
    if reason_phrase is None:
        reason_phrase = REASON_PHRASES.get(status_code, "")
    copied = [("Via", value) for value in request.headers.all("Via")]
    for name in ("From", "To", "Call-ID", "CSeq", "Timestamp"):
        value = request.headers.get(name)
        if value is None or (name == "Timestamp" and status_code != 100):
            continue
        if name == "To" and to_tag is not None and status_code > 100:
            value = _tagged(request, value, to_tag)
        copied.append((name, value))
    return Response(status_code, reason_phrase, Headers.of(*copied, *headers))


def _tagged(request: Request, to: str, tag: str) -> str:
    """Append the tag; a To that cannot be decoded is copied, since nobody knows where it ends."""
    try:
        return to if request.to.tag is not None else f"{to};tag={tag}"
    except MalformedHeader:
        return to
