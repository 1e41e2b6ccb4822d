"""Which carriage an invitation takes: what its network is known to take, and what was learnt.

The operator names carriages by prefix, best first; delivery receipts teach which of them do not
arrive. Text always remains: it is what everybody's phone can show.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_PREFIX_DIGITS: Final = 6


class Carriage(StrEnum):
    """The ways an invitation travels."""

    TEXT = "text"
    REFERENCE = "reference"
    BINARY = "binary"
    MMS = "mms"


@dataclass(frozen=True, slots=True)
class Network:
    """What numbers with a prefix (digits) take, best first."""

    prefix: str
    carriages: tuple[Carriage, ...]


@dataclass(frozen=True, slots=True)
class Learnt:
    """What was learnt of a carriage to a country and area (digits); no failures: it is good."""

    prefix: str
    carriage: Carriage
    failures: int = 0
    avoided_until: float = 0.0


@dataclass(slots=True)
class _Record:
    failures: int = 0
    avoided_until: float = 0.0
    last: str = ""


class Networks:
    """Chooses carriages by the longest prefix that is configured.

    failures: receipts in a row that say "not delivered", each of another number than the one
    before, until a carriage is avoided for `pause` seconds, by country and area: the four parts for
    one phone that is off say nothing of its network. max_records bounds what is remembered.
    """

    def __init__(
        self,
        networks: Sequence[Network] = (),
        *,
        failures: int = 3,
        pause: float = 3600.0,
        max_records: int = 10_000,
    ) -> None:
        self._networks = sorted(networks, key=lambda network: -len(network.prefix))
        self._failures = failures
        self._pause = pause
        self._max_records = max_records
        self._records: OrderedDict[tuple[str, Carriage], _Record] = OrderedDict()
        self._changed: dict[tuple[str, Carriage], None] = {}

    def __len__(self) -> int:
        return len(self._records)

    def carriages(self, number: str, now: float) -> tuple[Carriage, ...]:
        """Return the carriages to try for a number, in order; text is always among them."""
        named = next(
            (each.carriages for each in self._networks if number.startswith(each.prefix)), ()
        )
        wanted = tuple(dict.fromkeys((*named, Carriage.TEXT)))
        good = [each for each in wanted if not self._avoided(number, each, now)]
        return tuple(good) or (Carriage.TEXT,)

    def learn(self, number: str, carriage: Carriage, *, delivered: bool, now: float) -> None:
        """Take note of what a delivery receipt, or the network's refusal, says."""
        key = (number[:_PREFIX_DIGITS], carriage)
        if delivered:
            if self._records.pop(key, None) is not None:
                self._changed[key] = None
            return
        record = self._records.setdefault(key, _Record())
        self._records.move_to_end(key)
        if record.last == number:
            return
        self._changed[key] = None
        record.last = number
        record.failures += 1
        if record.failures >= self._failures:
            record.avoided_until = now + self._pause
        self._shrink()

    def take_changes(self) -> list[Learnt]:
        """Return what was learnt since the last time, for whoever keeps it."""
        changed, self._changed = self._changed, {}
        learnt: list[Learnt] = []
        for prefix, carriage in changed:
            record = self._records.get((prefix, carriage)) or _Record()
            learnt.append(Learnt(prefix, carriage, record.failures, record.avoided_until))
        return learnt

    def restore(self, learnt: Learnt) -> None:
        """Take up what an earlier process learnt."""
        key = (learnt.prefix, learnt.carriage)
        self._records[key] = _Record(learnt.failures, learnt.avoided_until)
        self._shrink()

    def _shrink(self) -> None:
        while len(self._records) > self._max_records:
            self._changed.pop(self._records.popitem(last=False)[0], None)

    def _avoided(self, number: str, carriage: Carriage, now: float) -> bool:
        record = self._records.get((number[:_PREFIX_DIGITS], carriage))
        # Further off than a pause it lies only where the clock was set back.
        return record is not None and now < record.avoided_until <= now + self._pause
