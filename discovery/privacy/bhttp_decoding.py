"""Reading Binary HTTP messages (RFC 9292), strictly and within limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from discovery.privacy.bhttp import (
    INDETERMINATE,
    REQUEST,
    RESPONSE,
    BinaryRequest,
    BinaryResponse,
    Fields,
    Informational,
    check_control,
    check_field,
    is_final,
    is_informational,
)
from discovery.privacy.octets import Octets
from discovery.privacy.reason import Fault, PrivacyError

_MAX_METHOD: Final = 32
_MAX_SCHEME: Final = 32
_MAX_AUTHORITY: Final = 256


@dataclass(frozen=True, slots=True)
class BhttpLimits:
    """Limits of a message; sizes in octets. A section is all field lines of one place."""

    message: int = 65_536
    path: int = 2_048
    section: int = 16_384
    fields: int = 64
    content: int = 65_536
    chunks: int = 1_024
    informational: int = 8


DEFAULT_LIMITS: Final = BhttpLimits()


def decode_request(data: bytes, limits: BhttpLimits = DEFAULT_LIMITS) -> BinaryRequest:
    """Read a request in either framing; what follows it has to be zeros (section 3.8).

    Raises PrivacyError: OVERSIZED, TRUNCATED, MALFORMED.
    """
    octets, indeterminate = _framed(data, REQUEST, limits)
    method, scheme = octets.prefixed(_MAX_METHOD), octets.prefixed(_MAX_SCHEME)
    authority, path = octets.prefixed(_MAX_AUTHORITY), octets.prefixed(limits.path)
    check_control(method, scheme, authority, path)
    headers, content, trailers = _parts(octets, indeterminate, limits)
    return BinaryRequest(
        method.decode("ascii"),
        scheme.decode("ascii"),
        authority.decode("ascii"),
        path.decode("ascii"),
        headers,
        content,
        trailers,
    )


def decode_response(data: bytes, limits: BhttpLimits = DEFAULT_LIMITS) -> BinaryResponse:
    """Read a response in either framing, with the informational ones before it.

    Raises PrivacyError: OVERSIZED, TRUNCATED, MALFORMED.
    """
    octets, indeterminate = _framed(data, RESPONSE, limits)
    interim: list[Informational] = []
    while is_informational(status := octets.varint()):
        if len(interim) >= limits.informational:
            raise PrivacyError(Fault.OVERSIZED, "too many informational responses")
        # Another status has to follow, so nothing here can have been truncated.
        interim.append(Informational(status, _section(octets, indeterminate, limits)))
    if not is_final(status):
        raise PrivacyError(Fault.MALFORMED, "status outside 100 to 599")
    headers, content, trailers = _parts(octets, indeterminate, limits)
    return BinaryResponse(status, headers, content, trailers, tuple(interim))


def _framed(data: bytes, kind: int, limits: BhttpLimits) -> tuple[Octets, bool]:
    if len(data) > limits.message:
        raise PrivacyError(Fault.OVERSIZED, f"message of more than {limits.message} octets")
    octets = Octets(data)
    framing = octets.varint()
    if framing not in (kind, kind + INDETERMINATE):
        raise PrivacyError(Fault.MALFORMED, "framing indicator")
    return octets, framing >= INDETERMINATE


def _parts(
    octets: Octets, indeterminate: bool, limits: BhttpLimits
) -> tuple[Fields, bytes, Fields]:
    # A message may end before any of its parts: the missing ones are empty.
    headers = _section(octets, indeterminate, limits) if octets.left else ()
    content = _content(octets, indeterminate, limits) if octets.left else b""
    trailers = _section(octets, indeterminate, limits) if octets.left else ()
    padding = octets.rest()
    if padding.count(0) != len(padding):
        raise PrivacyError(Fault.MALFORMED, "padding that is not zero")
    return headers, content, trailers


def _section(octets: Octets, indeterminate: bool, limits: BhttpLimits) -> Fields:
    if indeterminate:
        return _terminated_section(octets, limits)
    lines = Octets(octets.prefixed(limits.section))
    fields: list[tuple[str, str]] = []
    while lines.left:
        fields.append(_line(lines, lines.varint(), limits))
        if len(fields) > limits.fields:
            raise PrivacyError(Fault.OVERSIZED, f"more than {limits.fields} fields")
    return tuple(fields)


def _terminated_section(octets: Octets, limits: BhttpLimits) -> Fields:
    fields: list[tuple[str, str]] = []
    start = octets.left
    while length := octets.varint():
        fields.append(_line(octets, length, limits))
        if len(fields) > limits.fields or start - octets.left > limits.section:
            raise PrivacyError(Fault.OVERSIZED, "field section")
    return tuple(fields)


def _line(octets: Octets, name_length: int, limits: BhttpLimits) -> tuple[str, str]:
    if name_length > limits.section:
        raise PrivacyError(Fault.OVERSIZED, "field name")
    name, value = octets.take(name_length), octets.prefixed(limits.section)
    check_field(name, value)
    return name.decode("ascii").lower(), value.decode("latin-1")


def _content(octets: Octets, indeterminate: bool, limits: BhttpLimits) -> bytes:
    if not indeterminate:
        return octets.prefixed(limits.content)
    chunks: list[bytes] = []
    size = 0
    while length := octets.varint():
        size += length
        if size > limits.content or len(chunks) >= limits.chunks:
            raise PrivacyError(Fault.OVERSIZED, "content")
        chunks.append(octets.take(length))
    return b"".join(chunks)
