"""What a call is attested: by who calls, from which number, and how well that is known."""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from gateway.config.attestation import AttestationRule, Strength
from gateway.config.base import NumberSet
from gateway.policy.callers import Caller
from stir.authentication import Attestation

CallDirection = Literal["outbound", "local"]
STRENGTHS: Final[tuple[Strength, ...]] = get_args(Strength)


@dataclass(frozen=True, slots=True)
class Attested:
    """The attestation level and origination identifier a call is signed with."""

    attest: Attestation
    origid: str


class AttestationPolicy:
    """Applies the configured rules, the first that fits, then what the caller's own entry says.

    `key` derives a caller's origination identifier, so that it stays the same for ever and tells
    nobody else who it is (RFC 8588 section 5); None makes a random one for each call.
    """

    def __init__(self, rules: Sequence[AttestationRule], key: bytes | None) -> None:
        self._rules = [(rule, NumberSet(rule.numbers)) for rule in rules]
        self._key = key

    def attested(self, caller: Caller, direction: CallDirection) -> Attested | None:
        """Return what to sign a call with, None where it goes unsigned."""
        for rule, numbers in self._rules:
            if _fits(rule, numbers, caller, direction):
                if rule.attest == "none":
                    return None
                # a number that is not the caller's is never attested better than its entry says
                attest = rule.attest if caller.owns_number else max(rule.attest, caller.attest)
                return Attested(attest, rule.origid or self._origid(caller))
        if direction == "local":
            return None
        return Attested(caller.attest, self._origid(caller))

    def _origid(self, caller: Caller) -> str:
        if caller.origid is not None:
            return caller.origid
        if self._key is None:
            return str(uuid.uuid4())
        digest = hmac.digest(self._key, f"{caller.kind}:{caller.name}".encode(), hashlib.sha256)
        octets = bytearray(digest[:16])
        # RFC 9562 section 5.8: version 8 is for identifiers made in a way of one's own
        octets[6] = octets[6] & 0x0F | 0x80
        octets[8] = octets[8] & 0x3F | 0x80
        return str(uuid.UUID(bytes=bytes(octets)))


def _fits(
    rule: AttestationRule, numbers: NumberSet, caller: Caller, direction: CallDirection
) -> bool:
    if direction not in rule.directions:
        return False
    if rule.users or rule.trunks:
        names = rule.users if caller.kind == "user" else rule.trunks
        if caller.name not in names:
            return False
    if rule.numbers and caller.number not in numbers:
        return False
    return STRENGTHS.index(caller.strength) >= STRENGTHS.index(rule.at_least)
