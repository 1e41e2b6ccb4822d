"""The deadlines of many transactions: a heap with lazy deletion."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from math import inf
from typing import Final

from sip.transaction.machine import Transaction

_Entry = tuple[float, int, Transaction]

_SMALL: Final = 256
"""Below this many entries stale ones are not worth sweeping."""


class Deadlines:
    """Knows which transaction has to be looked at next.

    A transaction has at most one valid entry: the one that carries its `scheduled_at`. Moving a
    deadline later costs nothing (the entry is put right when it surfaces), moving it earlier
    pushes a second entry and leaves the first as stale. Stale entries are swept when they are
    the majority, so the heap stays within twice the number of transactions plus a constant.
    """

    __slots__ = ("_count", "_heap", "_stale")

    def __init__(self) -> None:
        self._heap: list[_Entry] = []
        self._count = 0
        self._stale = 0

    def __len__(self) -> int:
        """Return the number of entries kept, stale ones included."""
        return len(self._heap)

    def schedule(self, transaction: Transaction) -> None:
        """Take note of the deadline of a transaction that has just changed."""
        deadline = transaction.deadline
        scheduled_at = transaction.scheduled_at
        if deadline < scheduled_at:
            if scheduled_at != inf:
                self._add_stale()
            self._push(deadline, transaction)

    def forget(self, transaction: Transaction) -> None:
        """Drop a transaction that has ended."""
        if transaction.scheduled_at != inf:
            transaction.scheduled_at = inf
            self._add_stale()

    def next(self) -> float | None:
        """Return the earliest deadline, None where there is none."""
        heap = self._heap
        while heap:
            when, _, transaction = heap[0]
            if when == transaction.scheduled_at == transaction.deadline:
                return when
            self._surface()
        return None

    def due(self, now: float) -> Iterator[Transaction]:
        """Yield each transaction whose deadline has come; each is unscheduled when yielded."""
        while self._heap and self._heap[0][0] <= now:
            transaction = self._surface(now)
            if transaction is not None:
                yield transaction

    def _surface(self, now: float = -inf) -> Transaction | None:
        """Take the first entry off; return its transaction if due, else put the entry right."""
        when, _, transaction = heappop(self._heap)
        if when != transaction.scheduled_at:
            self._stale -= 1
            return None
        transaction.scheduled_at = inf
        deadline = transaction.deadline
        if deadline <= now:
            return transaction
        if deadline != inf:
            self._push(deadline, transaction)
        return None

    def _push(self, deadline: float, transaction: Transaction) -> None:
        transaction.scheduled_at = deadline
        self._count += 1
        heappush(self._heap, (deadline, self._count, transaction))

    def _add_stale(self) -> None:
        self._stale += 1
        if self._stale > _SMALL and 2 * self._stale > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[0] == entry[2].scheduled_at]
            heapify(self._heap)
            self._stale = 0
