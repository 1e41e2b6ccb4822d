"""JSON Pointer (RFC 6901): naming one value inside a JSON document."""

from __future__ import annotations

import re
from typing import Final

MAX_POINTER: Final = 256
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,5}")
_BAD_ESCAPE: Final = re.compile(r"~(?![01])")


class NoSuchValue(ValueError):
    """The pointer is malformed, or names nothing in the document; the message says which."""


def resolve(document: object, pointer: str) -> object:
    """Return the value a pointer of at most 256 characters names; raises NoSuchValue."""
    if len(pointer) > MAX_POINTER or (pointer and not pointer.startswith("/")):
        raise NoSuchValue("not a JSON pointer")
    if _BAD_ESCAPE.search(pointer):
        raise NoSuchValue("an escape that is neither ~0 nor ~1")
    value = document
    for token in pointer.split("/")[1:]:
        value = _member(value, token.replace("~1", "/").replace("~0", "~"))
    return value


def _member(value: object, name: str) -> object:
    if isinstance(value, dict) and name in value:
        return value[name]
    if isinstance(value, list) and _INDEX.fullmatch(name) and int(name) < len(value):
        return value[int(name)]
    raise NoSuchValue("names nothing")
