"""Telephone numbers as this room holds them, E.164 digits without plus, and as logs show them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_DIGITS: Final = re.compile(r"[0-9]{3,15}")

# What is left of a number in a log: enough to see country and area, too little to call it.
_SHOWN_HEAD: Final = 4
_SHOWN_TAIL: Final = 2


def is_number(text: object) -> bool:
    """Tell whether text is a canonical number: 3 to 15 ASCII digits (RFC 8224 8.3, E.164)."""
    return isinstance(text, str) and _DIGITS.fullmatch(text) is not None


def canonical_number(text: str) -> str | None:
    """Return the digits of `+12125550123` or `12125550123`, None for anything else.

    Only ASCII digits and one leading plus are known here; whoever takes numbers from people or
    from SIP removes visual separators first.
    """
    digits = text.removeprefix("+")
    return digits if _DIGITS.fullmatch(digits) else None


def masked(number: str) -> str:
    """Return a number as a log may show it (`+1212*****23`), whatever was passed in."""
    digits = number.removeprefix("+")
    if not is_number(digits):
        return "(not a number)"
    hidden = max(len(digits) - _SHOWN_HEAD - _SHOWN_TAIL, 0)
    if not hidden:
        return "+" + "*" * len(digits)
    return f"+{digits[:_SHOWN_HEAD]}{'*' * hidden}{digits[-_SHOWN_TAIL:]}"


class NumberRanges:
    """A set of numbers given as E.164 numbers and ranges: `+12125550100-+12125550199`.

    The ends of a range have the same length. Raises ValueError naming the text that is wrong.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._ranges: list[tuple[str, str]] = []
        for text in texts:
            ends = [canonical_number(end) for end in text.split("-")]
            first, last = ends[0], ends[-1]
            if len(ends) > 2 or first is None or last is None:
                raise ValueError(f"'{text}' is not a number or a range of numbers")
            if len(first) != len(last) or first > last:
                raise ValueError(f"range '{text}' must run upwards between numbers of one length")
            self._ranges.append((first, last))

    def __contains__(self, number: object) -> bool:
        """Tell whether a canonical number is in the set; anything else is not."""
        return (
            isinstance(number, str)
            and is_number(number)
            and any(
                len(number) == len(first) and first <= number <= last
                for first, last in self._ranges
            )
        )

    def overlaps(self, prefix: str) -> bool:
        """Tell whether a number in the set begins with these digits."""
        return any(
            prefix.ljust(len(first), "0") <= last and prefix.ljust(len(last), "9") >= first
            for first, last in self._ranges
            if len(prefix) <= len(first)
        )
