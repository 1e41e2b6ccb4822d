"""Codecs of an `m=` line: `a=rtpmap`, `a=fmtp` and the static payload types of RFC 3551."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class RtpMap:
    """One `a=rtpmap` (RFC 8866 section 6.6); clock rate in Hz, None where the peer left it out."""

    payload_type: int
    encoding: str
    clock_rate: int | None
    parameters: str | None = None

    def __str__(self) -> str:
        text = f"{self.payload_type} {self.encoding}"
        if self.clock_rate is not None:
            text += f"/{self.clock_rate}"
        return text if self.parameters is None else f"{text}/{self.parameters}"


@dataclass(frozen=True, slots=True)
class Codec:
    """What one payload type of an `m=` line means; `static` where only RFC 3551 says so."""

    payload_type: int
    encoding: str | None
    clock_rate: int | None
    parameters: str | None
    fmtp: str | None
    static: bool = False

    @property
    def name(self) -> str:
        """`PCMU/8000`, `opus/48000/2`, or `unknown` for a dynamic type without rtpmap."""
        if self.encoding is None:
            return "unknown"
        parts = [self.encoding]
        if self.clock_rate is not None:
            parts.append(str(self.clock_rate))
        if self.parameters is not None:
            parts.append(self.parameters)
        return "/".join(parts)


# RFC 3551 section 6, tables 4 and 5; 1, 2 and 19 as they were before they became reserved.
STATIC_CODECS: Final[dict[int, tuple[str, int, str | None]]] = {
    0: ("PCMU", 8000, None),
    3: ("GSM", 8000, None),
    4: ("G723", 8000, None),
    5: ("DVI4", 8000, None),
    6: ("DVI4", 16000, None),
    7: ("LPC", 8000, None),
    8: ("PCMA", 8000, None),
    9: ("G722", 8000, None),
    10: ("L16", 44100, "2"),
    11: ("L16", 44100, None),
    12: ("QCELP", 8000, None),
    13: ("CN", 8000, None),
    14: ("MPA", 90000, None),
    15: ("G728", 8000, None),
    16: ("DVI4", 11025, None),
    17: ("DVI4", 22050, None),
    18: ("G729", 8000, None),
    25: ("CelB", 90000, None),
    26: ("JPEG", 90000, None),
    28: ("nv", 90000, None),
    31: ("H261", 90000, None),
    32: ("MPV", 90000, None),
    33: ("MP2T", 90000, None),
    34: ("H263", 90000, None),
}

# RFC 8866 section 6.6 `a=rtpmap:<payload type> <encoding name>/<clock rate>[/<parameters>]`;
# AirPlay senders leave the clock rate out.
_RTPMAP: Final = re.compile(r"([0-9]{1,3})[ \t]+([^/\s]{1,64})(?:/([0-9]{1,9})(?:/(\S{1,64}))?)?")
_PAYLOAD_TYPE: Final = re.compile(r"[0-9]{1,3}")


def parse_rtpmap(value: str) -> RtpMap | None:
    """Parse the value of `a=rtpmap`; None if it is not one."""
    match = _RTPMAP.fullmatch(value)
    if match is None or int(match[1]) > 127:
        return None
    return RtpMap(int(match[1]), match[2], int(match[3]) if match[3] else None, match[4])


def payload_type(text: str) -> int | None:
    """The RTP payload type an `m=` format names (0 to 127), None if it names none."""
    if not _PAYLOAD_TYPE.fullmatch(text) or int(text) > 127:
        return None
    return int(text)


def codec(number: int, rtpmap: RtpMap | None, fmtp: str | None) -> Codec:
    """Join what the description says of a payload type with what RFC 3551 says."""
    if rtpmap is not None:
        return Codec(number, rtpmap.encoding, rtpmap.clock_rate, rtpmap.parameters, fmtp)
    known = STATIC_CODECS.get(number)
    if known is None:
        return Codec(number, None, None, None, fmtp)
    return Codec(number, known[0], known[1], known[2], fmtp, static=True)
