"""Typed header field values: Via, name-addr, CSeq and the small ones, parsed and written.

Every parser takes the header's name, to raise MalformedHeader(name, why), and a raw value that is
already unfolded.
"""

import re
from calendar import timegm
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache

from sip.grammar import (
    NO_PARAMETERS,
    QUOTED,
    TCHAR,
    NotGrammatical,
    Parameters,
    decimal,
    is_token,
    parse_parameters,
    quote,
    split_list,
    unquote,
)
from sip.header_names import MalformedHeader
from sip.host import parse_host, parse_ipv6, write_host
from sip.uri import MalformedUri, Uri, parse_uri

CSEQ_MAX = 2**31 - 1  # RFC 3261 section 8.1.1.5
SECONDS_MAX = 2**32 - 1  # RFC 3261 section 20.19

# A display name is tokens or a quoted string; bytes above ASCII without quotes are outside the
# grammar but on many wires, harmless, and forwarded as they came.
_NAME_ADDR = re.compile(
    rf"[ \t]*+(?:({QUOTED})|([{TCHAR} \t\x80-\U0010ffff]*+))[ \t]*+<([^<>]*+)>", re.DOTALL
)
_VIA = re.compile(
    rf"[ \t]*+[Ss][Ii][Pp][ \t]*+/[ \t]*+([{TCHAR}]++)[ \t]*+/[ \t]*+([{TCHAR}]++)[ \t]++"
    r"(\[[0-9A-Fa-f:.]*+\]|[A-Za-z0-9._\-]++)(?:[ \t]*+:[ \t]*+([0-9]{1,5}))?+"
)
_CSEQ = re.compile(rf"[ \t]*+([0-9]++)[ \t]++([{TCHAR}]++)[ \t]*+")
_DATE = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), ([0-9]{2}) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
    r" ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun",
           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")  # fmt: skip
# The messages of a call repeat each other's Via, From, To and routes, so the latest are kept: at
# most KEPT of each kind, of LONGEST_KEPT characters, some 4 MB together. Failures are not kept.
KEPT = 4096
LONGEST_KEPT = 255
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True)
class SentBy:
    """The host (without brackets) and port of a Via; `port` None means the transport's default."""

    host: str
    port: int | None = None

    def __str__(self) -> str:
        host = write_host(self.host)
        return host if self.port is None else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Via:
    """One Via value (RFC 3261 section 20.42); `transport` as written, usually upper case."""

    transport: str
    sent_by: SentBy
    params: Parameters = NO_PARAMETERS

    @property
    def branch(self) -> str | None:
        return self.params.get("branch")

    @property
    def received(self) -> str | None:
        """The address without brackets, which some elements write (RFC 5118 section 4.5)."""
        value = self.params.get("received")
        return None if value is None else value.removeprefix("[").removesuffix("]")

    @property
    def rport(self) -> int | None:
        """The port the request came from (RFC 3581), None when absent, empty or no port."""
        value = self.params.get("rport")
        return None if value is None else decimal(value, at_most=65535)

    def with_param(self, name: str, value: str | None) -> "Via":
        """Return a copy with the parameter set."""
        return replace(self, params=self.params.setting(name, value))

    def __str__(self) -> str:
        return f"SIP/2.0/{self.transport} {self.sent_by}{self.params}"


@dataclass(frozen=True, slots=True)
class NameAddr:
    """An address with an optional display name (unquoted) and header parameters."""

    display_name: str | None
    uri: Uri
    params: Parameters = NO_PARAMETERS

    @property
    def tag(self) -> str | None:
        return self.params.get("tag")

    def with_param(self, name: str, value: str | None) -> "NameAddr":
        """Return a copy with the header parameter set."""
        return replace(self, params=self.params.setting(name, value))

    def __str__(self) -> str:
        if self.display_name is None:
            return f"<{self.uri}>{self.params}"
        name = self.display_name
        written = name if all(map(is_token, name.split(" "))) else quote(name)
        return f"{written} <{self.uri}>{self.params}"


@dataclass(frozen=True, slots=True)
class CSeq:
    """A CSeq value: a number below 2**31 and a method."""

    number: int
    method: str

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


def parse_name_addr(name: str, value: str) -> NameAddr:
    """Parse one name-addr or addr-spec with parameters (RFC 3261 section 20.10)."""
    if len(value) <= LONGEST_KEPT:
        return _known_name_addr(name, value)
    return _parse_name_addr(name, value)


def _parse_name_addr(name: str, value: str) -> NameAddr:
    found = _NAME_ADDR.match(value) if "<" in value else None
    try:
        if found is not None:
            quoted, tokens, uri_text = found.groups()
            display = unquote(quoted) if quoted is not None else tokens.strip(" \t") or None
            params, end = parse_parameters(value, found.end())
        else:
            display = None
            uri_text, end = _addr_spec(value)
            params, end = parse_parameters(value, end)
        if end != len(value):
            raise NotGrammatical("malformed parameters, or text after the address")
        return NameAddr(display, parse_uri(uri_text), params)
    except (NotGrammatical, MalformedUri) as problem:
        raise MalformedHeader(name, str(problem)) from None


_known_name_addr = lru_cache(maxsize=KEPT)(_parse_name_addr)


def _addr_spec(value: str) -> tuple[str, int]:
    """Take a URI without brackets, where semicolons begin header parameters (RFC 3261 20)."""
    end = value.find(";")
    end = len(value) if end < 0 else end
    text = value[:end].strip(" \t")
    if "?" in text or "," in text:
        raise NotGrammatical('URI with "?" or "," needs angle brackets')
    if text.startswith('"') or "<" in text or " " in text:
        raise NotGrammatical("malformed display name or address")
    return text, end


def parse_name_addrs(name: str, values: Iterable[str]) -> tuple[NameAddr, ...]:
    """Parse every address of a comma-separated header's values."""
    return tuple(
        parse_name_addr(name, element) for value in values for element in split_header(name, value)
    )


def split_header(name: str, value: str) -> tuple[str, ...]:
    """Split a comma-separated header value; raises MalformedHeader."""
    try:
        return split_list(value)
    except NotGrammatical as problem:
        raise MalformedHeader(name, str(problem)) from None


def parse_first_via(value: str) -> Via:
    """Parse the first Via of a raw value, which may be a list."""
    if "," not in value and len(value) <= LONGEST_KEPT:
        return _known_via(value)
    via, end = _parse_via(value, 0)
    if end != len(value) and value[end] != ",":
        raise MalformedHeader("Via", "malformed parameters")
    return via


def parse_vias(values: Iterable[str]) -> tuple[Via, ...]:
    """Parse every Via of all raw values, topmost first."""
    vias = []
    for value in values:
        if "," not in value and len(value) <= LONGEST_KEPT:
            vias.append(_known_via(value))
            continue
        at, length = 0, len(value)
        while True:
            via, at = _parse_via(value, at)
            vias.append(via)
            if at == length:
                break
            if value[at] != ",":
                raise MalformedHeader("Via", "malformed parameters")
            at += 1
    return tuple(vias)


def rest_of_vias(value: str) -> str | None:
    """Return a raw Via value without its first element, or None when that was the only one."""
    _, end = _parse_via(value, 0)
    return value[end + 1 :].strip(" \t") if end < len(value) else None


def _parse_via(value: str, at: int) -> tuple[Via, int]:
    found = _VIA.match(value, at)
    if found is None:
        raise MalformedHeader("Via", "malformed protocol, transport or sent-by")
    version, transport, host_text, port_text = found.groups()
    if version != "2.0":
        raise MalformedHeader("Via", "protocol version is not 2.0")
    host = parse_host(host_text)
    port = None if port_text is None else int(port_text)
    if host is None or (port is not None and port > 65535):
        raise MalformedHeader("Via", "malformed sent-by")
    try:
        params, end = parse_parameters(value, found.end())
    except NotGrammatical as problem:
        raise MalformedHeader("Via", str(problem)) from None
    via = Via(transport, SentBy(host, port), params)
    if "received" in params:
        received = via.received or ""
        if parse_host(received) is None and parse_ipv6(received) is None:
            raise MalformedHeader("Via", "malformed received parameter")
    return via, end


@lru_cache(maxsize=KEPT)
def _known_via(value: str) -> Via:
    via, end = _parse_via(value, 0)
    if end != len(value):
        raise MalformedHeader("Via", "malformed parameters")
    return via


def parse_cseq(value: str) -> CSeq:
    """Parse CSeq (RFC 3261 section 20.16); numbers from 2**31 on are malformed."""
    found = _CSEQ.fullmatch(value)
    if found is None:
        raise MalformedHeader("CSeq", "not a number and a method")
    number = decimal(found.group(1), at_most=CSEQ_MAX)
    if number is None:
        raise MalformedHeader("CSeq", "number is 2**31 or more")
    return CSeq(number, found.group(2))


def parse_max_forwards(value: str) -> int:
    """Parse Max-Forwards, 0 to 255 (RFC 3261 section 20.22)."""
    number = decimal(value, at_most=255)
    if number is None:
        raise MalformedHeader("Max-Forwards", "not a number from 0 to 255")
    return number


def parse_seconds(name: str, value: str) -> int:
    """Parse delta-seconds as in Expires; more than 2**32-1 is read as that (RFC 3261 20.19)."""
    text = value.strip(" \t")
    if not text.isascii() or not text.isdigit():
        raise MalformedHeader(name, "not a number of seconds")
    number = decimal(text, at_most=SECONDS_MAX)
    return SECONDS_MAX if number is None else number


def parse_option_tags(name: str, values: Iterable[str]) -> tuple[str, ...]:
    """Parse lists of tokens such as Supported, Require or Allow; an empty value is no tag."""
    tags: list[str] = []
    for value in values:
        if not value:
            continue
        for tag in split_header(name, value):
            if not is_token(tag):
                raise MalformedHeader(name, "not a list of tokens")
            tags.append(tag)
    return tuple(tags)


def parse_date(value: str) -> int:
    """Return the epoch seconds of a SIP-date (RFC 3261 section 20.17: always GMT)."""
    found = _DATE.fullmatch(value.strip(" \t"))
    if found is None:
        raise MalformedHeader("Date", "not an RFC 1123 date in GMT")
    day, month, year, hour, minute, second = found.groups()
    try:
        moment = datetime(  # noqa: DTZ001 - timegm below reads it as GMT
            int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second)
        )
    except ValueError:
        raise MalformedHeader("Date", "no such day or time") from None
    if not value.lstrip(" \t").startswith(_DAYS[moment.weekday()]):
        raise MalformedHeader("Date", "day of the week is not that date's")
    return timegm(moment.timetuple())


def format_date(epoch: float) -> str:
    """Write epoch seconds as a SIP-date (RFC 3261 section 20.17)."""
    return _date_of(int(epoch))


@lru_cache(maxsize=8)
def _date_of(second: int) -> str:
    """The calls of one second have one Date."""
    moment = datetime.fromtimestamp(second, tz=UTC)
    return (
        f"{_DAYS[moment.weekday()]}, {moment.day:02d} {_MONTHS[moment.month - 1]} "
        f"{moment.year:04d} {moment:%H:%M:%S} GMT"
    )
