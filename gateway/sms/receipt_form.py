"""Delivery receipts of an HTTP provider: where its document names a message, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.sms.receipt import Receipt

_LONGEST: Final = 128


@dataclass(frozen=True, slots=True)
class ReceiptForm:
    """Paths such as `message.id` of the message's name and its status, and the status' words.

    A word of neither list is taken for one that is not final.
    """

    message_id: str = "id"
    status: str = "status"
    delivered: frozenset[str] = frozenset({"delivered"})
    failed: frozenset[str] = frozenset({"failed", "undelivered", "expired", "rejected"})

    def read(self, document: Mapping[str, object]) -> Receipt:
        """Read a receipt; raises ValueError saying what is missing."""
        message_id = text_at(document, self.message_id)
        status = text_at(document, self.status).lower()
        if status in self.delivered:
            return Receipt(message_id, True)
        return Receipt(message_id, False if status in self.failed else None)


def text_at(document: Mapping[str, object], path: str) -> str:
    """Return the text, or whole number, at a path of a JSON object; raises ValueError."""
    found: object = document
    for step in path.split("."):
        if isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        else:
            found = found.get(step) if isinstance(found, dict) else None
    if isinstance(found, int) and not isinstance(found, bool):
        found = str(found)
    if not isinstance(found, str) or not 0 < len(found) <= _LONGEST:
        raise ValueError(f"{path} is not text of 1 to {_LONGEST} characters")
    return found
