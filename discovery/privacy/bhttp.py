"""Binary HTTP messages (RFC 9292): values, and their encoding in both framings.

Decoding is in discovery.privacy.bhttp_decoding.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from discovery.privacy.octets import prefixed, varint
from discovery.privacy.reason import Fault, PrivacyError

Fields = tuple[tuple[str, str], ...]

MEDIA_TYPE: Final = "message/bhttp"
REQUEST: Final = 0
RESPONSE: Final = 1
INDETERMINATE: Final = 2  # added to either

_TOKEN: Final = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# RFC 9110 section 5.5: visible characters, obs-text, and space or tab between them.
_VALUE: Final = re.compile(
    rb"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?"
)
_SCHEME: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*")
_AUTHORITY: Final = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=:%\[\]-]*")
_PATH: Final = re.compile(rb"/[\x21\x22\x24-\x7e]*|\*")


@dataclass(frozen=True, slots=True)
class BinaryRequest:
    """A request: control data, fields (names in lower case, values as Latin-1), content."""

    method: str
    scheme: str
    authority: str
    path: str
    headers: Fields = ()
    content: bytes = field(default=b"", repr=False)
    trailers: Fields = ()

    def header(self, name: str) -> str | None:
        """Return the one value of a header field; None where it is missing or repeated."""
        return only(self.headers, name)


@dataclass(frozen=True, slots=True)
class Informational:
    """An informational response (status 100 to 199) before the final one."""

    status: int
    headers: Fields = ()


@dataclass(frozen=True, slots=True)
class BinaryResponse:
    """A response: final status 200 to 599, fields, content, and what was said before it."""

    status: int
    headers: Fields = ()
    content: bytes = field(default=b"", repr=False)
    trailers: Fields = ()
    informational: tuple[Informational, ...] = ()

    def header(self, name: str) -> str | None:
        """Return the one value of a header field; None where it is missing or repeated."""
        return only(self.headers, name)


def only(fields: Fields, name: str) -> str | None:
    """Return the value of a field that is there exactly once."""
    values = [value for held, value in fields if held == name]
    return values[0] if len(values) == 1 else None


def encode_request(
    request: BinaryRequest,
    *,
    indeterminate: bool = False,
    truncate: bool = True,
    pad_to: int | None = None,
) -> bytes:
    """Encode a request; with `truncate` empty parts at the end are left out (section 3.8).

    pad_to: octets of the whole message. Raises PrivacyError: MALFORMED for what cannot be sent,
    OVERSIZED for a message longer than that.
    """
    control = [
        request.method.encode("latin-1", "replace"),
        request.scheme.encode("latin-1", "replace"),
        request.authority.encode("latin-1", "replace"),
        request.path.encode("latin-1", "replace"),
    ]
    check_control(*control)
    start = varint(REQUEST + INDETERMINATE * indeterminate) + b"".join(map(prefixed, control))
    parts = _parts(request.headers, request.content, request.trailers, indeterminate)
    return _padded(start + _joined(parts, truncate), pad_to)


def encode_response(
    response: BinaryResponse,
    *,
    indeterminate: bool = False,
    truncate: bool = True,
    pad_to: int | None = None,
) -> bytes:
    """Encode a response, as encode_request does."""
    start = varint(RESPONSE + INDETERMINATE * indeterminate)
    for interim in response.informational:
        if not is_informational(interim.status):
            raise PrivacyError(Fault.MALFORMED, "informational status outside 100 to 199")
        start += varint(interim.status) + _section(interim.headers, indeterminate)
    if not is_final(response.status):
        raise PrivacyError(Fault.MALFORMED, "final status outside 200 to 599")
    parts = _parts(response.headers, response.content, response.trailers, indeterminate)
    return _padded(start + varint(response.status) + _joined(parts, truncate), pad_to)


def is_informational(status: int) -> bool:
    """Tell whether a status is of an informational response (section 3.5.1)."""
    return 100 <= status <= 199


def is_final(status: int) -> bool:
    """Tell whether a status is of a final response (section 3.5)."""
    return 200 <= status <= 599


def check_control(method: bytes, scheme: bytes, authority: bytes, path: bytes) -> None:
    """Check request control data (section 3.4, RFC 9113 8.3.1). Raises PrivacyError(MALFORMED).

    CONNECT is refused: it asks for what this format cannot do. So is userinfo.
    """
    if not _TOKEN.fullmatch(method) or method == b"CONNECT":
        raise PrivacyError(Fault.MALFORMED, "method")
    if not _SCHEME.fullmatch(scheme):
        raise PrivacyError(Fault.MALFORMED, "scheme")
    if not _AUTHORITY.fullmatch(authority):
        raise PrivacyError(Fault.MALFORMED, "authority")
    if not _PATH.fullmatch(path) or (path == b"*" and method != b"OPTIONS"):
        raise PrivacyError(Fault.MALFORMED, "path")


def check_field(name: bytes, value: bytes) -> None:
    """Check a field line (section 3.6, RFC 9110 section 5). Raises PrivacyError(MALFORMED).

    Pseudo-fields are none of this protocol's and no tokens, so they are refused here.
    """
    if not _TOKEN.fullmatch(name):
        raise PrivacyError(Fault.MALFORMED, "field name")
    if not _VALUE.fullmatch(value):
        raise PrivacyError(Fault.MALFORMED, "field value")


def _lines(fields: Fields) -> bytes:
    lines = bytearray()
    for name, value in fields:
        try:
            octets = name.lower().encode("ascii"), value.encode("latin-1")
        except UnicodeEncodeError:
            raise PrivacyError(Fault.MALFORMED, "field outside Latin-1") from None
        check_field(*octets)
        lines += prefixed(octets[0]) + prefixed(octets[1])
    return bytes(lines)


def _section(fields: Fields, indeterminate: bool) -> bytes:
    lines = _lines(fields)
    return lines + b"\0" if indeterminate else prefixed(lines)


def _parts(headers: Fields, content: bytes, trailers: Fields, indeterminate: bool) -> list[bytes]:
    chunk = prefixed(content) if content else b""
    return [
        _section(headers, indeterminate),
        chunk + b"\0" if indeterminate else prefixed(content),
        _section(trailers, indeterminate),
    ]


def _joined(parts: list[bytes], truncate: bool) -> bytes:
    if truncate:
        while parts and parts[-1] == b"\0":
            parts.pop()
    return b"".join(parts)


def _padded(message: bytes, pad_to: int | None) -> bytes:
    if pad_to is None:
        return message
    if len(message) > pad_to:
        raise PrivacyError(Fault.OVERSIZED, f"message of more than {pad_to} octets")
    return message.ljust(pad_to, b"\0")
