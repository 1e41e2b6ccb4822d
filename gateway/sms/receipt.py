"""Delivery receipts of an SMSC: of which message, and whether it arrived (SMPP 3.4 5.2.28, B)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from gateway.sms.message import IncomingSms

_TLV_RECEIPTED_MESSAGE_ID: Final = 0x001E
_TLV_MESSAGE_STATE: Final = 0x0427
_ESM_TYPE: Final = 0x3C
_ESM_RECEIPT: Final = 0x04
# message_state by number (SMPP 3.4 5.2.28) and as the text form abbreviates it (appendix B).
_STATES: Final[dict[int, bool | None]] = {
    1: None,
    2: True,
    3: False,
    4: False,
    5: False,
    6: True,
    7: None,
    8: False,
}
_WORDS: Final[dict[bytes, bool | None]] = {
    b"ENROUTE": None,
    b"DELIVRD": True,
    b"EXPIRED": False,
    b"DELETED": False,
    b"UNDELIV": False,
    b"ACCEPTD": True,
    b"UNKNOWN": None,
    b"REJECTD": False,
}
_TEXT: Final = re.compile(rb"id:(?P<id>[^ ]{1,64}) .{0,200}?stat:(?P<stat>[A-Z]{7})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a receipt says of a message; delivered is None while nothing final is known."""

    message_id: str
    delivered: bool | None


def read_receipt(sms: IncomingSms) -> Receipt | None:
    """Read a receipt by its parameters, else by its text; None for any other notice."""
    if sms.esm_class & _ESM_TYPE != _ESM_RECEIPT:
        return None
    parameters = dict(sms.parameters)
    text = _TEXT.search(sms.octets[:512])
    message_id = parameters.get(_TLV_RECEIPTED_MESSAGE_ID, b"").rstrip(b"\0")
    if not message_id and text is not None:
        message_id = text["id"]
    state = parameters.get(_TLV_MESSAGE_STATE, b"")
    delivered: bool | None = None
    if len(state) == 1:
        delivered = _STATES.get(state[0])
    elif text is not None:
        delivered = _WORDS.get(text["stat"])
    if not message_id or len(message_id) > 64:
        return None
    return Receipt(message_id.decode("latin-1"), delivered)
