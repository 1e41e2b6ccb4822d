"""The checklist of one component (RFC 8445 section 6.1): pairs of our one base with remotes.

An agent of ours has one socket, so a pair is known by its remote address and pair priority
(section 6.1.2.3) orders pairs just as the remote candidate's priority does.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from media.candidate import Candidate
from media.ice_values import Address, IceSettings

PairState = Literal["frozen", "waiting", "in-progress", "succeeded", "failed"]


@dataclass(slots=True)
class CandidatePair:
    """One pair; the priority is that of the peer's candidate."""

    remote: Address
    remote_priority: int
    foundation: str
    state: PairState = "frozen"
    nominated: bool = False
    """Controlling: a nominating check is under way. Controlled: the peer nominated it."""


class Checklist:
    """Bounded set of pairs with their order of checking; holds no time."""

    def __init__(self, base: Address, component: int, settings: IceSettings) -> None:
        self._base = (str(ipaddress.ip_address(base[0])), base[1])
        self._version = ipaddress.ip_address(base[0]).version
        self._component = component
        self._settings = settings
        self.pairs: dict[Address, CandidatePair] = {}
        self.triggered: list[CandidatePair] = []

    def add(self, candidates: Iterable[Candidate]) -> None:
        """Form pairs with the peer's candidates, within the bounds.

        Left out: names and mDNS, TCP, other components, the other address family, port 0, and
        our own address (a reflection of ourselves).
        """
        limit = self._settings.max_remote_candidates
        for candidate in candidates:
            if (
                candidate.component != self._component
                or candidate.transport.upper() != "UDP"
                or not candidate.numeric
                or candidate.port == 0
            ):
                continue
            address = (str(ipaddress.ip_address(candidate.address)), candidate.port)
            if address not in self.pairs and len(self.pairs) >= limit:
                break
            self._add(address, candidate.priority, candidate.foundation)

    def learn(self, address: Address, priority: int) -> CandidatePair | None:
        """The pair of a request's source, made as peer-reflexive if new (RFC 8445 7.3.1.3).

        None where a bound or the address family forbids it.
        """
        known = self.pairs.get(address)
        if known is None:
            known = self._add(address, priority, f"prflx:{address[0]}")
        return known

    def unfreeze(self) -> None:
        """Let one pair of each foundation wait if none of it is being checked (6.1.2.6)."""
        busy = {
            pair.foundation
            for pair in self.pairs.values()
            if pair.state in ("waiting", "in-progress")
        }
        for pair in sorted(self.pairs.values(), key=lambda pair: -pair.remote_priority):
            if pair.state == "frozen" and pair.foundation not in busy:
                pair.state = "waiting"
                busy.add(pair.foundation)

    def trigger(self, pair: CandidatePair) -> None:
        """Queue a check of the pair ahead of the ordinary ones (RFC 8445 section 7.3.1.4)."""
        if pair not in self.triggered:
            pair.state = "waiting"
            self.triggered.append(pair)

    def next_to_check(self) -> CandidatePair | None:
        """Take the pair to check next: triggered first, then by priority (6.1.4.2)."""
        if self.triggered:
            return self.triggered.pop(0)
        self.unfreeze()
        waiting = [pair for pair in self.pairs.values() if pair.state == "waiting"]
        return max(waiting, key=lambda pair: pair.remote_priority, default=None)

    @property
    def has_work(self) -> bool:
        """Whether next_to_check() would give a pair."""
        return bool(self.triggered) or any(
            pair.state in ("waiting", "frozen") for pair in self.pairs.values()
        )

    @property
    def unfinished(self) -> int:
        """Pairs waiting or in progress, which set the RTO (RFC 8445 section 14.3)."""
        return sum(pair.state in ("waiting", "in-progress") for pair in self.pairs.values())

    def best_valid(self) -> CandidatePair | None:
        """The succeeded pair of highest priority."""
        valid = [pair for pair in self.pairs.values() if pair.state == "succeeded"]
        return max(valid, key=lambda pair: pair.remote_priority, default=None)

    def better_may_come(self, pair: CandidatePair) -> bool:
        """Whether a pair of higher priority is still to be checked or being checked."""
        return any(
            other.remote_priority > pair.remote_priority
            and other.state not in ("succeeded", "failed")
            for other in self.pairs.values()
        )

    def keep_only(self, pair: CandidatePair) -> None:
        """Forget the other pairs once one is selected (RFC 8445 section 8.1.2)."""
        self.pairs = {pair.remote: pair}
        self.triggered = []

    def _add(self, address: Address, priority: int, foundation: str) -> CandidatePair | None:
        if (
            ipaddress.ip_address(address[0]).version != self._version
            or address == self._base
            or len(self.pairs) >= self._settings.max_pairs
        ):
            return None
        known = self.pairs.get(address)
        if known is None:
            known = self.pairs[address] = CandidatePair(address, priority, foundation)
        elif priority > known.remote_priority:
            known.remote_priority = priority
        return known
