"""Our own Binding requests under way: connectivity, nominating and consent checks.

RFC 8445 section 7.2, RFC 7675 section 5.1 for consent, retransmission after RFC 8489 6.2.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

from media.candidate import candidate_priority
from media.ice_checklist import CandidatePair
from media.ice_values import IceCredentials, IceSettings
from media.stun import TRANSACTION_ID_LENGTH, AttributeType, binding_request

# Consent checks are not retransmitted; this many may be unanswered at once.
_MAX_CONSENT_CHECKS: Final = 8


@dataclass(slots=True)
class Check:
    """One request, sent at least once; `next_at` is when to send it again or give up."""

    transaction_id: bytes
    data: bytes
    pair: CandidatePair
    remote: IceCredentials
    controlling: bool
    nominating: bool
    consent: bool
    rto: float
    next_at: float
    sends: int = 1


class Checks:
    """The checks under way of one agent, by transaction id; bounded by the pairs."""

    def __init__(self, component: int, settings: IceSettings, rand: Random) -> None:
        self._priority = candidate_priority("prflx", component)
        self._settings = settings
        self._rand = rand
        self._by_id: dict[bytes, Check] = {}

    def open(
        self,
        pair: CandidatePair,
        *,
        local: IceCredentials,
        remote: IceCredentials,
        role: tuple[bool, int],
        nominating: bool,
        consent: bool,
        rto: float,
        now: float,
    ) -> Check:
        """Make and remember a request; `role` is (controlling, tie-breaker)."""
        controlling, tie_breaker = role
        kind = AttributeType.ICE_CONTROLLING if controlling else AttributeType.ICE_CONTROLLED
        attributes = [
            (int(AttributeType.USERNAME), f"{remote.ufrag}:{local.ufrag}".encode()),
            (int(AttributeType.PRIORITY), self._priority.to_bytes(4, "big")),
            (int(kind), tie_breaker.to_bytes(8, "big")),
        ]
        if nominating:
            attributes.append((int(AttributeType.USE_CANDIDATE), b""))
        transaction_id = self._rand.randbytes(TRANSACTION_ID_LENGTH)
        data = binding_request(transaction_id, attributes, remote.key)
        lifetime = self._settings.consent_timeout if consent else rto
        check = Check(
            transaction_id,
            data,
            pair,
            remote,
            controlling,
            nominating,
            consent,
            rto,
            now + lifetime,
        )
        if consent:
            self._forget_oldest_consent()
        self._by_id[transaction_id] = check
        return check

    def answered(self, transaction_id: bytes) -> Check | None:
        """The check a response belongs to, still under way."""
        return self._by_id.get(transaction_id)

    def close(self, check: Check) -> None:
        """Forget a check: answered or given up."""
        self._by_id.pop(check.transaction_id, None)

    def cancel(self, pair: CandidatePair) -> None:
        """Stop resending the pair's checks; a late answer still counts (RFC 8445 7.3.1.4)."""
        for check in self._by_id.values():
            if check.pair is pair and not check.consent:
                check.sends = self._settings.max_sends

    def under_way(self, pair: CandidatePair) -> bool:
        """Whether a check of the pair, other than for consent, may still be answered."""
        return any(check.pair is pair and not check.consent for check in self._by_id.values())

    def clear(self, *, keep_consent: bool) -> None:
        """Forget all checks, or all but those for consent."""
        self._by_id = {
            key: check for key, check in self._by_id.items() if keep_consent and check.consent
        }

    def due(self, now: float) -> tuple[list[Check], list[Check]]:
        """Checks to send again, and checks given up (which are forgotten)."""
        again: list[Check] = []
        given_up: list[Check] = []
        for check in [check for check in self._by_id.values() if check.next_at <= now]:
            if check.consent or check.sends >= self._settings.max_sends:
                self.close(check)
                given_up.append(check)
                continue
            check.next_at = now + self._wait_after(check.sends + 1, check.rto)
            check.sends += 1
            again.append(check)
        return again, given_up

    def next_at(self) -> float | None:
        """When due() has something next."""
        return min((check.next_at for check in self._by_id.values()), default=None)

    def __len__(self) -> int:
        return len(self._by_id)

    def _wait_after(self, sends: int, rto: float) -> float:
        if sends >= self._settings.max_sends:
            return self._settings.last_wait * rto
        return min(rto * 2.0 ** (sends - 1), max(rto, self._settings.max_interval))

    def _forget_oldest_consent(self) -> None:
        consents = [check for check in self._by_id.values() if check.consent]
        if len(consents) >= _MAX_CONSENT_CHECKS:
            self.close(consents[0])
