"""The GSM 7 bit default alphabet with its extension table (3GPP TS 23.038, once GSM 03.38)."""

from __future__ import annotations

from typing import Final

ESCAPE: Final = 0x1B
_REPLACEMENT: Final = "\ufffd"

# TS 23.038 6.2.1, by code; 0x1B is the escape to the extension table.
_DEFAULT: Final = (
    "@£$¥èéùìòÇ\nØø\rÅå"
    "Δ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./"
    "0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNO"
    "PQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmno"
    "pqrstuvwxyzäöñüà"
)
# TS 23.038 6.2.1.1.
_EXTENSION: Final = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}
_SEPTETS: Final = {
    **{character: bytes((code,)) for code, character in enumerate(_DEFAULT) if code != ESCAPE},
    **{character: bytes((ESCAPE, code)) for code, character in _EXTENSION.items()},
}


class NotGsm7(ValueError):
    """A character has no place in the alphabet; `position` is where it stands in the text."""

    def __init__(self, position: int) -> None:
        super().__init__(f"character {position} is not in the GSM 7 bit alphabet")
        self.position = position


def encode(text: str) -> bytes:
    """Return text as septets, one an octet; raises NotGsm7."""
    try:
        return b"".join([_SEPTETS[character] for character in text])
    except KeyError:
        position = next(place for place, char in enumerate(text) if char not in _SEPTETS)
        raise NotGsm7(position) from None


def decode(septets: bytes) -> str:
    """Return the text of septets, one an octet; never fails.

    An octet above 127 becomes U+FFFD. An escape before a code without extension shows the
    character of the default table, as TS 23.038 6.2.1.1 tells a receiver to; one at the end, or
    before another escape, shows a space.
    """
    text: list[str] = []
    escaped = False
    for code in septets:
        if code == ESCAPE:
            if escaped:
                text.append(" ")
            escaped = not escaped
            continue
        if code > 0x7F:
            text.append(_REPLACEMENT)
        elif escaped:
            text.append(_EXTENSION.get(code, _DEFAULT[code]))
        else:
            text.append(_DEFAULT[code])
        escaped = False
    if escaped:
        text.append(" ")
    return "".join(text)


def pack(septets: bytes, *, fill_bits: int = 0) -> bytes:
    """Pack septets into octets, lowest bits first (TS 23.038 6.1.2.1).

    `fill_bits` zero bits (0 to 6) go first, so that text after a user data header begins on a
    septet boundary (TS 23.040 9.2.3.24).
    """
    bits = 0
    for place, septet in enumerate(septets):
        bits |= (septet & 0x7F) << (fill_bits + 7 * place)
    return bits.to_bytes((fill_bits + 7 * len(septets) + 7) // 8, "little")


def unpack(octets: bytes, count: int, *, fill_bits: int = 0) -> bytes:
    """Unpack `count` septets; fewer where the octets end early."""
    available = max((8 * len(octets) - fill_bits) // 7, 0)
    bits = int.from_bytes(octets, "little") >> fill_bits
    return bytes((bits >> (7 * place)) & 0x7F for place in range(min(count, available)))
