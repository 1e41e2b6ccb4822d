"""Extended regular expressions of POSIX, matched in bounded time (RFC 3402 section 3.2).

A NAPTR record's pattern comes from whoever owns the zone, so Python's backtracking `re` is not
let near it. The subject is short (an E.164 number with its plus), which makes an exact answer
cheap: for every node of the pattern and every start, the set of ends it can match is computed
once and kept as the bits of an integer. That is the whole language without back-references in
patterns (POSIX ERE has none), without exponential cases, in at most `nodes x starts x ends` steps;
and a step count ends even that.

Sub-expressions match as POSIX asks: leftmost match, longest overall, then each part from left to
right as long as the rest allows. What POSIX leaves undefined (`a**`, `()`, an empty alternative, a
back-slash before a letter) and what depends on a locale (`[[=a=]]`, `[[.a.]]`) is refused.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

MAX_PATTERN: Final = 255
MAX_SUBJECT: Final = 32
MAX_DEPTH: Final = 32
RE_DUP_MAX: Final = 255
DEFAULT_STEPS: Final = 20_000

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


class TooManySteps(Exception):
    """The steps allowed for matching are used up."""


@dataclass(slots=True)
class Steps:
    """How much work is left; shared by all patterns of one answer."""

    left: int = DEFAULT_STEPS

    def spend(self, count: int = 1) -> None:
        """Take steps; raises TooManySteps."""
        self.left -= count
        if self.left < 0:
            raise TooManySteps


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


@dataclass(frozen=True, slots=True)
class Regexp:
    """A pattern read; `groups` is how many sub-expressions it has."""

    root: Node
    groups: int

    def search(self, subject: str, steps: Steps | None = None) -> tuple[str, ...] | None:
        """Return the leftmost longest match and its sub-expressions, or None for no match.

        The first is the whole match; a sub-expression that took no part is "". Raises
        TooManySteps, and ValueError for a subject of more than 32 characters.
        """
        if len(subject) > MAX_SUBJECT:
            raise ValueError(f"subject longer than {MAX_SUBJECT} characters")
        matcher = _Matcher(subject, Steps() if steps is None else steps)
        for start in range(len(subject) + 1):
            ends = matcher.ends(self.root, start)
            if ends:
                end = ends.bit_length() - 1
                spans = [(start, end)] + [(0, 0)] * self.groups
                matcher.assign(self.root, start, end, spans)
                return tuple(subject[first:last] for first, last in spans)
        return None


class _Matcher:
    """One subject; `ends` is memoised by node and start."""

    def __init__(self, subject: str, steps: Steps) -> None:
        self._subject = subject
        self._length = len(subject)
        self._steps = steps
        self._known: dict[tuple[int, int], int] = {}

    def ends(self, node: Node, start: int) -> int:
        """The positions where a match of `node` from `start` can end, as bits."""
        key = (id(node), start)
        known = self._known.get(key)
        if known is None:
            self._steps.spend()
            known = self._known[key] = self._find(node, start)
        return known

    def _find(self, node: Node, start: int) -> int:
        match node:
            case Characters():
                fits = start < self._length and node.matches(self._subject[start])
                return 1 << (start + 1) if fits else 0
            case Anchor():
                return 1 << start if start == (self._length if node.at_end else 0) else 0
            case Group():
                return self.ends(node.inner, start)
            case Sequence():
                reached = 1 << start
                for part in node.parts:
                    reached = self._after(part, reached)
                return reached
            case Choice():
                reached = 0
                for part in node.parts:
                    reached |= self.ends(part, start)
                return reached
            case Repeat():
                return self._repeated(node, start)

    def _after(self, node: Node, starts: int) -> int:
        """The ends of `node` from any of the positions `starts`."""
        reached = 0
        while starts:
            lowest = starts & -starts
            starts ^= lowest
            self._steps.spend()
            reached |= self.ends(node, lowest.bit_length() - 1)
        return reached

    def _repeated(self, node: Repeat, start: int) -> int:
        return self._reached(node, 1 << start, *self._counts(node))

    def _counts(self, node: Repeat) -> tuple[int, int]:
        """The repetitions that matter.

        More than there are characters holds an empty one, which can be added or left out: beyond
        that, all counts reach the same positions.
        """
        beyond = self._length + 1
        most = beyond if node.most is None else min(node.most, beyond)
        return min(node.least, beyond), most

    def _reached(self, node: Repeat, reached: int, least: int, most: int) -> int:
        for _ in range(least):
            reached = self._after(node.inner, reached)
        all_reached = reached
        for _ in range(most - least):
            # What was reached with fewer repetitions need not be followed again.
            reached = self._after(node.inner, reached) & ~all_reached
            if not reached:
                break
            all_reached |= reached
        return all_reached

    # --- which sub-expression matched what ----------------------------------------------------

    def assign(self, node: Node, start: int, end: int, spans: list[tuple[int, int]]) -> None:
        """Write the spans of the groups of `node`, which is known to match from start to end."""
        match node:
            case Group():
                spans[node.number] = (start, end)
                self.assign(node.inner, start, end, spans)
            case Sequence():
                self._assign_sequence(node.parts, start, end, spans)
            case Choice():
                chosen = next(part for part in node.parts if self.ends(part, start) >> end & 1)
                self.assign(chosen, start, end, spans)
            case Repeat():
                self._assign_repeat(node, start, end, spans)

    def _assign_sequence(
        self, parts: tuple[Node, ...], start: int, end: int, spans: list[tuple[int, int]]
    ) -> None:
        for place, part in enumerate(parts):
            rest = parts[place + 1 :]

            def allows(position: int, rest: tuple[Node, ...] = rest) -> bool:
                reached = 1 << position
                for later in rest:
                    reached = self._after(later, reached)
                return bool(reached >> end & 1)

            stop = self._longest(self.ends(part, start), end, allows)
            self.assign(part, start, stop, spans)
            start = stop

    def _assign_repeat(
        self, node: Repeat, start: int, end: int, spans: list[tuple[int, int]]
    ) -> None:
        least, most = self._counts(node)
        while start < end:
            least, most = max(least - 1, 0), most - 1

            def allows(position: int, least: int = least, most: int = most) -> bool:
                reached = self._reached(node, 1 << position, least, max(most, least))
                return bool(reached >> end & 1)

            # An empty repetition is the last choice, for `(^|a){2}`; `most` ends a row of them.
            stop = self._longest(self.ends(node.inner, start), end, allows)
            for group in node.groups:
                spans[group] = (0, 0)  # what an earlier repetition matched does not count
            self.assign(node.inner, start, stop, spans)
            start = stop

    def _longest(self, ends: int, limit: int, allows: Callable[[int], bool]) -> int:
        for position in range(limit, -1, -1):
            if ends >> position & 1 and allows(position):
                return position
        raise AssertionError("the whole was found to match")


# --- reading -----------------------------------------------------------------------------------


def parse_regexp(pattern: str, *, ignore_case: bool = False) -> Regexp:
    """Read an extended regular expression of at most 255 ASCII characters.

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
    return Regexp(root, parser.groups)


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
