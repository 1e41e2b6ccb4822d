"""The shared pieces of RFC 3261 section 25: tokens, quoted strings, lists and parameters.

Every expression is linear: alternatives are disjoint and repetitions possessive, so no input can
make one backtrack over what it has already eaten.
"""

import re
from collections.abc import Iterator, Mapping
from typing import TypeVar, overload

T = TypeVar("T")

TCHAR = r"A-Za-z0-9\-.!%*_+`'~"
_TOKEN = re.compile(rf"[{TCHAR}]+")
QUOTED = r'"(?:[^"\\]++|\\.)*+"'
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
# What RFC 3261's qdtext leaves out; a tab may stand as it is.
_TO_ESCAPE = re.compile(r'["\\\x00-\x08\x0a-\x1f\x7f]')

# generic-param. A gen-value is a token, host or quoted string; bare IPv6 addresses (RFC 5118
# section 4.5) and unquoted URIs are on many wires: anything visible that delimits nothing passes.
_PARAMETER = re.compile(
    rf"[ \t]*+;[ \t]*+([{TCHAR}]++)"
    rf'(?:[ \t]*+=[ \t]*+({QUOTED}|[^\x00-\x20\x7f;,"<>]++))?+',
    re.DOTALL,
)
_LIST_ELEMENT = re.compile(rf'(?:[^,"<]++|{QUOTED}|<[^>]*+>)++', re.DOTALL)
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!~*'()")


class NotGrammatical(ValueError):
    """Text that RFC 3261 section 25 does not allow; callers say which header or URI it was in."""


def is_token(text: str) -> bool:
    """Say whether the text is a token, which is ASCII and never empty."""
    return _TOKEN.fullmatch(text) is not None


def decimal(text: str, *, at_most: int) -> int | None:
    """Return an ASCII decimal number, or None when it is none or greater than `at_most`."""
    if not text.isascii() or not text.isdigit():
        return None
    if len(text) > 20:  # int() of thousands of digits is slow, and refused beyond 4,300
        text = text.lstrip("0") or "0"
        if len(text) > 20:
            return None
    number = int(text)
    return number if number <= at_most else None


def unquote(text: str) -> str:
    """Return a quoted string's content, or any other text as it is."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    inner = text[1:-1]
    return _QUOTED_PAIR.sub(r"\1", inner) if "\\" in inner else inner


def quote(text: str) -> str:
    """Return the text as a quoted string; line breaks become spaces, which no quoting can carry."""
    plain = text.replace("\r", " ").replace("\n", " ")
    return f'"{_TO_ESCAPE.sub(_backslashed, plain)}"'


def _backslashed(found: re.Match[str]) -> str:
    return "\\" + found.group()


def split_list(value: str) -> tuple[str, ...]:
    """Split a comma-separated list, minding quoted strings and angle brackets.

    Raises NotGrammatical for an empty element, an unterminated string or bracket.
    """
    if "," not in value:
        element = value.strip(" \t")
        if not element:
            raise NotGrammatical("empty value")
        return (element,)
    elements = []
    at, end = 0, len(value)
    while True:
        found = _LIST_ELEMENT.match(value, at)
        element = found.group().strip(" \t") if found else ""
        if found is None or not element:
            raise NotGrammatical("empty list element or unterminated string")
        elements.append(element)
        at = found.end()
        if at == end:
            return tuple(elements)
        if value[at] != ",":
            raise NotGrammatical("unterminated quoted string or angle bracket")
        at += 1


def normalise_escapes(text: str) -> str:
    """Decode escapes of unreserved characters and write the rest in capitals (RFC 3261 19.1.4)."""
    return _ESCAPE.sub(_normalised, text) if "%" in text else text


def _normalised(found: re.Match[str]) -> str:
    character = chr(int(found.group()[1:], 16))
    return character if character in _UNRESERVED else found.group().upper()


class Parameters(Mapping[str, str | None]):
    """Ordered, immutable parameters: lower-case names to raw values (quotes kept), None for none.

    Names are compared without regard to case, and never appear twice (RFC 3261 section 7.3.1).
    """

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, str | None] | None = None) -> None:
        self._items: dict[str, str | None] = (
            {name.lower(): value for name, value in items.items()} if items else {}
        )

    def __getitem__(self, name: str) -> str | None:
        return self._items[name.lower()]

    @overload
    def get(self, name: str, /) -> str | None: ...
    @overload
    def get(self, name: str, /, default: str | T | None) -> str | T | None: ...
    def get(self, name: str, /, default: str | T | None = None) -> str | T | None:
        """Return the raw value, or the default; Mapping's own is slow for an absent name."""
        return self._items.get(name.lower(), default)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        return self._items == other._items if isinstance(other, Parameters) else NotImplemented

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return f"Parameters({str(self)!r})"

    def __str__(self) -> str:
        return "".join(
            f";{name}" if value is None else f";{name}={value}"
            for name, value in self._items.items()
        )

    def text(self, name: str) -> str | None:
        """Return a value without its quotes, or None when there is no value."""
        value = self._items.get(name.lower())
        return None if value is None else unquote(value)

    def setting(self, name: str, value: str | None) -> "Parameters":
        """Return a copy with the parameter set, in its old place when it was there."""
        return Parameters({**self._items, name.lower(): value})

    def setting_all(self, items: Mapping[str, str | None]) -> "Parameters":
        """Return a copy with parameters set, whose names are lower case already."""
        return Parameters.owning({**self._items, **items})

    def dropping(self, name: str) -> "Parameters":
        """Return a copy without the parameter."""
        return Parameters({n: v for n, v in self._items.items() if n != name.lower()})

    @classmethod
    def owning(cls, items: dict[str, str | None]) -> "Parameters":
        """Take ownership of a dict whose names are lower case already."""
        made = cls.__new__(cls)
        made._items = items
        return made


NO_PARAMETERS = Parameters()


def parse_parameters(text: str, at: int = 0) -> tuple[Parameters, int]:
    """Parse `*( SEMI generic-param )` from a position; return them and where they end.

    Trailing white space belongs to them. Raises NotGrammatical when a name appears twice.
    """
    end = len(text)
    if at == end:
        return NO_PARAMETERS, at
    items: dict[str, str | None] = {}
    found = _PARAMETER.match(text, at)
    while found is not None:
        name = found.group(1).lower()
        if name in items:
            raise NotGrammatical(f"parameter {name} twice")
        items[name] = found.group(2)
        at = found.end()
        found = _PARAMETER.match(text, at)
    while at < end and text[at] in " \t":
        at += 1
    return Parameters.owning(items) if items else NO_PARAMETERS, at
