"""Invitations sent and waiting for their answer: identified by URL, guarded by a one-time token.

open -> (signed, sent) -> authorise -> begin -> settle | release
                                             -> postpone -> authorise -> begin ...
                       -> expire
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Final

from discovery.model import Service
from discovery.spin.compact import base64url, token_digest
from discovery.spin.reason import Refusal, Refused

_SECRET_OCTETS: Final = 16
_JTI_OCTETS: Final = 12
# How long an id is remembered beyond its time, so that a late answer hears "expired".
_AFTERLIFE: Final = 120.0
# Beyond the longest wait for a call, in seconds.
_LONG: Final = 600.0
# Answers one invitation is good for: a stranger who saw the token cannot make us fetch for ever.
MAX_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Waiting:
    """One invitation that was sent; `token` authorises one answer, times in epoch seconds.

    described: it said more than who asks, so that its answer is for nobody else.
    """

    invitation_id: str
    token: str = field(repr=False)
    jti: str
    number: str
    caller: str
    services: tuple[Service, ...]
    issued_at: float
    expires_at: float
    described: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """How one invitation stands, for whoever keeps it beyond this process.

    digest: of the invitation as it was sent; settled_by, postponed_by: of the answers taken.
    """

    waiting: Waiting
    digest: str = field(repr=False)
    settled_by: str | None = None
    postponed_by: str | None = None


@dataclass(slots=True)
class _Entry:
    waiting: Waiting
    digest: str | None = None
    attempts: int = 0
    checking: str | None = None
    settled_by: str | None = None
    postponed_by: str | None = None


class PendingInvitations:
    """All invitations that wait for an answer.

    max_pending bounds them: full, no further one is opened. random returns that many octets of
    chance and must be unpredictable.
    """

    def __init__(self, random: Callable[[int], bytes], *, max_pending: int = 10_000) -> None:
        self._random = random
        self._max_pending = max_pending
        self._entries: dict[str, _Entry] = {}
        self._ends: list[tuple[float, str]] = []
        self._long = 0

    def __len__(self) -> int:
        return len(self._entries)

    def open(
        self,
        number: str,
        caller: str,
        services: tuple[Service, ...],
        *,
        lifetime: float,
        now: float,
        described: bool = False,
    ) -> Waiting:
        """Make a new one with fresh id, token and jti. Raises Refused(OVERLOADED)."""
        self._forget_old(now)
        if len(self._entries) >= self._max_pending:
            raise Refused(Refusal.OVERLOADED, f"{self._max_pending} invitations are waiting")
        if lifetime > _LONG and self._long >= self._max_pending // 2:
            # Messages wait for days: they must leave room for calls, which wait for seconds.
            raise Refused(Refusal.OVERLOADED, f"{self._long} invitations wait for long")
        waiting = Waiting(
            invitation_id=base64url(self._random(_SECRET_OCTETS)),
            token=base64url(self._random(_SECRET_OCTETS)),
            jti=base64url(self._random(_JTI_OCTETS)),
            number=number,
            caller=caller,
            services=services,
            issued_at=now,
            expires_at=now + lifetime,
            described=described,
        )
        self._entries[waiting.invitation_id] = _Entry(waiting)
        self._long += _is_long(waiting)
        heappush(self._ends, (waiting.expires_at, waiting.invitation_id))
        return waiting

    def bind(self, invitation_id: str, token: str) -> None:
        """Say which signed invitation was sent; only an answer to exactly it will be taken."""
        self._entries[invitation_id].digest = token_digest(token)

    def lasting(self, invitation_id: str) -> Standing | None:
        """Return how one stands that outlives the question it came from; None for any other.

        Those for calls do not: whoever called waits no longer than this process lives.
        """
        entry = self._entries.get(invitation_id)
        if entry is None or entry.digest is None or not _is_long(entry.waiting):
            return None
        return Standing(entry.waiting, entry.digest, entry.settled_by, entry.postponed_by)

    def restore(self, standing: Standing, now: float) -> bool:
        """Take up one that an earlier process sent; False where it is past or there is no room."""
        waiting = standing.waiting
        if waiting.expires_at <= now or not _is_long(waiting):
            return False
        if self._long >= self._max_pending // 2 or waiting.invitation_id in self._entries:
            return False
        self._entries[waiting.invitation_id] = _Entry(
            waiting,
            standing.digest,
            settled_by=standing.settled_by,
            postponed_by=standing.postponed_by,
        )
        self._long += 1
        heappush(self._ends, (waiting.expires_at, waiting.invitation_id))
        return True

    def abandon(self, invitation_id: str) -> None:
        """Forget one that was never sent."""
        if self._remove(invitation_id):
            self._ends = [held for held in self._ends if held[1] != invitation_id]
            heapify(self._ends)

    def authorise(self, invitation_id: str, bearer: str, now: float) -> Waiting:
        """Return the invitation that `bearer` may answer.

        Raises Refused: BAD_TOKEN for an unknown id just as for a wrong token, EXPIRED.
        """
        entry = self._entries.get(invitation_id)
        expected = entry.waiting.token if entry else "-" * 22
        matches = hmac.compare_digest(expected.encode(), bearer.encode("utf-8", "replace"))
        if entry is None or not matches or entry.digest is None:
            raise Refused(Refusal.BAD_TOKEN)
        if now >= entry.waiting.expires_at:
            raise Refused(Refusal.EXPIRED, "invitation")
        return entry.waiting

    def begin(self, invitation_id: str, body_digest: str) -> str | None:
        """Start to check an answer; return the digest of the invitation it has to name.

        None where this very body was accepted before: say so again. Raises Refused with REPLAYED
        (another body was accepted, the token is used up) or RATE_LIMITED (another is being
        checked, or too many were).
        """
        entry = self._entries[invitation_id]
        if entry.settled_by is not None:
            if entry.settled_by == body_digest:
                return None
            raise Refused(Refusal.REPLAYED, "token is used up")
        if entry.postponed_by == body_digest:
            return None
        if entry.checking is not None:
            raise Refused(Refusal.RATE_LIMITED, "another answer is being checked")
        if entry.attempts >= MAX_ATTEMPTS:
            raise Refused(Refusal.RATE_LIMITED, f"{MAX_ATTEMPTS} answers were refused")
        entry.attempts += 1
        entry.checking = body_digest
        return entry.digest or ""

    def settle(self, invitation_id: str, body_digest: str) -> bool:
        """Accept the answer that was checked; False if it expired meanwhile."""
        entry = self._entries.get(invitation_id)
        if entry is None or entry.checking != body_digest:
            return False
        entry.checking = None
        entry.settled_by = body_digest
        return True

    def postpone(self, invitation_id: str, body_digest: str) -> bool:
        """Take an answer that says "later", once: the token stays good for one that says more.

        False if it expired meanwhile. Raises Refused(REPLAYED) for the second of its kind.
        """
        entry = self._entries.get(invitation_id)
        if entry is None or entry.checking != body_digest:
            return False
        if entry.postponed_by is not None:
            raise Refused(Refusal.REPLAYED, "already put off")
        entry.checking = None
        entry.postponed_by = body_digest
        return True

    def release(self, invitation_id: str) -> None:
        """End the check of an answer that was refused; another may come."""
        entry = self._entries.get(invitation_id)
        if entry is not None:
            entry.checking = None

    def next_deadline(self) -> float | None:
        """Return when the next unanswered invitation expires."""
        deadlines = [
            entry.waiting.expires_at for entry in self._entries.values() if not entry.settled_by
        ]
        return min(deadlines, default=None)

    def _forget_old(self, now: float) -> None:
        # By their own end: those for im live for days, those for calls for minutes.
        while self._ends and self._ends[0][0] + _AFTERLIFE <= now:
            _, invitation_id = heappop(self._ends)
            self._remove(invitation_id)

    def _remove(self, invitation_id: str) -> bool:
        entry = self._entries.pop(invitation_id, None)
        if entry is None:
            return False
        self._long -= _is_long(entry.waiting)
        return True


def _is_long(waiting: Waiting) -> bool:
    return waiting.expires_at - waiting.issued_at > _LONG
