"""The checkpoints of one log that a relying party was shown, to hold them against each other."""

from __future__ import annotations

from collections import OrderedDict

from discovery.log.checkpoint import SignedCheckpoint
from discovery.log.reason import LogRefusal, LogRefused


class SplitView(LogRefused):
    """A log has signed two trees that exclude each other; both notes are the evidence."""

    def __init__(self, one: SignedCheckpoint, other: SignedCheckpoint, detail: str) -> None:
        super().__init__(LogRefusal.SPLIT_VIEW, detail)
        self.one = one
        self.other = other


class SeenCheckpoints:
    """Remembers one checkpoint for each size; two roots for one size are a split view.

    That trees of different sizes continue each other takes a consistency proof: `unproven` are
    waiting for it, `proven` says it was given. max_entries: how many are remembered, the oldest
    leaving first.
    """

    def __init__(self, *, max_entries: int = 1_024) -> None:
        self._max_entries = max_entries
        self._by_size: OrderedDict[int, SignedCheckpoint] = OrderedDict()
        self._unproven: OrderedDict[int, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_size)

    def add(self, signed: SignedCheckpoint) -> None:
        """Remember a verified checkpoint. Raises SplitView where another root was seen."""
        size = signed.checkpoint.size
        known = self._by_size.get(size)
        if known is not None:
            if known.checkpoint.root != signed.checkpoint.root:
                raise SplitView(known, signed, f"two roots for a tree of {size} leaves")
            return
        self._by_size[size] = signed
        self._unproven[size] = None
        while len(self._by_size) > self._max_entries:
            oldest, _ = self._by_size.popitem(last=False)
            self._unproven.pop(oldest, None)

    def unproven(self) -> list[SignedCheckpoint]:
        """Return those whose consistency with the others is still to be proven."""
        return [self._by_size[size] for size in self._unproven]

    def latest_proven(self) -> SignedCheckpoint | None:
        """Return the largest that is not waiting for a proof; None where all are, or none is."""
        sizes = [size for size in self._by_size if size not in self._unproven]
        return self._by_size[max(sizes)] if sizes else None

    def proven(self, signed: SignedCheckpoint) -> None:
        """Take note that a checkpoint is consistent with the log as it is followed."""
        self._unproven.pop(signed.checkpoint.size, None)
