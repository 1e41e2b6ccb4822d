"""Consent to send on the selected pair (RFC 7675): when to ask, and until when it holds."""

from __future__ import annotations

from random import Random

from media.ice_checklist import CandidatePair
from media.ice_values import IceCredentials, IceSettings


class Consent:
    """Consent of one peer on one pair; without a pair there is none.

    A full agent asks; a lite agent sends no checks, and takes the peer's own as sign of life.
    """

    def __init__(self, settings: IceSettings, rand: Random, *, lite: bool) -> None:
        self._settings = settings
        self._rand = rand
        self._lite = lite
        self.pair: CandidatePair | None = None
        self.remote: IceCredentials | None = None
        self.ask_at: float | None = None
        self.until: float | None = None

    def begin(self, pair: CandidatePair, remote: IceCredentials, now: float) -> None:
        """The pair was selected; the check that did it is the first consent."""
        self.pair = pair
        self.remote = remote
        self.renew(now)
        self.ask_at = None if self._lite else now + self._interval()

    def renew(self, now: float) -> None:
        """The peer answered (lite: asked): consent holds for another consent_timeout."""
        self.until = now + self._settings.consent_timeout

    def asked(self, now: float) -> None:
        """A consent check goes out now; the next is due 4 to 6 seconds later."""
        self.ask_at = now + self._interval()

    def end(self) -> None:
        """Nothing may be sent on the pair any more."""
        self.pair = self.remote = None
        self.ask_at = self.until = None

    def expired(self, now: float) -> bool:
        """Whether consent was there and ran out."""
        return self.until is not None and now >= self.until

    def _interval(self) -> float:
        return self._settings.consent_interval * self._rand.uniform(0.8, 1.2)
