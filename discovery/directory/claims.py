"""Reading members of claims, each of its type or Refused(MALFORMED)."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Final

from discovery.directory.canonical_json import MAX_INTEGER
from discovery.directory.reason import Refusal, Refused

_LATEST: Final = 253_402_300_799  # the year 9999


def exactly(
    claims: Mapping[str, object], needed: Set[str], optional: Set[str] = frozenset()
) -> None:
    """Check that the members are the needed ones, and no others but optional ones."""
    names = set(claims)
    if not needed <= names or not names <= needed | optional:
        raise Refused(Refusal.MALFORMED, f"members are not {', '.join(sorted(needed))}")


def text(claims: Mapping[str, object], name: str, *, max_length: int) -> str:
    """Return a member that is text of 1 to `max_length` printable ASCII characters."""
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= max_length:
        raise Refused(Refusal.MALFORMED, f"{name} is not text of 1 to {max_length} characters")
    if not value.isascii() or not value.isprintable():
        raise Refused(Refusal.MALFORMED, f"{name} is not printable ASCII")
    return value


def number(claims: Mapping[str, object], name: str, *, largest: int = MAX_INTEGER) -> int:
    """Return a member that is a whole number from 0 to `largest`."""
    value = claims.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= largest:
        raise Refused(Refusal.MALFORMED, f"{name} is not a whole number from 0 to {largest}")
    return value


def moment(claims: Mapping[str, object], name: str) -> int:
    """Return a member that is a time in whole epoch seconds."""
    return number(claims, name, largest=_LATEST)


def flag(claims: Mapping[str, object], name: str) -> bool:
    """Return a member that is true or false."""
    value = claims.get(name)
    if not isinstance(value, bool):
        raise Refused(Refusal.MALFORMED, f"{name} is not true or false")
    return value


def items(claims: Mapping[str, object], name: str) -> list[object]:
    """Return a member that is a list."""
    value = claims.get(name)
    if not isinstance(value, list):
        raise Refused(Refusal.MALFORMED, f"{name} is not a list")
    return value


def version(claims: Mapping[str, object]) -> None:
    """Check that `v` is 1."""
    if claims.get("v") != 1 or isinstance(claims.get("v"), bool):
        raise Refused(Refusal.WRONG_TYPE, "v is not 1")
