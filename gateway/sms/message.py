"""Short messages between SMPP's octets and SPIN's parts (SMPP 3.4 5.2, TS 23.038, TS 23.040)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from discovery.number import masked
from discovery.spin import gsm7
from discovery.spin.binary import MARKED, PORT
from discovery.spin.reassembly import ReceivedPart
from discovery.spin.segments import (
    BinaryPart,
    Concatenation,
    MalformedUserData,
    Part,
    application_port,
    split_header,
)

# esm_class, SMPP 3.4 5.2.12: bits 5-2 are the type of the message, bit 6 says that the user data
# begins with a header.
ESM_USER_DATA_HEADER: Final = 0x40
_ESM_TYPE: Final = 0x3C

# data_coding, SMPP 3.4 5.2.19. Zero is "the SMSC's default alphabet"; nearly every one takes and
# gives the GSM 7 bit alphabet there, one septet an octet, not packed, and so do we.
DATA_CODING_DEFAULT: Final = 0x00
DATA_CODING_BINARY: Final = 0x04
_ASCII: Final = 0x01
_LATIN_1: Final = 0x03
_UCS2: Final = 0x08

TON_UNKNOWN: Final = 0
TON_INTERNATIONAL: Final = 1
TON_ALPHANUMERIC: Final = 5
NPI_UNKNOWN: Final = 0
NPI_E164: Final = 1

_TLV_SAR_REFERENCE: Final = 0x020C
_TLV_SAR_TOTAL: Final = 0x020E
_TLV_SAR_NUMBER: Final = 0x020F
_TLV_MESSAGE_PAYLOAD: Final = 0x0424


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message to send, in parts; `source` and `destination` are digits (or a sender's name).

    `label`, if any, is what the sender wants to hear of its delivery by.
    """

    source: str
    destination: str
    parts: tuple[Part, ...] = field(repr=False)
    label: str = ""


@dataclass(frozen=True, slots=True)
class IncomingSms:
    """One deliver_sm as it came, untouched; `octets` hold the user data with its header."""

    source: str
    destination: str
    octets: bytes = field(repr=False)
    esm_class: int
    data_coding: int
    parameters: tuple[tuple[int, bytes], ...] = field(default=(), repr=False)

    @property
    def is_receipt(self) -> bool:
        """Tell whether this is a delivery receipt or another notice of the SMSC, no message."""
        return bool(self.esm_class & _ESM_TYPE)

    def __str__(self) -> str:
        return f"short message from {masked(self.source)} to {masked(self.destination)}"


def incoming_sms(
    *,
    source: str,
    destination: str,
    short_message: bytes,
    esm_class: int,
    data_coding: int,
    parameters: Sequence[tuple[int, bytes]],
) -> IncomingSms:
    """Make one from a PDU's fields; a message_payload parameter stands for an empty text."""
    octets = short_message
    for tag, value in parameters:
        if tag == _TLV_MESSAGE_PAYLOAD and not octets:
            octets = value
    return IncomingSms(
        source.removeprefix("+"),
        destination.removeprefix("+"),
        octets,
        esm_class,
        data_coding,
        tuple(parameters),
    )


def received_part(sms: IncomingSms) -> ReceivedPart[IncomingSms]:
    """Read a message's text and its place among others; what makes no sense has no place."""
    place: Concatenation | None = None
    text_octets = sms.octets
    if sms.esm_class & ESM_USER_DATA_HEADER:
        try:
            place, text_octets = split_header(sms.octets)
        except MalformedUserData:
            text_octets = sms.octets
    place = place or _sar_place(dict(sms.parameters))
    text = _decode(text_octets, sms.data_coding)
    if _for_spin(sms):
        # As text from here on: the same checks, the same way to an answer.
        text = text_octets.decode("ascii", "replace")
        text = MARKED + text if place is None or place.number == 1 else text
    return ReceivedPart(sms.source, sms.destination, text, place, sms)


def esm_class(part: Part) -> int:
    """Return the esm_class under which a part is submitted."""
    return ESM_USER_DATA_HEADER if part.has_header else 0


def data_coding(part: Part) -> int:
    """Return the data_coding under which a part is submitted."""
    return DATA_CODING_BINARY if isinstance(part, BinaryPart) else DATA_CODING_DEFAULT


def _for_spin(sms: IncomingSms) -> bool:
    if not sms.esm_class & ESM_USER_DATA_HEADER:
        return False
    try:
        return application_port(sms.octets) == PORT
    except MalformedUserData:
        return False


def address_type(address: str) -> tuple[int, int]:
    """Return type of number and numbering plan of an address (SMPP 3.4 5.2.5, 5.2.6)."""
    if address.isdecimal() and address.isascii():
        # Short codes are national or network-specific; the SMSC knows which.
        return (TON_INTERNATIONAL, NPI_E164) if len(address) > 6 else (TON_UNKNOWN, NPI_UNKNOWN)
    return TON_ALPHANUMERIC, NPI_UNKNOWN


def _sar_place(parameters: dict[int, bytes]) -> Concatenation | None:
    """Read concatenation told by parameters instead of a header (SMPP 3.4 5.3.2.22 to 24)."""
    reference = parameters.get(_TLV_SAR_REFERENCE, b"")
    total = parameters.get(_TLV_SAR_TOTAL, b"")
    number = parameters.get(_TLV_SAR_NUMBER, b"")
    if (len(reference), len(total), len(number)) != (2, 1, 1) or not 0 < number[0] <= total[0]:
        return None
    return Concatenation(int.from_bytes(reference, "big"), total[0], number[0], wide=True)


def _decode(octets: bytes, data_coding: int) -> str:
    """Return text for SPIN to look at; a coding that cannot carry SPIN gives what it gives."""
    if data_coding == DATA_CODING_DEFAULT:
        return gsm7.decode(octets)
    if data_coding == _ASCII:
        return octets.decode("ascii", "replace")
    if data_coding == _LATIN_1:
        return octets.decode("latin-1")
    if data_coding == _UCS2:
        return octets.decode("utf-16-be", "replace")
    return ""
