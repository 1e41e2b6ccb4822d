"""Putting the parts of short messages together, within bounds; what does not fit is handed back.

Every part given comes out exactly once, in a Whole or a Partial, except repetitions of a part
already held, or of parts that came out in a Whole, which are counted and dropped. Whether a part
that was seen before repeats an old message or begins a new one under the same reference (senders
have only 256 of them, and some use but one) shows only by what follows it.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Generic, TypeVar

from discovery.spin.segments import Concatenation

OriginalT = TypeVar("OriginalT")
_FINISHED_REMEMBERED: Final = 4096


@dataclass(frozen=True, slots=True)
class ReceivedPart(Generic[OriginalT]):
    """One short message as it came: its ends (any text), text, and the driver's own object."""

    sender: str
    recipient: str
    text: str = field(repr=False)
    concatenation: Concatenation | None
    original: OriginalT = field(repr=False)


class Shortfall(StrEnum):
    """Why parts are handed back although their message is not whole."""

    TIMED_OUT = "timed_out"
    TOO_MANY_PARTS = "too_many_parts"
    TOO_LONG = "too_long"
    CONFLICTING = "conflicting"
    CROWDED_OUT = "crowded_out"


@dataclass(frozen=True, slots=True)
class Whole(Generic[OriginalT]):
    """A message with all its parts, in order."""

    sender: str
    recipient: str
    text: str = field(repr=False)
    parts: tuple[ReceivedPart[OriginalT], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Partial(Generic[OriginalT]):
    """Parts of a message that will not become whole, in order."""

    shortfall: Shortfall
    parts: tuple[ReceivedPart[OriginalT], ...] = field(repr=False)

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts)


@dataclass(frozen=True, slots=True)
class _Key:
    sender: str
    recipient: str
    reference: int
    wide: bool


@dataclass(slots=True)
class _Collection(Generic[OriginalT]):
    total: int
    deadline: float
    parts: dict[int, ReceivedPart[OriginalT]] = field(default_factory=dict)


class Reassembler(Generic[OriginalT]):
    """Collects parts by sender, recipient and reference.

    max_messages: incomplete messages held over all senders, the oldest leaving first;
    max_per_sender: the same for one sender, so that one cannot crowd out the others;
    max_parts: parts of a message that are waited for, max_text: characters of one, of which a short
    message has 160 at most, but a message_payload 65,535; timeout: seconds from the first part on.
    """

    def __init__(
        self,
        *,
        max_messages: int = 1000,
        max_per_sender: int = 8,
        max_parts: int = 16,
        max_text: int = 1000,
        timeout: float = 60.0,
    ) -> None:
        self._max_messages = max_messages
        self._max_per_sender = max_per_sender
        self._max_parts = max_parts
        self._max_text = max_text
        self._timeout = timeout
        self._collections: OrderedDict[_Key, _Collection[OriginalT]] = OrderedDict()
        self._by_sender: Counter[str] = Counter()
        self._finished: OrderedDict[tuple[_Key, int, str], float] = OrderedDict()
        self.repetitions = 0

    def __len__(self) -> int:
        return len(self._collections)

    def add(
        self, part: ReceivedPart[OriginalT], now: float
    ) -> list[Whole[OriginalT] | Partial[OriginalT]]:
        """Take one part; return the messages it completes and the parts it pushes out."""
        place = part.concatenation
        if place is None or place.total == 1:
            return [Whole(part.sender, part.recipient, part.text, (part,))]
        if place.total > self._max_parts:
            return [Partial(Shortfall.TOO_MANY_PARTS, (part,))]
        if len(part.text) > self._max_text:
            return [Partial(Shortfall.TOO_LONG, (part,))]
        key = _Key(part.sender, part.recipient, place.reference, place.wide)
        return self._collect(key, place, part, now)

    def next_deadline(self) -> float | None:
        """Return when the oldest incomplete message times out."""
        return next((held.deadline for held in self._collections.values()), None)

    def expire(self, now: float) -> list[Partial[OriginalT]]:
        """Hand back what has waited for its missing parts too long."""
        out: list[Partial[OriginalT]] = []
        while self._collections:
            key = next(iter(self._collections))
            if self._collections[key].deadline > now:
                break
            out += self._give_up(key, Shortfall.TIMED_OUT, now)
        return out

    def _collect(
        self, key: _Key, place: Concatenation, part: ReceivedPart[OriginalT], now: float
    ) -> list[Whole[OriginalT] | Partial[OriginalT]]:
        out: list[Whole[OriginalT] | Partial[OriginalT]] = []
        held = self._collections.get(key)
        if held is None:
            out += self._make_room(part.sender, now)
            held = _Collection(place.total, now + self._timeout)
            self._collections[key] = held
            self._by_sender[part.sender] += 1
        earlier = held.parts.get(place.number)
        if earlier is not None and held.total == place.total and earlier.text == part.text:
            self.repetitions += 1
            return out
        if earlier is not None or held.total != place.total:
            # The first stands: a later part must not be able to change what is being collected.
            return [*out, Partial(Shortfall.CONFLICTING, (part,))]
        held.parts[place.number] = part
        if len(held.parts) == held.total:
            out.append(self._finish(key, now))
        return out

    def _finish(self, key: _Key, now: float) -> Whole[OriginalT]:
        parts = self._remove(key)
        for part in parts:
            if part.concatenation is not None:
                # A repetition may arrive a time-out later and be given up another one later.
                seen = key, part.concatenation.number, part.text
                self._finished[seen] = now + 2 * self._timeout
                self._finished.move_to_end(seen)
        while len(self._finished) > _FINISHED_REMEMBERED:
            self._finished.popitem(last=False)
        return Whole(key.sender, key.recipient, "".join(part.text for part in parts), parts)

    def _make_room(self, sender: str, now: float) -> list[Partial[OriginalT]]:
        out: list[Partial[OriginalT]] = []
        if self._by_sender[sender] >= self._max_per_sender:
            oldest = next(key for key in self._collections if key.sender == sender)
            out += self._give_up(oldest, Shortfall.CROWDED_OUT, now)
        if len(self._collections) >= self._max_messages:
            out += self._give_up(next(iter(self._collections)), Shortfall.CROWDED_OUT, now)
        return out

    def _give_up(self, key: _Key, shortfall: Shortfall, now: float) -> list[Partial[OriginalT]]:
        parts = self._remove(key)
        if all(self._repeats(key, part, now) for part in parts):
            self.repetitions += len(parts)
            return []
        return [Partial(shortfall, parts)]

    def _repeats(self, key: _Key, part: ReceivedPart[OriginalT], now: float) -> bool:
        """Tell whether this part came out in a Whole not long ago."""
        place = part.concatenation
        return place is not None and (
            self._finished.get((key, place.number, part.text), float("-inf")) >= now
        )

    def _remove(self, key: _Key) -> tuple[ReceivedPart[OriginalT], ...]:
        held = self._collections.pop(key)
        self._by_sender[key.sender] -= 1
        if not self._by_sender[key.sender]:
            del self._by_sender[key.sender]
        return tuple(held.parts[number] for number in sorted(held.parts))
