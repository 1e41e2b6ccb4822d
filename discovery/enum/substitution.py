"""The substitution expression of a NAPTR record (RFC 3402 section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from discovery.enum.regexp import Regexp, Steps, parse_regexp
from discovery.enum.regexp_syntax import MalformedRegexp

MAX_RESULT: Final = 512
# A digit would be taken for a back-reference, a letter may be a flag, and a character that means
# something in an expression would mean two things where it is escaped.
_NOT_DELIMITERS: Final = frozenset("\\.[]()*+?{}|^$")


class MalformedSubstitution(ValueError):
    """The text is not a substitution expression; the message says why and quotes nothing."""


@dataclass(frozen=True, slots=True)
class Substitution:
    """An expression and what replaces it: texts and numbers of sub-expressions, in order."""

    regexp: Regexp
    replacement: tuple[str | int, ...]

    def apply(self, subject: str, steps: Steps | None = None) -> str | None:
        """Return what the subject (at most 32 characters) becomes, or None where nothing matches.

        What lies outside of the match is left out. Raises TooManySteps, and MalformedSubstitution
        for a result of more than 512 characters.
        """
        matched = self.regexp.search(subject, steps)
        if matched is None:
            return None
        parts = (part if isinstance(part, str) else matched[part] for part in self.replacement)
        result = "".join(parts)
        if len(result) > MAX_RESULT:
            raise MalformedSubstitution(f"a result of more than {MAX_RESULT} characters")
        return result


def parse_substitution(text: str) -> Substitution:
    """Read `!expression!replacement!flags`; the only flag is `i`.

    Raises MalformedSubstitution.
    """
    if not text or not text.isascii() or not text.isprintable():
        raise MalformedSubstitution("empty, or not printable ASCII")
    delimiter = text[0]
    if delimiter.isalnum() or delimiter in _NOT_DELIMITERS:
        raise MalformedSubstitution("a delimiter that cannot be told from content")
    parts = _split(text[1:], delimiter)
    if len(parts) != 3:
        raise MalformedSubstitution("not exactly three delimiters")
    pattern, replacement, flags = parts
    if flags not in ("", "i"):
        raise MalformedSubstitution("unknown flags")
    try:
        regexp = parse_regexp(_unescaped(pattern, delimiter), ignore_case=flags == "i")
    except MalformedRegexp as error:
        raise MalformedSubstitution(f"regular expression: {error}") from None
    return Substitution(regexp, _replacement(replacement, delimiter, regexp.groups))


def _split(text: str, delimiter: str) -> list[str]:
    """Split at delimiters that no back-slash stands before; four parts tell of one too many."""
    parts, begin, place = [], 0, 0
    while place < len(text):
        if text[place] == "\\":
            place += 2
            continue
        if text[place] == delimiter:
            parts.append(text[begin:place])
            begin = place + 1
        place += 1
    return [*parts, text[begin:]]


def _unescaped(pattern: str, delimiter: str) -> str:
    """Remove the back-slash before delimiters; an escaped back-slash is passed over whole."""
    read, place = [], 0
    while place < len(pattern):
        size = 2 if pattern[place] == "\\" else 1
        piece = pattern[place : place + size]
        read.append(delimiter if piece == f"\\{delimiter}" else piece)
        place += size
    return "".join(read)


def _replacement(text: str, delimiter: str, groups: int) -> tuple[str | int, ...]:
    parts: list[str | int] = []
    literal, place = "", 0
    while place < len(text):
        character = text[place]
        place += 1
        if character != "\\":
            literal += character
            continue
        escaped = text[place : place + 1]
        place += 1
        if escaped == delimiter:
            literal += delimiter
            continue
        # RFC 3402: a reference to a sub-expression that is not there is an error.
        if not escaped.isdigit() or not 0 < int(escaped) <= groups:
            raise MalformedSubstitution("a reference to no sub-expression")
        parts += [literal, int(escaped)]
        literal = ""
    return tuple(part for part in (*parts, literal) if part != "")
