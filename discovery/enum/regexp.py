"""Extended regular expressions of POSIX, matched in bounded time (RFC 3402 section 3.2).

A NAPTR record's pattern comes from whoever owns the zone, so Python's backtracking `re` is not
let near it. The subject is short (an E.164 number with its plus), which makes an exact answer
cheap: for every node of the pattern and every start, the set of ends it can match is computed
once and kept as the bits of an integer. That is the whole language without back-references in
patterns (POSIX ERE has none), without exponential cases, in at most `nodes x starts x ends` steps;
and a step count ends even that.

Sub-expressions match as POSIX asks: leftmost match, longest overall, then each part from left to
right as long as the rest allows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from discovery.enum.regexp_syntax import (
    Anchor,
    Characters,
    Choice,
    Group,
    Node,
    Repeat,
    Sequence,
    parse_tree,
)

MAX_SUBJECT: Final = 32
DEFAULT_STEPS: Final = 20_000


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


def parse_regexp(pattern: str, *, ignore_case: bool = False) -> Regexp:
    """Read an extended regular expression of at most 255 ASCII characters.

    ignore_case: the `i` flag. Raises MalformedRegexp.
    """
    root, groups = parse_tree(pattern, ignore_case=ignore_case)
    return Regexp(root, groups)
