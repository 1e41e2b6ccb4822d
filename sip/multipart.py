"""One part of a body, whole or among others: found, and replaced (RFC 2046 5.1, RFC 5621).

Gateways to ISUP send a session description beside an ISUP message, emergency calls one beside a
location. Parts within parts are not looked into, and what is not a well-formed multipart has no
parts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, TypeVar

from sip.message import Request, Response

M = TypeVar("M", Request, Response)

MAX_PARTS: Final = 16
_BOUNDARY: Final = re.compile(
    r";[ \t]*boundary[ \t]*=[ \t]*"
    r"(?:\"([0-9A-Za-z'()+_,./:=? -]{1,70})\"|([0-9A-Za-z'+_.!#$%&*^`|~-]{1,70}))",
    re.IGNORECASE,
)
_PLAIN_ENCODINGS: Final = frozenset({"", "7bit", "8bit", "binary"})


@dataclass(frozen=True, slots=True)
class _Part:
    media_type: str
    start: int
    end: int


def part_of(message: Request | Response, media_type: str) -> bytes | None:
    """Return the first part of a media type (in lower case), or None.

    The whole body is a part where it is of that type.
    """
    if not message.body:
        return None
    if _media_type(_content_type(message)) == media_type:
        return message.body
    part = _find(message, media_type)
    return None if part is None else message.body[part.start : part.end]


def with_part(message: M, media_type: str, content: bytes) -> M:
    """Return a copy with the first part of a media type replaced; the other parts stay.

    A message that has no such part gets the content as its whole body.
    """
    part = _find(message, media_type)
    if part is None:
        return message.with_body(content, media_type)
    body = message.body[: part.start] + content + message.body[part.end :]
    return message.with_body(body, _content_type(message))


def _content_type(message: Request | Response) -> str:
    return message.headers.get("Content-Type") or ""


def _media_type(value: str) -> str:
    return value.partition(";")[0].strip().lower()


def _find(message: Request | Response, media_type: str) -> _Part | None:
    value = _content_type(message)
    if not _media_type(value).startswith("multipart/"):
        return None
    found = _BOUNDARY.search(value)
    if found is None:
        return None
    boundary = (found[1] or found[2]).encode("ascii")
    fitting = (part for part in _parts(message.body, boundary) if part.media_type == media_type)
    return next(fitting, None)


def _parts(body: bytes, boundary: bytes) -> list[_Part]:
    """The parts between well-formed delimiters; none where the last one is missing."""
    delimiter = b"\r\n--" + boundary
    at = 0 if body.startswith(delimiter[2:]) else body.find(delimiter) + 2
    parts: list[_Part] = []
    while len(parts) <= MAX_PARTS and body.startswith(delimiter[2:], at):
        line = at + len(delimiter) - 2
        if body.startswith(b"--", line):
            return parts
        start, end = body.find(b"\r\n", line), body.find(delimiter, line)
        if start < 0 or end < 0 or body[line:start].strip(b" \t"):
            return []
        parts.append(_part(body, start, end))
        at = end + 2
    return []


def _part(body: bytes, start: int, end: int) -> _Part:
    """A part whose header fields begin after the line end at `start`."""
    blank = body.find(b"\r\n\r\n", start, end)
    if blank < 0:
        return _Part("", end, end)
    fields = {}
    for line in body[start + 2 : blank].decode("utf-8", "replace").split("\r\n"):
        name, _, value = line.partition(":")
        fields[name.strip().lower()] = value.strip()
    if fields.get("content-transfer-encoding", "").lower() not in _PLAIN_ENCODINGS:
        return _Part("", end, end)
    return _Part(_media_type(fields.get("content-type", "")), blank + 4, end)
