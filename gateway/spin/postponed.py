"""Invitations that were answered with `later`: kept until their user has chosen, or they expire."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final

from discovery.model import Service
from discovery.spin.agent import Accepted

_PER_NUMBER: Final = 16


class Postponed:
    """Invitations to answer once more, by number; for `im` only, where nobody waits at a phone.

    max_numbers: numbers that have some, the one quiet longest leaving first; of each the latest 16.
    """

    def __init__(self, *, max_numbers: int = 1000) -> None:
        self._max_numbers = max_numbers
        self._held: OrderedDict[str, deque[Accepted]] = OrderedDict()

    def __len__(self) -> int:
        return sum(len(held) for held in self._held.values())

    def add(self, accepted: Accepted, now: float) -> None:
        """Keep an invitation, if it is one that can wait."""
        invitation = accepted.candidate.invitation
        if invitation.services != (Service.IM,) or now >= invitation.expires_at:
            return
        self._held.setdefault(invitation.dest, deque(maxlen=_PER_NUMBER)).append(accepted)
        self._held.move_to_end(invitation.dest)
        while len(self._held) > self._max_numbers:
            self._held.popitem(last=False)

    def take(self, number: str, now: float) -> list[Accepted]:
        """Hand over and forget what waits for a number and has not expired (epoch seconds)."""
        held = self._held.pop(number, ())
        return [each for each in held if each.candidate.invitation.expires_at > now]
