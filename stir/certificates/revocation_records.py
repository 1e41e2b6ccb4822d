"""The table of revocation sources: what came from each, and when it is to be asked again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from stir.certificates.crl import RevocationList
from stir.certificates.revocation_sources import Found, ListSource, Source
from stir.reason import printable

# A source that no call needed for so many seconds is not fetched again until one does.
IDLE: Final = 86_400.0
RETRY: Final = 60.0
_MAX_RETRY: Final = 900.0


@dataclass(slots=True)
class Record:
    """What is known from one source: the newest that counted, and how the last attempt went.

    `failures`: attempts since it last gave something that counts. `due`: when to fetch next,
    `asked`: when a call last needed it (epoch seconds).
    """

    found: Found | None = None
    failure: str | None = None
    failures: int = 0
    due: float = -inf
    asked: float = -inf

    @property
    def tried(self) -> bool:
        """Whether an attempt has ended."""
        return self.found is not None or self.failure is not None


class SourceTable:
    """Records by source, bounded: those that no call needed for longest go first.

    `generation` changes with everything that could change an answer.
    """

    def __init__(
        self,
        configured: Sequence[ListSource],
        *,
        refresh: float,
        max_lists: int,
        max_entries: int,
        max_answers: int,
        rand: Callable[[], float],
    ) -> None:
        """`configured` lists are always in use and never forgotten."""
        self._configured = {source: Record(asked=inf) for source in configured}
        self._lists: dict[Source, Record] = {}
        self._answers: dict[Source, Record] = {}
        self._refresh = refresh
        self._max_lists = max_lists
        self._max_entries = max_entries
        self._max_answers = max_answers
        self._rand = rand
        self.generation = 0

    def asked(self, source: Source, now: float) -> Record:
        """The record of a source that a call needs, made where there is none."""
        known = self._configured.get(source) if isinstance(source, ListSource) else None
        if known is not None:
            return known
        table, most = self._table(source)
        record = table.get(source)
        if record is None:
            if len(table) >= most:
                # a quarter at once, so that finding the oldest is paid for once in a while
                _forget(table, max(1, most // 4))
            record = table[source] = Record()
        record.asked = max(record.asked, now)
        return record

    def due(self, now: float) -> tuple[Source, ...]:
        """Sources in use whose time to be fetched has come."""
        return tuple(source for source, record in self.records() if _in_use(record, now) <= now)

    def next_due(self, now: float) -> float:
        """When the next source in use is due (epoch seconds), infinity where none is."""
        return min((_in_use(record, now) for _, record in self.records()), default=inf)

    def started(self, source: Source, now: float) -> None:
        """A fetch is under way: not due again for a minute."""
        self.asked(source, -inf).due = now + RETRY
        self.generation += 1

    def store(self, source: Source, found: Found, now: float) -> None:
        """Take what counts, unless it is older than what is known; fetch it again in time."""
        record = self.asked(source, -inf)
        if record.found is None or found.this_update >= record.found.this_update:
            record.found = found
        record.failure, record.failures = None, 0
        left = max(record.found.next_update - now, 0.0) * 0.75
        wait = max(min(self._refresh, left), min(self._refresh, RETRY))
        record.due = now + self._spread(wait)
        self.generation += 1
        self._limit_entries(source)

    def failed(self, source: Source, detail: str, now: float) -> None:
        """Note that an attempt brought nothing that counts; try later, and later each time."""
        record = self.asked(source, -inf)
        record.failure = printable(detail, 200)
        wait = min(RETRY * 2.0 ** min(record.failures, 8), _MAX_RETRY, self._refresh)
        record.failures += 1
        record.due = now + self._spread(wait)
        self.generation += 1

    def records(self) -> list[tuple[Source, Record]]:
        """Everything that is known, configured lists first."""
        return [*self._configured.items(), *self._lists.items(), *self._answers.items()]

    def _table(self, source: Source) -> tuple[dict[Source, Record], int]:
        if isinstance(source, ListSource):
            return self._lists, self._max_lists
        return self._answers, self._max_answers

    def _spread(self, seconds: float) -> float:
        return seconds * (0.8 + 0.2 * self._rand())

    def _limit_entries(self, newest: Source) -> None:
        sizes = {
            source: record.found.size
            for source, record in self._lists.items()
            if isinstance(record.found, RevocationList)
        }
        total = sum(sizes.values())
        for source in sorted(sizes, key=lambda s: (s == newest, self._lists[s].asked)):
            if total <= self._max_entries:
                return
            total -= sizes[source]
            del self._lists[source]


def _in_use(record: Record, now: float) -> float:
    return record.due if now < record.asked + IDLE else inf


def _forget(table: dict[Source, Record], count: int) -> None:
    for source in sorted(table, key=lambda source: table[source].asked)[:count]:
        del table[source]
