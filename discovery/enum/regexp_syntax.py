"""How an extended regular expression of POSIX is written, and the tree it is read into.

What POSIX leaves undefined (`a**`, `()`, an empty alternative, a back-slash before a letter) and
what depends on a locale (`[[=a=]]`, `[[.a.]]`) is refused.
"""

from __future__ import annotations

import string
from dataclasses import dataclass, field
from typing import Final

MAX_PATTERN: Final = 255
MAX_DEPTH: Final = 32
RE_DUP_MAX: Final = 255

_SPECIAL: Final = frozenset(".[\\()*+?{|^$")
_CLASSES: Final[dict[str, str]] = {
    "alnum": string.ascii_letters + string.digits,
    "alpha": string.ascii_letters,
    "blank": " \t",
    "cntrl": "".join(map(chr, [*range(32), 127])),
    "digit": string.digits,
    "graph": "".join(map(chr, range(33, 127))),
    "lower": string.ascii_lowercase,
    "print": "".join(map(chr, range(32, 127))),
    "punct": string.punctuation,
    "space": " \t\n\v\f\r",
    "upper": string.ascii_uppercase,
    "xdigit": string.hexdigits,
}


class MalformedRegexp(ValueError):
    """The text is not an expression of the accepted kind; the message says why."""


# --- the tree ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Characters:
    """One character of a set; `negated` for any other."""

    members: frozenset[str]
    negated: bool = False

    def matches(self, character: str) -> bool:
        return (character in self.members) is not self.negated


@dataclass(frozen=True, slots=True, eq=False)
class Anchor:
    """The beginning or the end of the subject."""

    at_end: bool


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """A sub-expression in parentheses; `number` counts from 1."""

    number: int
    inner: Node


@dataclass(frozen=True, slots=True, eq=False)
class Repeat:
    """`inner` from `least` to `most` times; None for any number. `groups`: those within."""

    inner: Node
    least: int
    most: int | None
    groups: range


@dataclass(frozen=True, slots=True, eq=False)
class Sequence:
    """Parts one after another."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """Alternatives."""

    parts: tuple[Node, ...]


Node = Characters | Anchor | Group | Repeat | Sequence | Choice


# --- reading -----------------------------------------------------------------------------------


def parse_tree(pattern: str, *, ignore_case: bool = False) -> tuple[Node, int]:
    """Return the tree of at most 255 ASCII characters, and how many groups it has.

    ignore_case: the `i` flag. Raises MalformedRegexp.
    """
    if not pattern:
        raise MalformedRegexp("empty")
    if len(pattern) > MAX_PATTERN:
        raise MalformedRegexp(f"longer than {MAX_PATTERN} characters")
    if not pattern.isascii() or not pattern.isprintable():
        raise MalformedRegexp("characters other than printable ASCII")
    parser = _Parser(pattern, ignore_case)
    root = parser.choice(0)
    if not parser.at_end:
        raise MalformedRegexp("unbalanced )")
    return root, parser.groups


@dataclass(slots=True)
class _Parser:
    text: str
    ignore_case: bool
    place: int = 0
    groups: int = 0
    _any: Characters = field(default_factory=lambda: Characters(frozenset(), negated=True))

    @property
    def at_end(self) -> bool:
        return self.place >= len(self.text)

    def _peek(self) -> str:
        return self.text[self.place : self.place + 1]

    def _take(self) -> str:
        character = self._peek()
        if not character:
            raise MalformedRegexp("ends too early")
        self.place += 1
        return character

    def choice(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise MalformedRegexp(f"nested deeper than {MAX_DEPTH}")
        parts = [self._sequence(depth)]
        while self._peek() == "|":
            self.place += 1
            parts.append(self._sequence(depth))
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def _sequence(self, depth: int) -> Node:
        parts: list[Node] = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._repeated(depth))
        if not parts:
            raise MalformedRegexp("an empty expression")
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _repeated(self, depth: int) -> Node:
        before = self.groups
        atom = self._atom(depth)
        bounds = self._bounds()
        if bounds is None:
            return atom
        if isinstance(atom, Anchor):
            raise MalformedRegexp("a repeated anchor")
        if self._peek() and self._peek() in "*+?{":
            raise MalformedRegexp("a repetition of a repetition")
        return Repeat(atom, *bounds, range(before + 1, self.groups + 1))

    def _bounds(self) -> tuple[int, int | None] | None:
        simple = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(self._peek())
        if simple is not None:
            self.place += 1
            return simple
        if self._peek() != "{":
            return None
        closing = self.text.find("}", self.place)
        if closing < 0:
            raise MalformedRegexp("{ without }")
        low, comma, high = self.text[self.place + 1 : closing].partition(",")
        self.place = closing + 1
        least = _bound(low)
        most = _bound(high) if high else None if comma else least
        if most is not None and most < least:
            raise MalformedRegexp("bounds the wrong way round")
        return least, most

    def _atom(self, depth: int) -> Node:
        character = self._take()
        match character:
            case "(":
                self.groups += 1
                number = self.groups
                inner = self.choice(depth + 1)
                if self._peek() != ")":
                    raise MalformedRegexp("( without )")
                self.place += 1
                return Group(number, inner)
            case "[":
                return self._bracket()
            case ".":
                return self._any
            case "^" | "$":
                return Anchor(at_end=character == "$")
            case "\\":
                escaped = self._take()
                if escaped not in _SPECIAL and escaped not in "]}/!":
                    raise MalformedRegexp("a back-slash before an ordinary character")
                return self._set({escaped})
            case "*" | "+" | "?" | "{":
                raise MalformedRegexp("a repetition of nothing")
        return self._set({character})

    def _set(self, members: set[str], *, negated: bool = False) -> Characters:
        if self.ignore_case:
            members |= {each.lower() for each in members} | {each.upper() for each in members}
        return Characters(frozenset(members), negated)

    def _bracket(self) -> Characters:
        negated = self._peek() == "^"
        self.place += negated
        members: set[str] = set()
        first = True
        while first or self._peek() != "]":
            first = False
            members |= self._bracket_item()
        self.place += 1
        return self._set(members, negated=negated)

    def _bracket_item(self) -> set[str]:
        if self._peek() == "[" and self.text[self.place + 1 : self.place + 2] in (":", "=", "."):
            return self._class()
        low = self._take()
        following = self.text[self.place + 1 : self.place + 2]
        if self._peek() != "-" or following in ("]", ""):
            return {low}
        self.place += 1
        high = self._take()
        if ord(high) < ord(low) or (high == "[" and self._peek() in (":", "=", ".")):
            raise MalformedRegexp("a range the wrong way round")
        return set(map(chr, range(ord(low), ord(high) + 1)))

    def _class(self) -> set[str]:
        closing = self.text.find(":]", self.place)
        name = self.text[self.place + 2 : closing] if closing > 0 else ""
        if self.text[self.place + 1] != ":" or name not in _CLASSES:
            raise MalformedRegexp("an unknown character class")
        self.place = closing + 2
        return set(_CLASSES[name])


def _bound(text: str) -> int:
    if not (0 < len(text) <= 3 and text.isdigit()) or int(text) > RE_DUP_MAX:
        raise MalformedRegexp(f"a bound that is not a number of at most {RE_DUP_MAX}")
    return int(text)
