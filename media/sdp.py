"""Session descriptions (RFC 8866): parse, hold, write.

Parsing is strict about what decides where media goes (version, origin, connection, ports) and
lenient about the rest: unknown lines and attributes stay in their place, LF ends a line as well
as CRLF. `sdp_check` names the oddities that were let pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from media.candidate import Candidate, parse_candidate
from media.codec import Codec, RtpMap, codec, parse_rtpmap, payload_type
from media.crypto_attribute import CryptoAttribute, parse_crypto
from media.fingerprint import Fingerprint, parse_fingerprint
from media.sdp_lines import (
    DIRECTIONS,
    ENCODING,
    ENCODING_ERRORS,
    Connection,
    Direction,
    Line,
    MalformedSdp,
    MediaLine,
    Origin,
    check_timing,
    parse_connection,
    parse_media_line,
    parse_origin,
)

__all__ = [
    "Connection",
    "MalformedSdp",
    "MediaDescription",
    "Origin",
    "SessionDescription",
    "fingerprints",
    "parse_sdp",
]

# Bounds, all inclusive; a description beyond one is MalformedSdp.
MAX_OCTETS: Final = 65_536
MAX_LINES: Final = 2_000
MAX_MEDIA: Final = 32
MAX_FORMATS: Final = 128
MAX_CANDIDATES: Final = 32


class _Attributes:
    """Access to the `a=` lines among `lines`, shared by session and media level."""

    __slots__ = ()
    lines: tuple[Line, ...]
    _index: dict[str, list[str]]

    def attributes(self, name: str) -> Sequence[str]:
        """Values of every attribute of that name, in order."""
        return self._indexed().get(name, ())

    def attribute(self, name: str) -> str | None:
        """Value of the first attribute of that name ("" for a property), None if absent."""
        values = self._indexed().get(name)
        return values[0] if values else None

    def has(self, name: str) -> bool:
        """Whether an attribute of that name is there."""
        return name in self._indexed()

    def _indexed(self) -> dict[str, list[str]]:
        """Values by attribute name, found once: 2,000 lines are asked some 20 questions."""
        if not self._index:
            for line in self.lines:
                name = line.attribute_name
                if name is not None:
                    self._index.setdefault(name, []).append(line.attribute_value)
        return self._index

    def fingerprints(self) -> tuple[Fingerprint, ...]:
        """The well-formed `a=fingerprint` of this level (RFC 8122)."""
        found = (parse_fingerprint(value) for value in self.attributes("fingerprint"))
        return tuple(fingerprint for fingerprint in found if fingerprint is not None)

    def setup(self) -> str | None:
        """The `a=setup` of this level (RFC 4145)."""
        return self.attribute("setup")

    def ice_ufrag(self) -> str | None:
        """The `a=ice-ufrag` of this level (RFC 8839)."""
        return self.attribute("ice-ufrag")

    def ice_pwd(self) -> str | None:
        """The `a=ice-pwd` of this level (RFC 8839)."""
        return self.attribute("ice-pwd")

    @property
    def direction(self) -> Direction | None:
        """The direction written at this level, None if none is (then the session's counts)."""
        for name in self._indexed():
            for direction in DIRECTIONS:
                if name == direction:
                    return direction
        return None


@dataclass(frozen=True, slots=True, repr=False)
class MediaDescription(_Attributes):
    """One `m=` section: its first line's fields, and the lines under it in order."""

    media: MediaLine
    lines: tuple[Line, ...]
    number: int = 0
    connection: Connection | None = None
    _index: dict[str, list[str]] = field(default_factory=dict, init=False, compare=False)

    @property
    def kind(self) -> str:
        """`audio`, `video`, `application` and so on."""
        return self.media.kind

    @property
    def port(self) -> int:
        """Port, 0 where the stream is refused or disabled (RFC 3264 section 5.1)."""
        return self.media.port

    @property
    def proto(self) -> str:
        """Transport such as `RTP/AVP` or `UDP/TLS/RTP/SAVPF`, as written."""
        return self.media.proto

    @property
    def formats(self) -> tuple[str, ...]:
        """Payload types (or other formats) in the order of preference."""
        return self.media.formats

    @property
    def mid(self) -> str | None:
        """The `a=mid` (RFC 5888)."""
        return self.attribute("mid")

    def rtpmap(self) -> dict[int, RtpMap]:
        """Well-formed `a=rtpmap` by payload type; the first of a number counts."""
        maps: dict[int, RtpMap] = {}
        for value in self.attributes("rtpmap"):
            found = parse_rtpmap(value)
            if found is not None:
                maps.setdefault(found.payload_type, found)
        return maps

    def fmtp(self) -> dict[str, str]:
        """`a=fmtp` parameters by format; the first of a format counts."""
        found: dict[str, str] = {}
        for value in self.attributes("fmtp"):
            name, _, parameters = value.partition(" ")
            found.setdefault(name, parameters.strip())
        return found

    def codecs(self) -> tuple[Codec, ...]:
        """What each payload type of the `m=` line means, in its order."""
        maps, parameters = self.rtpmap(), self.fmtp()
        numbers = (payload_type(text) for text in self.formats)
        return tuple(
            codec(number, maps.get(number), parameters.get(str(number)))
            for number in numbers
            if number is not None
        )

    def candidates(self) -> tuple[Candidate, ...]:
        """The first MAX_CANDIDATES well-formed `a=candidate` (RFC 8839)."""
        found: list[Candidate] = []
        for value in self.attributes("candidate"):
            candidate = parse_candidate(value)
            if candidate is not None:
                found.append(candidate)
            if len(found) == MAX_CANDIDATES:
                break
        return tuple(found)

    def crypto(self) -> tuple[CryptoAttribute, ...]:
        """The well-formed `a=crypto`, known suites or not (RFC 4568)."""
        found = (parse_crypto(value) for value in self.attributes("crypto"))
        return tuple(crypto for crypto in found if crypto is not None)

    def with_lines(self, lines: tuple[Line, ...]) -> MediaDescription:
        """The same `m=` line over other lines; their `c=` becomes the connection."""
        return replace(self, lines=lines, connection=_connection(lines))

    def __repr__(self) -> str:
        return f"MediaDescription({self.media}, {len(self.lines)} lines)"


@dataclass(frozen=True, slots=True, repr=False)
class SessionDescription(_Attributes):
    """A whole description: session-level lines (v=, o= included) and the `m=` sections."""

    lines: tuple[Line, ...]
    media: tuple[MediaDescription, ...]
    origin: Origin
    connection: Connection | None = None
    _index: dict[str, list[str]] = field(default_factory=dict, init=False, compare=False)

    @property
    def session_name(self) -> str | None:
        """The `s=` line's text, None where it is missing."""
        return next((line.value for line in self.lines if line.type == "s"), None)

    def connection_of(self, media: MediaDescription) -> Connection | None:
        """The connection that counts for a section (RFC 8866 section 5.7)."""
        return media.connection or self.connection

    def attribute_of(self, media: MediaDescription, name: str) -> str | None:
        """An attribute of the section, or else the session's."""
        found = media.attribute(name)
        return self.attribute(name) if found is None else found

    def direction_of(self, media: MediaDescription) -> Direction:
        """The direction that counts for a section (RFC 8866 section 6.7)."""
        return media.direction or self.direction or "sendrecv"

    def fingerprints_of(self, media: MediaDescription) -> tuple[Fingerprint, ...]:
        """A section's own fingerprints, or else the session's (RFC 8122 section 5)."""
        return media.fingerprints() or self.fingerprints()

    def to_bytes(self) -> bytes:
        """Write the description; every line ends with CRLF (RFC 8866 section 5)."""
        text = [f"{line}\r\n" for line in self.lines]
        for media in self.media:
            text.append(f"m={media.media}\r\n")
            text.extend(f"{line}\r\n" for line in media.lines)
        return "".join(text).encode(ENCODING, ENCODING_ERRORS)

    def __repr__(self) -> str:
        return f"SessionDescription(o={self.origin}, media={self.media!r})"


def parse_sdp(data: bytes) -> SessionDescription:
    """Parse a description of at most MAX_OCTETS, MAX_LINES, MAX_MEDIA and MAX_FORMATS.

    Raises MalformedSdp with line and reason, nothing else (RFC 8866 section 9).
    """
    lines = _split(data)
    if not lines or lines[0].type != "v":
        raise MalformedSdp(lines[0].number if lines else 0, "does not begin with v=")
    if lines[0].value.strip() != "0":
        raise MalformedSdp(lines[0].number, "v= is not 0")
    sections: list[list[Line]] = [[]]
    for line in lines:
        if line.type == "m":
            sections.append([])
            if len(sections) - 1 > MAX_MEDIA:
                raise MalformedSdp(line.number, f"more than {MAX_MEDIA} m= sections")
        sections[-1].append(line)
    session = tuple(sections[0])
    return SessionDescription(
        session,
        tuple(_section(section) for section in sections[1:]),
        _session_origin(session),
        _connection(session),
    )


def fingerprints(description: SessionDescription) -> tuple[tuple[str, str], ...]:
    """Unique (algorithm, value) of session, then media level: what RFC 8225 `mky` signs.

    The algorithm is lower-case, the value upper-case hex with colons.
    """
    found: dict[tuple[str, str], None] = {}
    for level in (description, *description.media):
        for fingerprint in level.fingerprints():
            found[(fingerprint.algorithm, fingerprint.value)] = None
    return tuple(found)


def _split(data: bytes) -> list[Line]:
    if len(data) > MAX_OCTETS:
        raise MalformedSdp(0, f"longer than {MAX_OCTETS} octets")
    if data.count(b"\n") > MAX_LINES:
        raise MalformedSdp(0, f"more than {MAX_LINES} lines")
    lines: list[Line] = []
    for number, raw in enumerate(data.decode(ENCODING, ENCODING_ERRORS).split("\n"), start=1):
        text = raw.removesuffix("\r")
        if not text.strip(" \t"):
            continue
        if "\r" in text or "\0" in text:
            # RFC 8866 section 9 byte-string; a lone CR is how one line is read as two elsewhere.
            raise MalformedSdp(number, "a carriage return or NUL stands inside a line")
        if len(text) < 2 or text[1] != "=" or not ("a" <= text[0] <= "z"):
            raise MalformedSdp(number, "is not of the form <type>=<value>")
        lines.append(Line(text[0], text[2:], number))
    return lines


def _section(lines: list[Line]) -> MediaDescription:
    body = tuple(lines[1:])
    media = parse_media_line(lines[0], max_formats=MAX_FORMATS)
    return MediaDescription(media, body, lines[0].number, _connection(body))


def _session_origin(lines: tuple[Line, ...]) -> Origin:
    origins = [line for line in lines if line.type == "o"]
    if len(origins) != 1:
        raise MalformedSdp(
            origins[1].number if origins else 0,
            "more than one o= line" if origins else "there is no o= line",
        )
    for line in lines:
        if line.type in "tr":
            check_timing(line)
    return parse_origin(origins[0])


def _connection(lines: tuple[Line, ...]) -> Connection | None:
    """Every `c=` must be sound; the last counts, as layered multicast lists the others first."""
    found: Connection | None = None
    for line in lines:
        if line.type == "c":
            found = parse_connection(line)
    return found
