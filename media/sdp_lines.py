"""The lines of a session description (RFC 8866 section 5): one frozen value a line.

A line's text is kept as it came: what is not owned is written back byte by byte. Bytes that
are not UTF-8 survive as surrogate escapes (RFC 8866 lets `a=charset` choose another charset).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Literal

Direction = Literal["sendrecv", "sendonly", "recvonly", "inactive"]

DIRECTIONS: Final[tuple[Direction, ...]] = ("sendrecv", "sendonly", "recvonly", "inactive")
ENCODING: Final = "utf-8"
ENCODING_ERRORS: Final = "surrogateescape"

# RFC 8866 section 9: these carry keys; they never reach a log or an error text.
_SECRET_ATTRIBUTES: Final = ("crypto", "ice-pwd", "key-mgmt")
_INTEGER: Final = re.compile(r"[0-9]{1,64}")
_PORT: Final = re.compile(r"[0-9]{1,5}")
_MAX_PORT: Final = 65535


class MalformedSdp(ValueError):
    """A session description that the peer must not have sent; its fault, refuse with 400 or 488.

    `line` is the number of the offending line, from 1 (0: the whole); `reason` says why and
    never quotes a key.
    """

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}" if line else reason)
        self.line = line
        self.reason = reason


@dataclass(frozen=True, slots=True, repr=False)
class Line:
    """One `<type>=<value>` line; equality ignores where it stood."""

    type: str
    value: str
    number: int = field(default=0, compare=False)

    @property
    def attribute_name(self) -> str | None:
        """Name of an `a=` line's attribute, None for other lines (RFC 8866 section 5.13)."""
        return self.value.partition(":")[0].strip() if self.type == "a" else None

    @property
    def attribute_value(self) -> str:
        """Text after the colon of an `a=` line without outer blanks, "" for a property."""
        return self.value.partition(":")[2].strip()

    def __str__(self) -> str:
        return f"{self.type}={self.value}"

    def __repr__(self) -> str:
        if self.type == "k" or self.attribute_name in _SECRET_ATTRIBUTES:
            return f"Line({self.type}={self.attribute_name or ''}:<secret>)"
        return f"Line({self})"


def attribute(name: str, value: str | None = None) -> Line:
    """Make an `a=` line."""
    return Line("a", name if value is None else f"{name}:{value}")


@dataclass(frozen=True, slots=True)
class Origin:
    """The `o=` line (RFC 8866 section 5.2); numbers stay text, some phones send 20 digits."""

    username: str
    session_id: str
    session_version: str
    net_type: str
    address_type: str
    address: str

    def __str__(self) -> str:
        return (
            f"{self.username} {self.session_id} {self.session_version} "
            f"{self.net_type} {self.address_type} {self.address}"
        )


@dataclass(frozen=True, slots=True)
class Connection:
    """A `c=` line (RFC 8866 section 5.7); `address` keeps a multicast `/ttl/count` suffix."""

    net_type: str
    address_type: str
    address: str

    @property
    def host(self) -> str:
        """The address without multicast suffix."""
        return self.address.partition("/")[0]

    def __str__(self) -> str:
        return f"{self.net_type} {self.address_type} {self.address}"


@dataclass(frozen=True, slots=True)
class MediaLine:
    """The fields of an `m=` line (RFC 8866 section 5.14)."""

    kind: str
    port: int
    port_count: int | None
    proto: str
    formats: tuple[str, ...]

    def __str__(self) -> str:
        port = f"{self.port}" if self.port_count is None else f"{self.port}/{self.port_count}"
        return " ".join((self.kind, port, self.proto, *self.formats))


def address_type(host: str) -> Literal["IP4", "IP6"]:
    """The `<addrtype>` of a numeric host (RFC 8866 section 5.7)."""
    return "IP6" if ":" in host else "IP4"


def parse_origin(line: Line) -> Origin:
    """Parse an `o=` line.

    A camera's missing address is taken as the unspecified one; the rest is mandatory.
    Raises MalformedSdp (RFC 8866 section 5.2).
    """
    words = line.value.split()
    if not 4 <= len(words) <= 6:
        raise MalformedSdp(line.number, f"o= has {len(words)} fields, not 6")
    net_type = words[3]
    kind = words[4] if len(words) > 4 else "IP4"
    address = words[5] if len(words) > 5 else ("::" if kind == "IP6" else "0.0.0.0")  # noqa: S104
    if not (_INTEGER.fullmatch(words[1]) and _INTEGER.fullmatch(words[2])):
        raise MalformedSdp(line.number, "o= session id and version must be decimal numbers")
    _check_network(line, net_type, kind)
    return Origin(words[0], words[1], words[2], net_type, kind, address)


def parse_connection(line: Line) -> Connection:
    """Parse a `c=` line; a missing address stays "". Raises MalformedSdp (RFC 8866 5.7)."""
    words = line.value.split()
    if not 2 <= len(words) <= 3:
        raise MalformedSdp(line.number, f"c= has {len(words)} fields, not 3")
    _check_network(line, words[0], words[1])
    return Connection(words[0], words[1], words[2] if len(words) > 2 else "")


def parse_media_line(line: Line, *, max_formats: int) -> MediaLine:
    """Parse an `m=` line; port 0 is legal, formats may be absent. Raises MalformedSdp."""
    words = line.value.split()
    if len(words) < 3:
        raise MalformedSdp(line.number, f"m= has {len(words)} fields, at least 3 needed")
    if len(words) - 3 > max_formats:
        raise MalformedSdp(line.number, f"more than {max_formats} formats")
    port, slash, count = words[1].partition("/")
    if not _PORT.fullmatch(port) or int(port) > _MAX_PORT:
        raise MalformedSdp(line.number, "m= port is not a number from 0 to 65535")
    if slash and (not _PORT.fullmatch(count) or not 0 < int(count) <= _MAX_PORT):
        raise MalformedSdp(line.number, "m= number of ports is not a number from 1 to 65535")
    return MediaLine(words[0], int(port), int(count) if slash else None, words[2], tuple(words[3:]))


def check_timing(line: Line) -> None:
    """Check a `t=` or `r=` line; raises MalformedSdp (RFC 8866 sections 5.9 and 5.10)."""
    words = line.value.split()
    if line.type == "t":
        if len(words) != 2 or not all(_INTEGER.fullmatch(word) for word in words):
            raise MalformedSdp(line.number, "t= must be two decimal numbers")
    elif len(words) < 2 or not all(_TYPED_TIME.fullmatch(word) for word in words):
        raise MalformedSdp(line.number, "r= must be an interval, a duration and offsets")


_TYPED_TIME: Final = re.compile(r"-?[0-9]{1,20}[dhms]?")


def _check_network(line: Line, net_type: str, kind: str) -> None:
    """Only the registered names (RFC 8866 sections 8.2.6 and 8.2.7) may reach a socket."""
    if net_type != "IN":
        raise MalformedSdp(line.number, f"{line.type}= network type is not IN")
    if kind not in ("IP4", "IP6"):
        raise MalformedSdp(line.number, f"{line.type}= address type is neither IP4 nor IP6")
