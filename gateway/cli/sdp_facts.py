"""A session description as plain JSON values; keys and ICE passwords are left out."""

from __future__ import annotations

import re
from typing import Final

from media.candidate import Candidate
from media.codec import Codec, RtpMap
from media.sdp import MediaDescription, SessionDescription
from media.sdp_lines import Connection, Line

Facts = dict[str, object]

_SECRET: Final = frozenset({"crypto", "ice-pwd", "key-mgmt"})
_RTCP: Final = re.compile(r"([0-9]{1,5})(?:\s+(\S+)\s+(\S+)\s+(\S+))?")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def printable(text: str) -> str:
    """Text that any output can carry: octets that were no UTF-8 as U+FFFD."""
    return _SURROGATE.sub("�", text)


def session_facts(description: SessionDescription) -> Facts:
    """The session level."""
    origin = description.origin
    facts: Facts = {
        "version": 0,
        "origin": {
            "username": printable(origin.username),
            "session_id": origin.session_id,
            "session_version": origin.session_version,
            "net_type": origin.net_type,
            "address_type": origin.address_type,
            "address": printable(origin.address),
        },
        "name": printable(description.session_name or ""),
        "connection": _connection(description.connection),
        "timing": [
            {"start": int(words[0]), "stop": int(words[1])}
            for words in (line.value.split() for line in description.lines if line.type == "t")
        ],
        "direction": description.direction,
        "ice_lite": description.has("ice-lite"),
        "groups": [_group(value) for value in description.attributes("group")],
        "lines": {
            name: [printable(line.value) for line in description.lines if line.type == kind]
            for name, kind in _TEXT_LINES.items()
        },
    }
    return facts | _level(description.lines, description)


def media_facts(description: SessionDescription, media: MediaDescription) -> Facts:
    """One `m=` section; `direction` and `connection` are those that count for it."""
    facts: Facts = {
        "kind": printable(media.kind),
        "port": media.port,
        "port_count": media.media.port_count,
        "protocol": printable(media.proto),
        "formats": [printable(text) for text in media.formats],
        "direction": description.direction_of(media),
        "connection": _connection(description.connection_of(media)),
        "codecs": [_codec(found) for found in media.codecs()],
        "rtpmap": [_rtpmap(found) for found in media.rtpmap().values()],
        "fmtp": [
            {"format": printable(name), "parameters": printable(value)}
            for name, value in media.fmtp().items()
        ],
        "ptime": _number(media.attribute("ptime")),
        "maxptime": _number(media.attribute("maxptime")),
        "rtcp": _rtcp(media.attribute("rtcp")),
        "rtcp_mux": media.has("rtcp-mux"),
        "mid": _text(media.mid),
        "candidates": [_candidate(found) for found in media.candidates()],
        "end_of_candidates": media.has("end-of-candidates"),
        "crypto": [
            {"tag": crypto.tag, "suite": crypto.suite, "usable": crypto.usable}
            for crypto in media.crypto()
        ],
    }
    return facts | _level(media.lines, media)


_TEXT_LINES: Final = {
    "information": "i",
    "uri": "u",
    "email": "e",
    "phone": "p",
    "repeat": "r",
    "time_zones": "z",
}


def _level(lines: tuple[Line, ...], level: SessionDescription | MediaDescription) -> Facts:
    """What either level may have."""
    return {
        "bandwidth": [_bandwidth(line.value) for line in lines if line.type == "b"],
        "setup": _text(level.setup()),
        "fingerprints": [
            {"algorithm": found.algorithm, "value": found.value, "strong": found.strong}
            for found in level.fingerprints()
        ],
        "ice_ufrag": _text(level.ice_ufrag()),
        "ice_options": _text(level.attribute("ice-options")),
        "attributes": [_attribute(line) for line in lines if line.type == "a"],
    }


def _attribute(line: Line) -> Facts:
    name = line.attribute_name or ""
    value = line.attribute_value if ":" in line.value else None
    return {
        "name": printable(name),
        "value": "<secret>" if name in _SECRET else _text(value),
    }


def _connection(connection: Connection | None) -> Facts | None:
    if connection is None:
        return None
    return {
        "net_type": connection.net_type,
        "address_type": connection.address_type,
        "address": printable(connection.address),
    }


def _codec(codec: Codec) -> Facts:
    return {
        "payload_type": codec.payload_type,
        "encoding": None if codec.encoding is None else printable(codec.encoding),
        "clock_rate": codec.clock_rate,
        "parameters": _text(codec.parameters),
        "fmtp": _text(codec.fmtp),
        "static": codec.static,
    }


def _rtpmap(rtpmap: RtpMap) -> Facts:
    return {
        "payload_type": rtpmap.payload_type,
        "encoding": printable(rtpmap.encoding),
        "clock_rate": rtpmap.clock_rate,
        "parameters": _text(rtpmap.parameters),
    }


def _candidate(candidate: Candidate) -> Facts:
    words = candidate.extensions
    return {
        "foundation": printable(candidate.foundation),
        "component": candidate.component,
        "transport": candidate.transport,
        "priority": candidate.priority,
        "address": printable(candidate.address),
        "port": candidate.port,
        "type": candidate.type,
        "extensions": {
            printable(name): printable(value)
            for name, value in zip(words[::2], words[1::2], strict=False)
        },
    }


def _bandwidth(value: str) -> Facts:
    kind, _, limit = value.partition(":")
    return {"type": printable(kind), "limit": _number(limit)}


def _group(value: str) -> Facts:
    semantics, *mids = printable(value).split()
    return {"semantics": semantics, "mids": mids}


def _rtcp(value: str | None) -> Facts | None:
    match = _RTCP.fullmatch(value or "")
    if match is None:
        return None
    return {
        "port": int(match[1]),
        "net_type": _text(match[2]),
        "address_type": _text(match[3]),
        "address": _text(match[4]),
    }


def _number(value: str | None) -> float | int | None:
    if value is None or not re.fullmatch(r"[0-9]{1,12}(?:\.[0-9]{1,6})?", value.strip()):
        return None
    return float(value) if "." in value else int(value)


def _text(value: str | None) -> str | None:
    return None if value is None else printable(value)
