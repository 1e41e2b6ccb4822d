"""Octets from strangers, read from the front: never past the end, never without a bound."""

from __future__ import annotations

from typing import Final

from discovery.privacy.reason import Fault, PrivacyError

MAX_VARINT: Final = (1 << 62) - 1


class Octets:
    """A cursor over received octets. Every read raises PrivacyError(TRUNCATED) past the end."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """How many octets were not read yet."""
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        """Read so many octets."""
        end = self._at + count
        if end > len(self._data):
            raise PrivacyError(Fault.TRUNCATED, "ends inside a field")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def rest(self) -> bytes:
        """Read what is left."""
        return self.take(self.left)

    def integer(self, size: int) -> int:
        """Read an integer of `size` octets in network byte order."""
        return int.from_bytes(self.take(size), "big")

    def varint(self) -> int:
        """Read a variable-length integer (RFC 9000 section 16), in whatever length it is given."""
        if self._at >= len(self._data):
            raise PrivacyError(Fault.TRUNCATED, "ends before an integer")
        first = self._data[self._at]
        size = 1 << (first >> 6)
        return self.integer(size) & ((1 << (8 * size - 2)) - 1)

    def prefixed(self, limit: int) -> bytes:
        """Read octets behind their length as a varint. Raises PrivacyError(OVERSIZED)."""
        length = self.varint()
        if length > limit:
            raise PrivacyError(Fault.OVERSIZED, f"a field of more than {limit} octets")
        return self.take(length)

    def vector(self, size: int) -> bytes:
        """Read octets behind their length as an integer of `size` octets (RFC 8446 section 3.4)."""
        return self.take(self.integer(size))

    def end(self) -> None:
        """Make sure that nothing is left. Raises PrivacyError(MALFORMED)."""
        if self.left:
            raise PrivacyError(Fault.MALFORMED, "octets after the end")


def varint(value: int) -> bytes:
    """Encode an integer in the fewest octets (RFC 9000 section 16)."""
    for exponent in range(4):
        size = 1 << exponent
        if value < 1 << (8 * size - 2):
            return (value | exponent << (8 * size - 2)).to_bytes(size, "big")
    raise ValueError("more than 62 bits")


def prefixed(data: bytes) -> bytes:
    """Put the length before octets, as a varint."""
    return varint(len(data)) + data
