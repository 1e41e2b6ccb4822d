"""The telephones of people without an agent: what a person would read on the screen."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from discovery.spin import gsm7
from discovery.spin.reassembly import Partial, Reassembler, ReceivedPart, Whole
from discovery.spin.segments import Concatenation, MalformedUserData, split_header

MESSAGES_KEPT = 200
HANDSETS_KEPT = 10_000
USER_DATA_HEADER = 0x40
UCS2 = 0x08


@dataclass(frozen=True, slots=True)
class ShortMessage:
    """A submit_sm or deliver_sm as far as the demo carries it; numbers are digits without "+"."""

    source: str
    destination: str
    user_data: bytes = field(repr=False)
    esm_class: int = 0
    data_coding: int = 0
    submitter: str = ""
    message_id: str = ""
    wants_receipt: bool = False


@dataclass(frozen=True, slots=True)
class ReadMessage:
    """A message on a screen: `complete` is False where parts never came; `at` epoch seconds."""

    source: str
    text: str
    parts: int
    complete: bool
    at: float


class Handsets:
    """Inboxes by number. Parts that stay alone are shown as they are after a minute.

    `on_message` is called with the number and each message as it is shown.
    """

    def __init__(self) -> None:
        self.on_message: Callable[[str, ReadMessage], None] = lambda *_: None
        self._inboxes: dict[str, deque[ReadMessage]] = {}
        self._parts: Reassembler[None] = Reassembler()

    def take(self, message: ShortMessage, now: float) -> None:
        """A message arrives at a telephone."""
        concatenation, text = read(message)
        part = ReceivedPart(message.source, message.destination, text, concatenation, None)
        for shown in self._parts.add(part, now):
            self._show(shown, now)

    def inbox(self, number: str, now: float) -> tuple[ReadMessage, ...]:
        """What the person with this number can read by now, oldest first."""
        for shown in self._parts.expire(now):
            self._show(shown, now)
        return tuple(self._inboxes.get(digits(number), ()))

    def _show(self, shown: Whole[None] | Partial[None], now: float) -> None:
        first = shown.parts[0]
        if first.recipient not in self._inboxes:
            while len(self._inboxes) >= HANDSETS_KEPT:
                del self._inboxes[next(iter(self._inboxes))]
            self._inboxes[first.recipient] = deque(maxlen=MESSAGES_KEPT)
        message = ReadMessage(
            first.sender, shown.text, len(shown.parts), isinstance(shown, Whole), now
        )
        self._inboxes[first.recipient].append(message)
        self.on_message(first.recipient, message)


def read(message: ShortMessage) -> tuple[Concatenation | None, str]:
    """Take the user data header off and decode the text as a telephone would; never fails."""
    body, concatenation = message.user_data, None
    if message.esm_class & USER_DATA_HEADER:
        try:
            concatenation, body = split_header(message.user_data)
        except MalformedUserData:
            concatenation = None
    if message.data_coding & 0x0C == UCS2:
        return concatenation, body.decode("utf-16-be", errors="replace")
    return concatenation, gsm7.decode(body)


def digits(number: str) -> str:
    """A telephone number as SMPP carries it: without the leading "+"."""
    return number.removeprefix("+")
