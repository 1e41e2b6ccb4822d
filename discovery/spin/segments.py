"""Short messages of one part or several: the user data header of TS 23.040 9.2.3.24."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from discovery.spin import gsm7

SINGLE_SEPTETS: Final = 160
PART_SEPTETS: Final = 153
MAX_PARTS: Final = 255
BINARY_OCTETS: Final = 128
_PORTS_16: Final = 0x05
_CONCATENATED_8: Final = 0x00
_CONCATENATED_16: Final = 0x08


class MalformedUserData(ValueError):
    """A user data header does not fit its own lengths."""


@dataclass(frozen=True, slots=True)
class Concatenation:
    """The place of a part in its message; `wide` where the reference has 16 bits, not 8."""

    reference: int
    total: int
    number: int
    wide: bool = False

    def header(self) -> bytes:
        """Return the user data header, its length octet included."""
        if self.wide:
            element = self.reference.to_bytes(2, "big") + bytes((self.total, self.number))
            return bytes((6, _CONCATENATED_16, 4)) + element
        return bytes((5, _CONCATENATED_8, 3, self.reference, self.total, self.number))


@dataclass(frozen=True, slots=True)
class TextPart:
    """One short message to send: septets, one an octet, and its place among several or None."""

    septets: bytes
    concatenation: Concatenation | None = None

    @property
    def octets(self) -> bytes:
        """User data as SMPP carries it: header, then the septets unpacked, one an octet."""
        header = self.concatenation.header() if self.concatenation else b""
        return header + self.septets

    @property
    def has_header(self) -> bool:
        """Whether the octets begin with a user data header."""
        return self.concatenation is not None


@dataclass(frozen=True, slots=True)
class BinaryPart:
    """One short message of 8-bit data for an application port, and its place or None."""

    data: bytes
    port: int
    concatenation: Concatenation | None = None

    @property
    def octets(self) -> bytes:
        """User data with its header, which names the port (TS 23.040 9.2.3.24.4)."""
        ports = self.port.to_bytes(2, "big") * 2
        elements = bytes((_PORTS_16, 4)) + ports
        if self.concatenation is not None:
            elements += self.concatenation.header()[1:]
        return bytes((len(elements),)) + elements + self.data

    @property
    def has_header(self) -> bool:
        """Whether the octets begin with a user data header: they do."""
        return True


Part = TextPart | BinaryPart


def split_text(text: str, reference: int, *, max_parts: int = MAX_PARTS) -> tuple[TextPart, ...]:
    """Split text into parts of 153 septets, or one of 160; escapes are never torn apart.

    `reference` is 0 to 255, the same for all parts. Raises gsm7.NotGsm7, and ValueError where
    the text needs more than `max_parts`.
    """
    septets = gsm7.encode(text)
    if len(septets) <= SINGLE_SEPTETS:
        return (TextPart(septets),)
    pieces: list[bytes] = []
    start = 0
    while start < len(septets):
        end = min(start + PART_SEPTETS, len(septets))
        if end < len(septets) and septets[end - 1] == gsm7.ESCAPE:
            end -= 1
        pieces.append(septets[start:end])
        start = end
    if len(pieces) > max_parts:
        raise ValueError(f"needs {len(pieces)} parts, at most {max_parts} are sent")
    return tuple(
        TextPart(piece, Concatenation(reference & 0xFF, len(pieces), number))
        for number, piece in enumerate(pieces, start=1)
    )


def split_binary(
    data: bytes, port: int, reference: int, *, max_parts: int = MAX_PARTS
) -> tuple[BinaryPart, ...]:
    """Split data into parts of 128 octets for an application port; raises ValueError as above."""
    if len(data) <= BINARY_OCTETS:
        return (BinaryPart(data, port),)
    pieces = [data[i : i + BINARY_OCTETS] for i in range(0, len(data), BINARY_OCTETS)]
    if len(pieces) > max_parts:
        raise ValueError(f"needs {len(pieces)} parts, at most {max_parts} are sent")
    return tuple(
        BinaryPart(piece, port, Concatenation(reference & 0xFF, len(pieces), number))
        for number, piece in enumerate(pieces, start=1)
    )


def application_port(user_data: bytes) -> int | None:
    """Return the destination port that a user data header names; None for none.

    Raises MalformedUserData where lengths do not fit.
    """
    found: int | None = None
    for identifier, value in _elements(user_data):
        if identifier == _PORTS_16 and len(value) == 4:
            found = int.from_bytes(value[:2], "big")
    return found


def split_header(user_data: bytes) -> tuple[Concatenation | None, bytes]:
    """Take the user data header off; return the concatenation it tells of, and the rest.

    Elements other than concatenation are passed over. A concatenation that makes no sense (part
    0, part beyond the total) counts as none, as TS 23.040 9.2.3.24.1 says.
    Raises MalformedUserData where lengths do not fit.
    """
    found: Concatenation | None = None
    for identifier, value in _elements(user_data):
        found = _concatenation(identifier, value) or found
    return found, user_data[1 + user_data[0] :]


def _elements(user_data: bytes) -> Iterator[tuple[int, bytes]]:
    """Give the elements of a user data header; raises MalformedUserData."""
    if not user_data:
        raise MalformedUserData("no user data header")
    end = 1 + user_data[0]
    if end > len(user_data):
        raise MalformedUserData("header longer than the user data")
    place = 1
    while place < end:
        if place + 2 > end or place + 2 + user_data[place + 1] > end:
            raise MalformedUserData("element longer than the header")
        value = user_data[place + 2 : place + 2 + user_data[place + 1]]
        yield user_data[place], value
        place += 2 + len(value)


def _concatenation(identifier: int, value: bytes) -> Concatenation | None:
    wide = identifier == _CONCATENATED_16
    if not wide and identifier != _CONCATENATED_8:
        return None
    width = 2 if wide else 1
    if len(value) != width + 2:
        return None
    total, number = value[width], value[width + 1]
    if not 0 < number <= total:
        return None
    return Concatenation(int.from_bytes(value[:width], "big"), total, number, wide)
