"""From a number to its domain in a private tree, and back (RFC 6116 section 3.2)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from discovery.number import is_number

_MAX_DOMAIN: Final = 253


@dataclass(frozen=True, slots=True)
class Tree:
    """A DNS tree that holds numbers: those that begin with `prefix` (digits, "" for all).

    `suffix` is the domain, in lower case without the last dot, that the reversed digits are put
    before; all digits of a number are, those of the prefix too, as in `e164.arpa`.
    """

    prefix: str
    suffix: str

    def __post_init__(self) -> None:
        if self.prefix and not (self.prefix.isascii() and self.prefix.isdigit()):
            raise ValueError("prefix: digits only")
        # The longest number takes fifteen labels of two octets each.
        if not self.suffix or len(self.suffix) > _MAX_DOMAIN - 30:
            raise ValueError("suffix: a domain name that leaves room for the digits")

    def domain(self, number: str) -> str:
        """Return the domain of a number (3 to 15 digits). Raises ValueError for another text."""
        if not is_number(number):
            raise ValueError("not a canonical number")
        return f"{'.'.join(reversed(number))}.{self.suffix}"

    def number(self, domain: str) -> str | None:
        """Return the number whose domain this is, or None where it is no number's."""
        digits, dot, _ = domain.lower().rstrip(".").rpartition(f".{self.suffix}")
        labels = digits.split(".")
        if not dot or not domain.lower().rstrip(".").endswith(f".{self.suffix}"):
            return None
        number = "".join(reversed(labels))
        return number if len(number) == len(labels) and is_number(number) else None


def tree_of(trees: Iterable[Tree], number: str) -> Tree | None:
    """Return the tree with the longest prefix of the number, or None."""
    fitting = [tree for tree in trees if number.startswith(tree.prefix)]
    return max(fitting, key=lambda tree: len(tree.prefix), default=None)
