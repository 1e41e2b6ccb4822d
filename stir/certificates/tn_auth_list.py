"""TNAuthList, the certificate extension that says which numbers its holder may use (RFC 8226)."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from stir.certificates.der import (
    IA5_STRING,
    INTEGER,
    SEQUENCE,
    NotDer,
    element,
    elements,
    explicit,
    integer,
    only,
    read_ia5,
    read_integer,
)

OID: Final = "1.3.6.1.5.5.7.1.26"
MAX_DER: Final = 65_536
_DIGITS: Final = re.compile(r"[0-9#*]{1,15}")
_DECIMAL: Final = re.compile(r"[0-9]{1,15}")
_CODE: Final = re.compile(r"[!-~]{1,32}")
_MAX_COUNT: Final = 10**15
_SPC, _RANGE, _ONE = explicit(0), explicit(1), explicit(2)


class MalformedTnAuthList(ValueError):
    """The octets are not a TNAuthList; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Spc:
    """A service provider code (an OCN or SPID): all numbers assigned to that provider."""

    code: str


@dataclass(frozen=True, slots=True)
class One:
    """One telephone number, digits without ``+``."""

    number: str


@dataclass(frozen=True, slots=True)
class Range:
    """`count` consecutive numbers of equal length, from `start` on; `count` is at least 2."""

    start: str
    count: int

    @property
    def last(self) -> int:
        """The last number of the range as an integer."""
        return int(self.start) + self.count - 1

    def holds(self, number: str) -> bool:
        """Whether the canonical number is one of the range's (same length, so 01 is not 1)."""
        return (
            len(number) == len(self.start)
            and _DECIMAL.fullmatch(number) is not None
            and self.start <= number
            and int(number) <= self.last
        )


Entry = Spc | One | Range


@dataclass(frozen=True, slots=True)
class TnAuthList:
    """A parsed TNAuthList: at least one entry, in the order of the certificate.

    `codes` are its service provider codes. `names_numbers`: whether it names any number or range,
    and not only codes. Made in n log n, asked in log n.
    """

    entries: tuple[Entry, ...]
    codes: frozenset[str] = field(init=False, repr=False, compare=False)
    names_numbers: bool = field(init=False, repr=False, compare=False)
    _numbers: _Numbers = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        codes = frozenset(entry.code for entry in self.entries if isinstance(entry, Spc))
        numbers = tuple(entry for entry in self.entries if not isinstance(entry, Spc))
        object.__setattr__(self, "codes", codes)
        object.__setattr__(self, "names_numbers", bool(numbers))
        object.__setattr__(self, "_numbers", _Numbers.of(numbers))

    def covers(self, number: str) -> bool:
        """Whether a number or range entry holds the canonical number; codes are policy's affair."""
        return self._numbers.hold(number)

    def encompasses(self, other: TnAuthList) -> bool:
        """Whether every entry of a delegate's list lies within this one (RFC 9060 section 4).

        A set of numbers within a set of numbers, however either is cut into entries. A provider
        code stands for numbers that only its numbering plan knows: a list of nothing but codes is
        taken to hold any number; one that names numbers is held to those.
        """
        if not other.codes <= self.codes:
            return False
        return not self.names_numbers or self._numbers.hold_all(other._numbers)

    def union(self, other: TnAuthList) -> TnAuthList:
        """Return the list of both lists' entries."""
        return TnAuthList(self.entries + other.entries)


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Numbers as runs: for each length the first and last ones, neither touching the next run.

    `odd` are those with ``*`` or ``#``, which have no order.
    """

    starts: dict[int, list[int]]
    ends: dict[int, list[int]]
    odd: frozenset[str]

    @classmethod
    def of(cls, entries: Iterable[One | Range]) -> _Numbers:
        """Sort entries and join those that overlap or follow each other."""
        found: dict[int, list[tuple[int, int]]] = {}
        odd = set()
        for entry in entries:
            if isinstance(entry, Range):
                found.setdefault(len(entry.start), []).append((int(entry.start), entry.last))
            elif _DECIMAL.fullmatch(entry.number):
                only_one = int(entry.number)
                found.setdefault(len(entry.number), []).append((only_one, only_one))
            else:
                odd.add(entry.number)
        starts: dict[int, list[int]] = {}
        ends: dict[int, list[int]] = {}
        for length, runs in found.items():
            runs.sort()
            firsts, lasts = starts.setdefault(length, []), ends.setdefault(length, [])
            for first, last in runs:
                if lasts and first <= lasts[-1] + 1:
                    lasts[-1] = max(lasts[-1], last)
                else:
                    firsts.append(first)
                    lasts.append(last)
        return cls(starts, ends, frozenset(odd))

    def hold(self, number: str) -> bool:
        """Whether a canonical number is one of these (same length, so 01 is not 1)."""
        if _DECIMAL.fullmatch(number) is None:
            return number in self.odd
        return self._hold_run(len(number), int(number), int(number))

    def hold_all(self, other: _Numbers) -> bool:
        """Whether all of the other's numbers are among these."""
        return other.odd <= self.odd and all(
            self._hold_run(length, first, last)
            for length, firsts in other.starts.items()
            for first, last in zip(firsts, other.ends[length], strict=True)
        )

    def _hold_run(self, length: int, first: int, last: int) -> bool:
        starts = self.starts.get(length)
        if starts is None:
            return False
        at = bisect_right(starts, first) - 1
        return at >= 0 and last <= self.ends[length][at]


def parse_tn_auth_list(der: bytes) -> TnAuthList:
    """Parse the octets of an extension or of a list by reference; raises MalformedTnAuthList only.

    At most 65,536 octets. Strict: another encoding of the same value than DER, an empty list, a
    range of one or one that runs past its number length is malformed (RFC 8226 section 9).
    """
    if len(der) > MAX_DER:
        raise MalformedTnAuthList(f"longer than {MAX_DER} octets")
    try:
        entries = tuple(_entry(tag, value) for tag, value in elements(only(der, SEQUENCE)))
    except NotDer as error:
        raise MalformedTnAuthList(f"not the DER of RFC 8226 section 9: {error}") from None
    if not entries:
        raise MalformedTnAuthList("an empty list")
    return TnAuthList(entries)


def build_tn_auth_list(entries: Iterable[Entry]) -> bytes:
    """Encode entries as the extension's DER; raises MalformedTnAuthList for impossible ones."""
    written = [_written(entry) for entry in entries]
    if not written:
        raise MalformedTnAuthList("an empty list")
    return element(SEQUENCE, *written)


def _written(entry: Entry) -> bytes:
    if isinstance(entry, Spc):
        return element(_SPC, element(IA5_STRING, _checked_code(entry.code).encode("ascii")))
    if isinstance(entry, One):
        return element(_ONE, element(IA5_STRING, _checked_number(entry.number).encode("ascii")))
    checked = _checked_range(entry)
    start = element(IA5_STRING, checked.start.encode("ascii"))
    return element(_RANGE, element(SEQUENCE, start, integer(checked.count)))


def _entry(tag: int, value: bytes) -> Entry:
    if tag == _SPC:
        return Spc(_checked_code(read_ia5(only(value, IA5_STRING))))
    if tag == _ONE:
        return One(_checked_number(read_ia5(only(value, IA5_STRING))))
    if tag != _RANGE:
        raise NotDer("an entry that is no code, range or number")
    parts = list(elements(only(value, SEQUENCE)))
    if [part for part, _ in parts] != [IA5_STRING, INTEGER]:
        raise NotDer("a range that is not a start and a count")
    return _checked_range(Range(read_ia5(parts[0][1]), read_integer(parts[1][1])))


def _checked_code(code: str) -> str:
    if _CODE.fullmatch(code) is None:
        raise MalformedTnAuthList("a service provider code that is not 1 to 32 ASCII characters")
    return code


def _checked_number(number: str) -> str:
    if _DIGITS.fullmatch(number) is None:
        raise MalformedTnAuthList("a number that is not 1 to 15 digits")
    return number


def _checked_range(entry: Range) -> Range:
    if _DECIMAL.fullmatch(entry.start) is None:
        raise MalformedTnAuthList("a range that does not start with 1 to 15 decimal digits")
    if entry.count < 2:
        raise MalformedTnAuthList("a range of fewer than two numbers")
    if entry.count > _MAX_COUNT or len(str(entry.last)) > len(entry.start):
        raise MalformedTnAuthList("a range that runs past the length of its numbers")
    return entry
