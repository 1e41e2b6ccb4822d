"""Bytes to messages: the start line and header fields, split once and not looked into.

Parsing decides only what the bytes say. Whether a proxy may forward the message is
`sip.validate`; where a message ends on a stream is `sip.stream`.
"""

import re

from sip.grammar import TCHAR, decimal
from sip.header_names import SPELLED, MalformedHeader, header_name
from sip.headers import ENCODING, ERRORS, Headers
from sip.limits import DEFAULT_LIMITS, MessageLimits
from sip.message import Request, Response

# Exactly one space between the parts (RFC 3261 section 7.1): lenience here is how two elements
# come to read two different Request-URIs (RFC 4475 3.1.2.8 to 3.1.2.10).
_REQUEST_LINE = re.compile(
    rf"([{TCHAR}]++) ([^\x00-\x20\x7f\x80-\U0010ffff]++) [Ss][Ii][Pp]/([0-9]++\.[0-9]++)"
)
_STATUS_LINE = re.compile(
    r"[Ss][Ii][Pp]/([0-9]++\.[0-9]++) ([0-9]++) ([^\x00-\x08\x0a-\x1f\x7f]*+)"
)
_LOOKS_LIKE_REQUEST = re.compile(rf"([{TCHAR}]++)[ \t]")
_LOOKS_LIKE_STATUS = re.compile(r"[Ss][Ii][Pp]/[0-9]")
_SPEAKS_SIP = re.compile(r"[ \t][Ss][Ii][Pp]/[0-9]")
_FOLD = re.compile(r"\r\n[ \t]++")
_MOST_OCTETS = 2**31


class MalformedMessage(ValueError):
    """Bytes that are no SIP message.

    `status` is what a request should be answered with, None where nothing can be answered;
    `partial` is then as much of the request as answering takes. `is_response` tells bytes that
    began as a response. `fatal`: a stream that carried it has lost its framing and is to be closed.
    """

    fatal = True

    def __init__(
        self,
        reason: str,
        *,
        status: int | None = None,
        partial: Request | None = None,
        is_response: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.partial = partial
        self.is_response = is_response


def parse_datagram(
    data: bytes | bytearray | memoryview, limits: MessageLimits = DEFAULT_LIMITS
) -> Request | Response:
    """Parse one datagram; raises MalformedMessage.

    Octets after Content-Length are not part of the message (RFC 3261 section 18.3); without
    Content-Length the body goes to the datagram's end.
    """
    data = bytes(data)
    start = 0
    while data.startswith(b"\r\n", start):  # RFC 3261 section 7.5
        start += 2
    end = data.find(b"\r\n\r\n", start)
    if end < 0:
        # Some elements leave the empty line out when no body follows; a datagram tells its end.
        if not data.endswith(b"\r\n"):
            raise malformed_head(data[start:], "header section does not end in a line end", limits)
        end = len(data) - 2
    if len(data) > limits.message:
        raise malformed_head(data[start:end], "message too large", limits, status=513)
    start_line, headers = _split_head(data[start:end], limits)
    length = _content_length(start_line, headers)
    body = data[end + 4 :]
    message = parse_start_line(start_line, headers, body if length is None else body[:length])
    if length is not None and length > len(body):
        raise malformed(message, f"Content-Length {length}, but {len(body)} octets follow")
    return message


def with_body_bytes(message: Request | Response, body: bytes) -> Request | Response:
    """Return the message with its body, Content-Length left as it came."""
    if not body:
        return message
    if isinstance(message, Request):
        return Request(message.method, message.request_uri, message.headers, body)
    return Response(message.status_code, message.reason_phrase, message.headers, body)


def parse_head(head: bytes, limits: MessageLimits) -> tuple[Request | Response, int | None]:
    """Parse a start line and headers, without the empty line, into a message and Content-Length.

    Raises MalformedMessage.
    """
    start_line, headers = _split_head(head, limits)
    message = parse_start_line(start_line, headers)
    return message, _content_length(start_line, headers)


def _split_head(head: bytes, limits: MessageLimits) -> tuple[str, Headers]:
    text = head.decode(ENCODING, ERRORS)
    lines = text.split("\r\n")
    headers = _parse_fields(lines, limits)
    if headers == _FOLDED:
        lines = _FOLD.sub(" ", text).split("\r\n")
        headers = _parse_fields(lines, limits)
    if isinstance(headers, str):
        raise malformed_head(head, headers, limits)
    return lines[0], headers


_FOLDED = "folded header line"


def _parse_fields(lines: list[str], limits: MessageLimits) -> Headers | str:
    """Parse the lines after the first, or say what is wrong, `_FOLDED` if they are to be unfolded.

    Folds are noticed, not looked for: few messages have one.
    """
    if len(lines) - 1 > limits.header_fields:
        folded = any(line.startswith((" ", "\t")) for line in lines[1:])
        return _FOLDED if folded else f"more than {limits.header_fields} header fields"
    together = "".join(lines)
    if "\n" in together or "\r" in together:  # RFC 3261 section 7: CRLF ends a line, nothing else
        return "line end that is not CRLF"
    names: list[str] = []
    keys: list[str] = []
    values: list[str] = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        known = SPELLED.get(name)
        if known is None or not colon:
            if line[:1] in (" ", "\t"):
                return _FOLDED
            if not colon:
                return "header line without a colon"
            try:
                # HCOLON lets spaces and tabs, and nothing else, stand before the colon.
                known = header_name(name.rstrip(" \t"))
            except MalformedHeader as problem:
                return problem.why
        names.append(known[0])
        keys.append(known[1])
        values.append(value.strip(" \t"))
    return Headers(names, keys, values)


def parse_start_line(line: str, headers: Headers, body: bytes = b"") -> Request | Response:
    """Parse a request or status line; raises MalformedMessage, 505 for a foreign version."""
    found = _REQUEST_LINE.fullmatch(line)
    if found is not None:
        method, request_uri, version = found.groups()
        request = Request(method, request_uri, headers, body)
        if version != "2.0":
            raise malformed(request, f"SIP version {version[:20]}", status=505)
        return request
    if _LOOKS_LIKE_STATUS.match(line):
        return _parse_status_line(line, headers, body)
    guess = _guess_request(line, headers)
    if guess is None:
        raise MalformedMessage("neither a request line nor a status line")
    raise malformed(guess, "malformed request line")


def _parse_status_line(line: str, headers: Headers, body: bytes) -> Response:
    found = _STATUS_LINE.fullmatch(line)
    if found is None:
        raise MalformedMessage("malformed status line", is_response=True)
    version, code, phrase = found.groups()
    if version != "2.0":
        raise MalformedMessage(f"SIP version {version[:20]}", is_response=True)
    if len(code) != 3 or not "100" <= code <= "699":
        raise MalformedMessage("status code is not 100 to 699", is_response=True)
    return Response(int(code), phrase, headers, body)


def _guess_request(line: str, headers: Headers) -> Request | None:
    """Make out a request in a broken request line, so that it can be answered."""
    found = _LOOKS_LIKE_REQUEST.match(line)
    if found is None or not (_SPEAKS_SIP.search(line) or "Via" in headers):
        return None
    return Request(found.group(1), "", headers)


def _content_length(start_line: str, headers: Headers) -> int | None:
    """Return Content-Length, None when absent; raises MalformedMessage (RFC 3261 20.14, 18.3)."""
    values = headers.all("Content-Length")
    if not values:
        return None
    length = decimal(values[0], at_most=_MOST_OCTETS)
    if length is not None and len(values) == 1:
        return length
    reason = "Content-Length twice" if len(values) > 1 else "Content-Length is no count of octets"
    raise malformed(parse_start_line(start_line, headers), reason)


def malformed(message: Request | Response, reason: str, *, status: int = 400) -> MalformedMessage:
    """Return the error for a message whose head is known."""
    if isinstance(message, Response):
        return MalformedMessage(reason, is_response=True)
    return MalformedMessage(reason, status=status, partial=message)


def malformed_head(
    head: bytes, reason: str, limits: MessageLimits, *, status: int = 400
) -> MalformedMessage:
    """Return the error for a head that cannot be parsed, with what can be saved of it.

    Saved are the leading well-formed fields, up to the limit: enough for a Via, seldom wrong.
    """
    text = head[: limits.message].decode(ENCODING, ERRORS)
    lines = _FOLD.sub(" ", text).split("\r\n")[: limits.header_fields]
    if any(control in lines[0] for control in "\r\n"):
        return MalformedMessage(reason)
    pairs = [pair for pair in map(_saved_field, lines[1:]) if pair is not None]
    try:
        message = parse_start_line(lines[0], Headers.of(*pairs))
    except MalformedMessage as problem:
        return MalformedMessage(
            reason,
            status=None if problem.partial is None else status,
            partial=problem.partial,
            is_response=problem.is_response,
        )
    return malformed(message, reason, status=status)


def _saved_field(line: str) -> tuple[str, str] | None:
    name, colon, value = line.partition(":")
    try:
        written, _ = header_name(name.rstrip(" \t"))
        Headers.of((written, value))
    except MalformedHeader:
        return None
    return (written, value.strip(" \t")) if colon else None
