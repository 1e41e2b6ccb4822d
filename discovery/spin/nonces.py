"""Nonces handed out and redeemed once, each by whoever got it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from discovery.spin.compact import base64url

_OCTETS: Final = 16


class Nonces:
    """Nonces under way.

    random: unpredictable octets; lifetime: seconds; max_nonces: held, the oldest leaving first;
    max_per_owner: the same for one owner, so that nobody can push out another's.
    """

    def __init__(
        self,
        random: Callable[[int], bytes],
        *,
        lifetime: float = 300.0,
        max_nonces: int = 10_000,
        max_per_owner: int = 8,
    ) -> None:
        self._random = random
        self.lifetime = lifetime
        self._max_nonces = max_nonces
        self._max_per_owner = max_per_owner
        self._held: dict[str, OrderedDict[str, float]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def issue(self, owner: str, now: float) -> str:
        """Return a fresh nonce for an owner; now is in epoch seconds."""
        nonce = base64url(self._random(_OCTETS))
        self.restore(nonce, owner, now + self.lifetime)
        return nonce

    def restore(self, nonce: str, owner: str, until: float) -> None:
        """Take up a nonce that an earlier process issued."""
        while self._count >= self._max_nonces:
            self._drop_oldest(next(iter(self._held)))
        held = self._held.setdefault(owner, OrderedDict())
        while len(held) >= self._max_per_owner:
            held.popitem(last=False)
            self._count -= 1
        held[nonce] = until
        self._count += 1

    def redeem(self, nonce: str, owner: str, now: float) -> bool:
        """Use a nonce; tell whether the owner got it, had not used it yet, and is in time."""
        held = self._held.get(owner)
        until = held.pop(nonce, None) if held is not None else None
        if until is None:
            return False
        self._count -= 1
        if held is not None and not held:
            del self._held[owner]
        return until > now

    def _drop_oldest(self, owner: str) -> None:
        held = self._held[owner]
        held.popitem(last=False)
        self._count -= 1
        if not held:
            del self._held[owner]
