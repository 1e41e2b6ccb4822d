"""What of a peer's lines may reach the other leg, and how a section is put together.

A relay ends the transport: everything that describes the peer's own transport, keys or
addresses stays on its side. Codecs, formats, packet time and unknown attributes pass unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from media.local_media import LocalMedia
from media.sdp import MediaDescription, SessionDescription
from media.sdp_lines import (
    DIRECTIONS,
    Connection,
    Direction,
    Line,
    MediaLine,
    Origin,
    address_type,
    attribute,
)

# Transport, keys and addresses of the peer, or promises only an end point can keep.
_OF_THE_PEER: Final = frozenset(
    {
        # RFC 8839, 8840
        "candidate",
        "remote-candidates",
        "end-of-candidates",
        "ice-ufrag",
        "ice-pwd",
        "ice-lite",
        "ice-options",
        "ice-pacing",
        "ice-mismatch",
        # RFC 8122, 4145, 8842, 4568, 4567, 6189, 8827
        "fingerprint",
        "setup",
        "connection",
        "tls-id",
        "dtls-id",
        "crypto",
        "key-mgmt",
        "zrtp-hash",
        "identity",
        # RFC 3605, 5761, 8858; RFC 9143: every stream has its own transport here
        "rtcp",
        "rtcp-mux",
        "rtcp-mux-only",
        "group",
        "bundle-only",
        # RFC 4570, 6947, and addresses of other mechanisms
        "source-filter",
        "alt",
        "altc",
        # RFC 5939, 6871: capabilities would be negotiated past us
        "creq",
        "csup",
        "acap",
        "tcap",
        "rmcap",
        "omcap",
        "mfcap",
        "mscap",
        "pcfg",
        "acfg",
        "lcfg",
        "sescap",
        # written anew
        "mid",
        *DIRECTIONS,
    }
)
# Sense only where both legs are alike; a plain SIP phone has no use for them.
_LIKE_LEGS_ONLY: Final = frozenset(
    {
        "extmap",
        "extmap-allow-mixed",
        "msid",
        "msid-semantic",
        "ssrc",
        "ssrc-group",
        "rid",
        "simulcast",
        "rtcp-rsize",
    }
)


def session_lines(
    source: SessionDescription,
    origin: Origin,
    connection: Connection,
    *,
    like_legs: bool,
    lite: bool,
) -> tuple[Line, ...]:
    """The session level: our origin and connection, the peer's name, times and bandwidth."""
    name = source.session_name
    lines = [
        Line("v", "0"),
        Line("o", str(origin)),
        Line("s", name if name and name.strip() else "-"),
        Line("c", str(connection)),
    ]
    lines.extend(line for line in source.lines if line.type == "b")
    times = [line for line in source.lines if line.type == "t"]
    lines.extend(times or [Line("t", "0 0")])
    if lite:
        lines.append(attribute("ice-lite"))
    lines.extend(_passed(source.lines, like_legs=like_legs, feedback=True))
    return tuple(lines)


def section(
    source: MediaDescription,
    local: LocalMedia,
    *,
    proto: str,
    direction: Direction,
    mid: str | None,
    session_connection: Connection,
    like_legs: bool,
) -> MediaDescription:
    """A live section: the peer's formats over our transport."""
    connection = connection_to(local.address)
    lines: list[Line] = []
    if connection != session_connection:
        lines.append(Line("c", str(connection)))
    lines.extend(line for line in source.lines if line.type == "b")
    if mid is not None:
        lines.append(attribute("mid", mid))
    feedback = proto.upper().endswith("F")
    lines.extend(_passed(source.lines, like_legs=like_legs, feedback=feedback))
    lines.append(attribute(direction))
    lines.extend(local.lines())
    media = MediaLine(source.kind, local.port, None, proto, source.formats)
    return MediaDescription(media, ()).with_lines(tuple(lines))


def rejected(source: MediaDescription, *, proto: str, mid: str | None) -> MediaDescription:
    """A section that keeps its place with port 0 (RFC 3264 section 6)."""
    media = replace(source.media, port=0, port_count=None, proto=proto)
    lines = () if mid is None else (attribute("mid", mid),)
    return MediaDescription(media, lines)


def connection_to(address: str) -> Connection:
    """The `c=` of an address of ours."""
    return Connection("IN", address_type(address), address)


def _passed(lines: tuple[Line, ...], *, like_legs: bool, feedback: bool) -> Iterator[Line]:
    for line in lines:
        name = line.attribute_name
        if not name or name in _OF_THE_PEER:
            continue
        if name in _LIKE_LEGS_ONLY and not like_legs:
            continue
        if name == "rtcp-fb" and not feedback:
            continue
        yield line
