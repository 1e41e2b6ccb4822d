"""How much a validation may cost, whatever a zone holds (CVE-2023-50387, CVE-2023-50868)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from discovery.enum.dnssec.outcome import Fault, Invalid

# RSASHA256, ECDSAP256SHA256, ECDSAP384SHA384, ED25519; digests SHA-256 and SHA-384.
ALGORITHMS: Final = frozenset({8, 13, 14, 15})
DIGESTS: Final = frozenset({2, 4})


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one validation, aliases and the chain to the anchor included.

    max_same_tag: keys that share tag and algorithm and are tried; max_iterations: of NSEC3, beyond
    which a proof is refused (RFC 9276 asks for zero); RSA sizes in bits.
    """

    max_keys: int = 16
    max_same_tag: int = 2
    max_ds: int = 8
    max_signatures: int = 8
    max_records: int = 64
    max_verifications: int = 32
    max_hashes: int = 64
    max_iterations: int = 50
    max_zones: int = 8
    max_questions: int = 32
    max_aliases: int = 4
    min_rsa_bits: int = 1024
    max_rsa_bits: int = 4096
    max_ttl: int = 86_400
    algorithms: frozenset[int] = ALGORITHMS
    digests: frozenset[int] = DIGESTS


@dataclass(slots=True)
class Work:
    """What is left of the limits; every `spend_` raises Invalid."""

    limits: Limits
    verifications: int = field(init=False)
    hashes: int = field(init=False)
    questions: int = field(init=False)

    def __post_init__(self) -> None:
        self.verifications = self.limits.max_verifications
        self.hashes = self.limits.max_hashes
        self.questions = self.limits.max_questions

    def spend_verification(self) -> None:
        self.verifications -= 1
        if self.verifications < 0:
            raise Invalid(Fault.TOO_MUCH_WORK)

    def spend_hash(self) -> None:
        self.hashes -= 1
        if self.hashes < 0:
            raise Invalid(Fault.TOO_MUCH_WORK)

    def spend_question(self) -> None:
        self.questions -= 1
        if self.questions < 0:
            raise Invalid(Fault.TOO_MANY_QUESTIONS)
