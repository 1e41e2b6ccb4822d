"""Reading what a user dialled as an E.164 number."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import phonenumbers

_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_DIALLED: Final = re.compile(r"[+0-9().\- ]{3,32}")


@lru_cache(maxsize=10_000)
def dialled_number(text: str, region: str) -> str | None:
    """Return the E.164 form of a dialled number, or None where it is none.

    `region` is the ISO 3166 code that national and international prefixes are read by. Only
    ASCII digits count: look-alikes of other scripts are no number.
    """
    if not _DIALLED.fullmatch(text):
        return None
    try:
        parsed = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(parsed):
        return None
    number = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return number if _E164.fullmatch(number) else None


def masked(number: str) -> str:
    """Return a number with its last four digits hidden, as logs show it."""
    return number[:-4] + "xxxx" if len(number) > 6 else "xxxx"
