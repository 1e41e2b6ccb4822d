"""Telephone numbers as this room holds them, E.164 digits without plus, and as logs show them."""

from __future__ import annotations

import re
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
