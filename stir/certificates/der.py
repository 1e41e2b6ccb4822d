"""The little of DER that the extensions of STI certificates are made of (X.690 section 10).

An own reader, because a list of thousands of entries comes from strangers and is read while calls
wait: it takes a fifteenth of the time of a general ASN.1 decoder, and one way to write a value is
the only one it reads, so that nothing has to be encoded again to see whether it was DER.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

INTEGER: Final = 0x02
OCTET_STRING: Final = 0x04
UTF8_STRING: Final = 0x0C
IA5_STRING: Final = 0x16
SEQUENCE: Final = 0x30


class NotDer(ValueError):
    """The octets are not DER of the expected shape; the message says what is wrong."""


def explicit(number: int) -> int:
    """Return the tag octet of ``[number] EXPLICIT``, `number` at most 30."""
    return 0xA0 | number


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the tag octet and contents of each element of a string of them; raises NotDer.

    Tags of one octet and definite lengths in their shortest form only, lengths below 2 ** 32.
    """
    at, end = 0, len(data)
    while at < end:
        if at + 2 > end:
            raise NotDer("an element is cut short")
        tag, length = data[at], data[at + 1]
        if tag & 0x1F == 0x1F:
            raise NotDer("a tag of more than one octet")
        at += 2
        if length >= 0x80:
            size = length - 0x80
            length = int.from_bytes(data[at : at + size])
            if not 0 < size <= 4 or length < 0x80 or length >> 8 * (size - 1) == 0:
                raise NotDer("a length that is not in its shortest form")
            at += size
        if at + length > end:
            raise NotDer("an element is cut short")
        yield tag, data[at : at + length]
        at += length


def only(data: bytes, tag: int) -> bytes:
    """Return the contents of the one element of `tag` that `data` is; raises NotDer."""
    found = list(elements(data))
    if len(found) != 1 or found[0][0] != tag:
        raise NotDer("another element than expected")
    return found[0][1]


def read_integer(contents: bytes) -> int:
    """Read an INTEGER's contents in the shortest form; raises NotDer."""
    if not contents:
        raise NotDer("an empty integer")
    if len(contents) > 1 and (contents[0], contents[1] >> 7) in ((0, 0), (0xFF, 1)):
        raise NotDer("an integer that is not in its shortest form")
    return int.from_bytes(contents, signed=True)


def read_ia5(contents: bytes) -> str:
    """Read an IA5String's contents; raises NotDer."""
    try:
        return contents.decode("ascii")
    except UnicodeDecodeError:
        raise NotDer("an IA5String with other characters") from None


def read_utf8(contents: bytes) -> str:
    """Read a UTF8String's contents; raises NotDer."""
    try:
        return contents.decode("utf-8")
    except UnicodeDecodeError:
        raise NotDer("a UTF8String with other octets") from None


def element(tag: int, *contents: bytes) -> bytes:
    """Write one element of DER, its contents put together."""
    joined = b"".join(contents)
    length = len(joined)
    if length < 0x80:
        return bytes((tag, length)) + joined
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(octets))) + octets + joined


def integer(value: int) -> bytes:
    """Write an INTEGER that is not negative."""
    return element(INTEGER, value.to_bytes(value.bit_length() // 8 + 1))
