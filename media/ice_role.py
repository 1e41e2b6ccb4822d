"""Who controls, and what if both agents think they do (RFC 8445 sections 6.1.1 and 7.3.1.1)."""

from __future__ import annotations

from random import Random
from typing import Literal

from media.stun import StunMessage


class Role:
    """The role of one agent with its tie-breaker; `fixed` where one side is lite."""

    def __init__(self, *, controlling: bool, fixed: bool, rand: Random) -> None:
        self.controlling = controlling
        self.fixed = fixed
        self._rand = rand
        self.tie_breaker = rand.getrandbits(64)

    def judge(self, request: StunMessage) -> Literal["agreed", "switch", "refuse"]:
        """What a request's role means to us: nothing, we switch, or the peer must (487).

        Raises MalformedStun like the message.
        """
        theirs = request.ice_controlling if self.controlling else request.ice_controlled
        if theirs is None:
            return "agreed"
        if self.fixed or self.controlling == (self.tie_breaker >= theirs):
            return "refuse"
        return "switch"

    def switch(self) -> None:
        """Take the other role."""
        self.controlling = not self.controlling

    def renew(self) -> None:
        """Take another tie-breaker after a 487 (RFC 8445 section 7.2.5.1)."""
        self.tie_breaker = self._rand.getrandbits(64)
