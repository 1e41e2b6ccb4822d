"""The oddities of a description that parses: what RFC 8866 and its relatives would not have.

Nothing here decides anything; it tells a person what their device writes.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from media.candidate import parse_candidate
from media.codec import STATIC_CODECS, parse_rtpmap, payload_type
from media.crypto_attribute import parse_crypto
from media.fingerprint import parse_fingerprint
from media.sdp import MediaDescription, SessionDescription
from media.sdp_lines import DIRECTIONS, Connection, Line

_SESSION_ORDER: Final = "vosiuepcbtrzka"
_MEDIA_ORDER: Final = "icbka"
_BANDWIDTH: Final = re.compile(r"[!-9;-~]{1,32}:[0-9]{1,20}")
# RFC 3605 section 2.1
_RTCP: Final = re.compile(r"[0-9]{1,5}(?: IN IP[46] \S+)?")
_SETUPS: Final = ("actpass", "active", "passive", "holdconn")


@dataclass(frozen=True, slots=True)
class Problem:
    """One oddity; `line` counts from 1, 0 where none is to blame."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}" if self.line else self.text


def problems(description: SessionDescription) -> tuple[Problem, ...]:
    """Everything odd about a parsed description, in the order of its lines."""
    found = [*_session(description)]
    for media in description.media:
        found.extend(_section(description, media))
    return tuple(sorted(found, key=lambda problem: problem.line))


def _session(description: SessionDescription) -> Iterator[Problem]:
    lines = description.lines
    yield from _order(lines, _SESSION_ORDER)
    yield from _attributes(lines)
    types = [line.type for line in lines]
    if "s" not in types:
        yield Problem(0, "there is no s= line (RFC 8866 section 5.3)")
    elif not description.session_name:
        yield Problem(lines[types.index("s")].number, "s= is empty; '-' is meant for that")
    if "t" not in types:
        yield Problem(0, "there is no t= line (RFC 8866 section 5.9)")
    origin = next(line for line in lines if line.type == "o")
    if len(origin.value.split()) < 6:
        yield Problem(origin.number, "o= has no address; the unspecified one is assumed")
    yield from _connections(lines)


def _section(description: SessionDescription, media: MediaDescription) -> Iterator[Problem]:
    yield from _order(media.lines, _MEDIA_ORDER)
    yield from _attributes(media.lines)
    yield from _connections(media.lines)
    if not media.formats:
        yield Problem(media.number, "m= lists no format")
    if media.port and description.connection_of(media) is None:
        yield Problem(media.number, "no c= line counts for this section (RFC 8866 section 5.7)")
    if sum(line.attribute_name in DIRECTIONS for line in media.lines) > 1:
        yield Problem(media.number, "more than one direction; the first counts")
    if "RTP/" in media.proto.upper():
        yield from _payload_types(media)
    if media.port and media.proto.upper().startswith("UDP/TLS/RTP"):
        if not any(found.strong for found in description.fingerprints_of(media)):
            yield Problem(media.number, "DTLS-SRTP without fingerprint of SHA-256 or better")
        if description.attribute_of(media, "ice-ufrag") is None:
            yield Problem(media.number, "DTLS-SRTP without ICE")
    elif media.port and "RTP/SAVP" in media.proto.upper():
        keyed = media.has("crypto") or description.fingerprints_of(media)
        if not keyed:
            yield Problem(media.number, "SRTP without a=crypto or a=fingerprint")


def _payload_types(media: MediaDescription) -> Iterator[Problem]:
    maps = media.rtpmap()
    for text in media.formats:
        number = payload_type(text)
        if number is None:
            yield Problem(media.number, f"{text[:32]} is no RTP payload type (0 to 127)")
        elif number not in maps and number not in STATIC_CODECS:
            yield Problem(media.number, f"payload type {number} has no a=rtpmap")
    if len(set(media.formats)) != len(media.formats):
        yield Problem(media.number, "a payload type is listed twice")
    for line in media.lines:
        name = line.attribute_name
        listed = line.attribute_value.split(" ")[0]
        if name in ("rtpmap", "fmtp") and listed not in media.formats:
            yield Problem(line.number, f"a={name} is for a payload type that m= does not list")


def _order(lines: tuple[Line, ...], order: str) -> Iterator[Problem]:
    reached = 0
    for line in lines:
        place = order.find(line.type)
        if place < 0:
            yield Problem(line.number, f"{line.type}= is not known here; kept, not understood")
        elif place < reached and not (line.type in "tr" and order[reached] in "tr"):
            yield Problem(line.number, f"{line.type}= stands after {order[reached]}=")
        else:
            reached = place


def _connections(lines: tuple[Line, ...]) -> Iterator[Problem]:
    for line in lines:
        if line.type == "c":
            words = line.value.split()
            yield from _address(line, Connection(words[0], words[1], " ".join(words[2:])))


def _address(line: Line, connection: Connection) -> Iterator[Problem]:
    if not connection.address:
        yield Problem(line.number, "c= has no address")
        return
    try:
        version = ipaddress.ip_address(connection.host).version
    except ValueError:
        yield Problem(line.number, "c= has a host name, which media cannot be sent to here")
        return
    if connection.address_type != f"IP{version}":
        yield Problem(line.number, f"c= says {connection.address_type} of an IPv{version} address")


def _attributes(lines: tuple[Line, ...]) -> Iterator[Problem]:
    for line in lines:
        if line.type == "b" and not _BANDWIDTH.fullmatch(line.value.strip()):
            yield Problem(line.number, "b= is not <type>:<kilobits>")
        name = line.attribute_name
        if name == "":
            yield Problem(line.number, "a= names no attribute")
        check = _CHECKS.get(name or "")
        text = check(line.attribute_value) if check else None
        if text is not None:
            yield Problem(line.number, text)


def _check_crypto(value: str) -> str | None:
    crypto = parse_crypto(value)
    if crypto is None:
        return "a=crypto is not <tag> <suite> <key-params>"
    return None if crypto.usable else "a=crypto cannot be used: suite, key or parameters"


def _check_fingerprint(value: str) -> str | None:
    found = parse_fingerprint(value)
    if found is None:
        return "a=fingerprint is not <hash> <hex with colons>"
    return None if found.strong else f"a=fingerprint by {found.algorithm} is not relied on"


def _check_candidate(value: str) -> str | None:
    if parse_candidate(value) is None:
        return "a=candidate does not follow RFC 8839 section 5.1"
    return None


def _check_rtpmap(value: str) -> str | None:
    found = parse_rtpmap(value)
    if found is None:
        return "a=rtpmap is not <payload type> <encoding>/<clock rate>"
    return "a=rtpmap has no clock rate" if found.clock_rate is None else None


def _check_rtcp(value: str) -> str | None:
    if _RTCP.fullmatch(value):
        return None
    return "a=rtcp is not <port> [IN <IP4|IP6> <address>]"


def _check_setup(value: str) -> str | None:
    return None if value in _SETUPS else "a=setup is none of actpass, active, passive, holdconn"


_CHECKS: Final[dict[str, Callable[[str], str | None]]] = {
    "crypto": _check_crypto,
    "fingerprint": _check_fingerprint,
    "candidate": _check_candidate,
    "rtpmap": _check_rtpmap,
    "setup": _check_setup,
    "rtcp": _check_rtcp,
}
