"""Messages out of a byte stream: RFC 3261 section 18.3 framing and RFC 5626 keep-alives.

Bytes in, messages out, the same whatever the chunks. Once something is malformed the end of it
cannot be known, so nothing after it is ever read as a message.
"""

from dataclasses import dataclass

from sip.limits import DEFAULT_LIMITS, MessageLimits
from sip.message import Request, Response
from sip.parser import (
    MalformedMessage,
    malformed,
    malformed_head,
    parse_head,
    with_body_bytes,
)

_HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Ping:
    """A keep-alive (two CRLF between messages), to be answered with one CRLF (RFC 5626 4.4.1)."""


Framed = Request | Response | Ping | MalformedMessage


class StreamFramer:
    """Finds the messages of one connection; holds at most one message's octets."""

    def __init__(self, limits: MessageLimits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._searched = 0
        self._awaiting: tuple[Request | Response, int] | None = None
        self._broken = False

    @property
    def is_idle(self) -> bool:
        """Whether no part of a message is waiting for its rest."""
        return self._awaiting is None and _HEAD_END.startswith(self._buffer)

    def feed(self, data: bytes) -> list[Framed]:
        """Take received octets; return what they complete, in order.

        After a MalformedMessage the connection is to be closed, and further octets are ignored.
        """
        framed: list[Framed] = []
        view = memoryview(data)
        # In pieces, so that many small messages in one read do not make a large buffer.
        for start in range(0, len(view), self._limits.message):
            self._buffer += view[start : start + self._limits.message]
            while not self._broken:
                found = self._next()
                if found is None:
                    break
                framed.append(found)
                self._broken = isinstance(found, MalformedMessage)
            if self._broken:
                self._buffer.clear()
                break
        return framed

    def finish(self) -> MalformedMessage | None:
        """Return what the stream's end cuts off, or None when it ended between messages."""
        if self._broken or self.is_idle:
            return None
        self._broken = True
        if self._awaiting is not None:
            message, length = self._awaiting
            return malformed(
                message, f"Content-Length {length}, but {len(self._buffer)} octets follow"
            )
        reason = "stream ends inside the header section"
        return malformed_head(bytes(self._buffer), reason, self._limits)

    def _next(self) -> Framed | None:
        if self._awaiting is None:
            between = self._between_messages()
            if between is not None or not self._buffer:
                return between
            problem = self._read_head()
            if problem is not None or self._awaiting is None:
                return problem
        message, length = self._awaiting
        if len(self._buffer) < length:
            return None
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        self._awaiting = None
        return with_body_bytes(message, body)

    def _between_messages(self) -> Ping | None:
        """Take a keep-alive, or skip a single CRLF once it cannot be the half of one."""
        while self._buffer.startswith(b"\r\n"):
            if self._buffer.startswith(_HEAD_END):
                del self._buffer[:4]
                return Ping()
            if len(self._buffer) == 2 or self._buffer == b"\r\n\r":
                break
            del self._buffer[:2]
        return None

    def _read_head(self) -> MalformedMessage | None:
        if self._buffer[:1] == b"\r" and _HEAD_END.startswith(self._buffer):
            return None  # perhaps half a keep-alive
        end = self._buffer.find(_HEAD_END, max(0, self._searched - 3))
        if (len(self._buffer) if end < 0 else end + 4) > self._limits.message:
            return self._too_large(bytes(self._buffer[: self._limits.message]))
        if end < 0:
            self._searched = len(self._buffer)
            return None
        head = bytes(self._buffer[:end])
        del self._buffer[: end + 4]
        self._searched = 0
        try:
            message, length = parse_head(head, self._limits)
        except MalformedMessage as problem:
            return problem
        if length is None:
            return malformed(message, "no Content-Length on a stream")
        if end + 4 + length > self._limits.message:
            return self._too_large(head)
        self._awaiting = (message, length)
        return None

    def _too_large(self, head: bytes) -> MalformedMessage:
        return malformed_head(head, "message too large", self._limits, status=513)
