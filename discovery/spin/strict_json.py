"""JSON from strangers: no duplicate members, no NaN, bounded depth, and one error for all."""

from __future__ import annotations

import json
from typing import Final, NoReturn

MAX_DEPTH: Final = 8


class MalformedJson(ValueError):
    """The text is not the JSON object it should be; the message says why, without quoting it."""


def parse_json_object(text: bytes | str, *, max_depth: int = MAX_DEPTH) -> dict[str, object]:
    """Return the object in `text`; the caller has bounded its length.

    Raises MalformedJson for anything but one object: wrong UTF-8, duplicate members (the last
    would win and two parsers disagree), NaN, infinite or endless numbers, nesting deeper than
    `max_depth`.
    """
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        value: object = _DECODER.decode(decoded)
    except MalformedJson:
        raise
    except UnicodeDecodeError:
        raise MalformedJson("not UTF-8") from None
    except RecursionError:
        raise MalformedJson("nested too deep") from None
    except ValueError:
        raise MalformedJson("not JSON") from None
    if not isinstance(value, dict):
        raise MalformedJson("not an object")
    _check_depth(value, max_depth)
    return value


def _unique_members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedJson("a member is given twice")
    return members


def _refuse_constant(_name: str) -> NoReturn:
    raise MalformedJson("not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise MalformedJson("a number is out of range")
    return value


def _check_depth(value: object, max_depth: int) -> None:
    level: list[object] = [value]
    for _ in range(max_depth):
        level = [
            child
            for item in level
            for child in (
                item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
            )
        ]
        if not level:
            return
    raise MalformedJson("nested too deep")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique_members, parse_constant=_refuse_constant, parse_float=_finite
)
