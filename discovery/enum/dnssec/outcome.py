"""How a validation ends, and why, in closed lists."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import dns.rrset


class Status(StrEnum):
    """RFC 4033 section 5; only `secure` is believed here."""

    SECURE = "secure"
    INSECURE = "insecure"
    BOGUS = "bogus"
    INDETERMINATE = "indeterminate"


class Fault(StrEnum):
    """Why an answer is not secure."""

    NO_SIGNATURE = "no signature"
    ALGORITHM = "algorithm not allowed"
    EXPIRED = "signature expired"
    NOT_YET_VALID = "signature not yet valid"
    SIGNATURE = "signature does not fit"
    NO_KEY = "no key for the signature"
    KEY = "unusable key"
    SIGNER = "signed by another zone"
    ANCHOR = "no key fits the DS"
    DENIAL = "absence not proven"
    WILDCARD = "wildcard not proven"
    ITERATIONS = "too many NSEC3 iterations"
    TOO_MANY_KEYS = "too many keys"
    TOO_MANY_SIGNATURES = "too many signatures"
    TOO_MANY_RECORDS = "too many records"
    TOO_MUCH_WORK = "too much work"
    TOO_MANY_QUESTIONS = "too many questions"
    UNSIGNED_DELEGATION = "a delegation without DS"
    OPT_OUT = "within an opt-out span"
    ALIASES = "a chain of aliases"
    ALIAS_LEAVES = "an alias out of the tree"
    DNAME = "a DNAME that cannot be followed"
    RCODE = "the server failed"


class Invalid(Exception):
    """What was looked at is not secure; raised within the engine only."""

    def __init__(self, fault: Fault, status: Status = Status.BOGUS) -> None:
        super().__init__(fault)
        self.fault = fault
        self.status = status


@dataclass(frozen=True, slots=True)
class Verdict:
    """The end of a validation.

    `records`: the signed records; None where they do not exist (proven, if `status` is secure) or
    are not believed. `expires_at`: epoch seconds, when TTL or signatures of anything used end.
    """

    status: Status
    fault: Fault | None = None
    records: dns.rrset.RRset | None = None
    expires_at: float = 0.0
