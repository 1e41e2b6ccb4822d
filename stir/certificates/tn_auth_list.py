"""TNAuthList, the certificate extension that says which numbers its holder may use (RFC 8226)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pyasn1.codec.der import decoder, encoder
from pyasn1.error import PyAsn1Error
from pyasn1.type import char, constraint, namedtype, tag, univ

OID: Final = "1.3.6.1.5.5.7.1.26"
MAX_DER: Final = 65_536
_DIGITS: Final = re.compile(r"[0-9#*]{1,15}")
_DECIMAL: Final = re.compile(r"[0-9]{1,15}")
_CODE: Final = re.compile(r"[!-~]{1,32}")


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
    """A parsed TNAuthList: at least one entry, in the order of the certificate."""

    entries: tuple[Entry, ...]

    @property
    def codes(self) -> frozenset[str]:
        """The service provider codes of the list."""
        return frozenset(entry.code for entry in self.entries if isinstance(entry, Spc))

    @property
    def names_numbers(self) -> bool:
        """Whether the list names any number or range, and not only provider codes."""
        return any(not isinstance(entry, Spc) for entry in self.entries)

    def covers(self, number: str) -> bool:
        """Whether a number or range entry holds the canonical number; codes are policy's affair."""
        for entry in self.entries:
            if isinstance(entry, One):
                if entry.number == number:
                    return True
            elif isinstance(entry, Range) and entry.holds(number):
                return True
        return False

    def encompasses(self, other: TnAuthList) -> bool:
        """Whether every entry of a delegate's list lies within this one (RFC 9060 section 4).

        A provider code stands for numbers that only its numbering plan knows: a list of nothing but
        codes is taken to hold any number; one that names numbers is held to those.
        """
        return all(self._holds_entry(entry) for entry in other.entries)

    def _holds_entry(self, entry: Entry) -> bool:
        codes = self.codes
        if isinstance(entry, Spc):
            return entry.code in codes
        if not self.names_numbers:
            return True
        if isinstance(entry, One):
            return self.covers(entry.number)
        last = str(entry.last).zfill(len(entry.start))
        return any(
            isinstance(own, Range) and own.holds(entry.start) and own.holds(last)
            for own in self.entries
        )


class _TelephoneNumber(char.IA5String):  # type: ignore[misc]
    subtypeSpec = char.IA5String.subtypeSpec + constraint.ValueSizeConstraint(1, 15)  # noqa: N815


class _Range(univ.Sequence):  # type: ignore[misc]
    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType("start", _TelephoneNumber()),
        namedtype.NamedType("count", univ.Integer()),
    )


def _explicit(number: int) -> tag.Tag:
    return tag.Tag(tag.tagClassContext, tag.tagFormatConstructed, number)


class _Entry(univ.Choice):  # type: ignore[misc]
    componentType = namedtype.NamedTypes(  # noqa: N815
        namedtype.NamedType("spc", char.IA5String().subtype(explicitTag=_explicit(0))),
        namedtype.NamedType("range", _Range().subtype(explicitTag=_explicit(1))),
        namedtype.NamedType("one", _TelephoneNumber().subtype(explicitTag=_explicit(2))),
    )


class _List(univ.SequenceOf):  # type: ignore[misc]
    componentType = _Entry()  # noqa: N815


def parse_tn_auth_list(der: bytes) -> TnAuthList:
    """Parse the extension's octets, at most 65,536, as DER; raises MalformedTnAuthList only.

    Strict: another encoding of the same value, an empty list, a range of one or one that runs
    past its number length is malformed (RFC 8226 section 9).
    """
    if len(der) > MAX_DER:
        raise MalformedTnAuthList(f"longer than {MAX_DER} octets")
    try:
        value, rest = decoder.decode(der, asn1Spec=_List())
        if rest or encoder.encode(value) != der:
            raise MalformedTnAuthList("not DER")
        entries = tuple(_entry(item) for item in value)
    except MalformedTnAuthList:
        raise
    except (PyAsn1Error, ValueError, TypeError, IndexError, KeyError, RecursionError):
        raise MalformedTnAuthList("not the ASN.1 of RFC 8226 section 9") from None
    if not entries:
        raise MalformedTnAuthList("an empty list")
    return TnAuthList(entries)


def build_tn_auth_list(entries: Iterable[Entry]) -> bytes:
    """Encode entries as the extension's DER; raises MalformedTnAuthList for impossible ones."""
    value = _List()
    for index, entry in enumerate(entries):
        item = _Entry()
        if isinstance(entry, Spc):
            item["spc"] = _checked_code(entry.code)
        elif isinstance(entry, One):
            item["one"] = _checked_number(entry.number)
        else:
            checked = _checked_range(entry)
            item["range"]["start"] = checked.start
            item["range"]["count"] = checked.count
        value[index] = item
    if not len(value):
        raise MalformedTnAuthList("an empty list")
    return bytes(encoder.encode(value))


def _entry(item: _Entry) -> Entry:
    name = item.getName()
    if name == "spc":
        return Spc(_checked_code(str(item["spc"])))
    if name == "one":
        return One(_checked_number(str(item["one"])))
    return _checked_range(Range(str(item["range"]["start"]), int(item["range"]["count"])))


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
    if len(str(entry.last)) > len(entry.start):
        raise MalformedTnAuthList("a range that runs past the length of its numbers")
    return entry
