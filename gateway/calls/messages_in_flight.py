"""How many messages are under way, for each account of callers and peers."""

from __future__ import annotations

from collections import Counter

from gateway.refusal import CallRefused


class MessagesInFlight:
    """How many messages of each account wait for their answer; it forgets who has none."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def enter(self, account: str, limit: int, status: int) -> None:
        """Count one more; raises CallRefused with `status` beyond the limit."""
        if self._counts[account] >= limit:
            raise CallRefused(status, "Too many messages at once")
        self._counts[account] += 1

    def leave(self, account: str) -> None:
        """Count one less."""
        self._counts[account] -= 1
        if self._counts[account] <= 0:
            del self._counts[account]

    def __len__(self) -> int:
        return len(self._counts)
