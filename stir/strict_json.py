"""JSON read strictly and written canonically (RFC 8225 section 9).

The standard decoder lets the last of two equal keys win, accepts NaN, turns ``1e400`` into
infinity and dies of deep nesting: a verifier that reads another document than the signer wrote
can be led astray, so each of these is an error here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NoReturn

MAX_DEPTH: Final = 16
MAX_INTEGER_DIGITS: Final = 15
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_STRUCTURE: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


class MalformedJson(ValueError):
    """The text is not one JSON object by the strict rules; the message says what is wrong."""


def parse_object(data: bytes) -> dict[str, object]:
    """Parse one JSON object, at most 16 levels deep, integers of at most 15 digits.

    Raises MalformedJson for anything else: other encodings than UTF-8, duplicate keys, fractions,
    NaN or infinity, lone surrogates, trailing text.
    """
    value = parse_value(data)
    if type(value) is not dict:
        raise MalformedJson("not a JSON object")
    return value


def parse_value(data: bytes) -> object:
    """Parse one JSON value by the same rules, such as a jCard's array; raises MalformedJson."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedJson("not UTF-8") from None
    _check_depth(text)
    try:
        value = _decoded(text)
    except MalformedJson:
        raise
    except (ValueError, RecursionError):
        raise MalformedJson("not JSON") from None
    if "\\u" in text and _SURROGATE.search(text):
        _check_surrogates(value)
    return value


def _decoded(text: str) -> object:
    try:
        value, end = _SCAN(text, 0)
    except StopIteration:
        end = -1
    # White space around it, or no JSON: the decoder itself tells.
    return value if end == len(text) else _DECODER.decode(text)


def canonical(value: Mapping[str, object] | Sequence[object]) -> bytes:
    """Serialise as RFC 8225 section 9 wants: keys in lexicographic order, no white space, UTF-8.

    Raises MalformedJson for what JSON cannot carry (NaN, other types, lone surrogates).
    """
    try:
        return _ENCODER.encode(value).encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise MalformedJson(f"cannot be written as JSON: {error}") from None


def _check_depth(text: str) -> None:
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return
    depth = 0
    for match in _STRUCTURE.finditer(text):
        mark = match[0]
        if mark in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise MalformedJson(f"nested deeper than {MAX_DEPTH} levels")
        elif mark in "]}":
            depth -= 1


def _check_surrogates(value: object) -> None:
    try:
        _ENCODER.encode(value).encode("utf-8")
    except UnicodeEncodeError:
        raise MalformedJson("a lone surrogate") from None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedJson("a key appears twice")
    return members


def _integer(text: str) -> int:
    if len(text) > MAX_INTEGER_DIGITS + 1:
        raise MalformedJson(f"an integer of more than {MAX_INTEGER_DIGITS} digits")
    return int(text)


def _fraction(_text: str) -> NoReturn:
    raise MalformedJson("a number with a fraction or an exponent")


def _constant(text: str) -> NoReturn:
    raise MalformedJson(f"{text} is not JSON")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_integer,
    parse_float=_fraction,
    parse_constant=_constant,
)
_SCAN: Final[Callable[[str, int], tuple[object, int]]] = vars(_DECODER)["scan_once"]
_ENCODER: Final = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)
