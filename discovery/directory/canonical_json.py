"""RFC 8785 canonical JSON of the values that records are made of: no fractions, ASCII names.

Within these limits the standard library writes what RFC 8785 asks for: integers as they are,
members sorted, the shortest escapes. A test holds it against another implementation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from discovery.directory.reason import Refusal, Refused
from discovery.spin.strict_json import MalformedJson, parse_json_object

# Beyond this a reader that knows only IEEE 754 doubles sees another number (RFC 8785 3.2.2.3).
MAX_INTEGER: Final = 2**53 - 1
_MAX_DEPTH: Final = 6
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def canonical(value: Mapping[str, object]) -> bytes:
    """Return the canonical octets of an object.

    Raises Refused(NOT_CANONICAL) for fractions, integers beyond 2^53 - 1, lone surrogates and
    member names outside ASCII.
    """
    members = dict(value)
    _check(members)
    try:
        return _ENCODER.encode(members).encode("utf-8")
    except (UnicodeEncodeError, RecursionError, ValueError):
        raise Refused(Refusal.NOT_CANONICAL, "a text that is not Unicode") from None


def parse_canonical(octets: bytes) -> dict[str, object]:
    """Read an object whose octets are its canonical form.

    Raises Refused: MALFORMED (no JSON object, a member twice, nested too deep), NOT_CANONICAL.
    """
    try:
        value = parse_json_object(octets, max_depth=_MAX_DEPTH)
    except MalformedJson as error:
        raise Refused(Refusal.MALFORMED, str(error)) from None
    if canonical(value) != octets:
        raise Refused(Refusal.NOT_CANONICAL, "not in the canonical form of RFC 8785")
    return value


def _check(value: object) -> None:
    if isinstance(value, str):
        return
    if isinstance(value, dict):
        for name, member in value.items():
            if not isinstance(name, str) or not name.isascii():
                raise Refused(Refusal.NOT_CANONICAL, "a member name outside ASCII")
            _check(member)
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item)
    elif isinstance(value, float) or (isinstance(value, int) and abs(value) > MAX_INTEGER):
        raise Refused(Refusal.NOT_CANONICAL, "a number that is no small integer")
