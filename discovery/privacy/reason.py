"""The closed list of faults of the privacy layer, and the one error that carries them."""

from __future__ import annotations

from enum import StrEnum


class Fault(StrEnum):
    """One reason code; logs, counters and problem documents use its value, never prose."""

    # what was received
    OVERSIZED = "oversized"
    TRUNCATED = "truncated"
    MALFORMED = "malformed"
    NOT_ACCEPTED = "not_accepted"
    # encapsulation
    KEY_UNKNOWN = "key_unknown"
    SUITE_UNSUPPORTED = "suite_unsupported"
    UNDECRYPTABLE = "undecryptable"
    # time and repetition
    NOT_FRESH = "not_fresh"
    REPLAYED = "replayed"
    OVERLOADED = "overloaded"
    # tokens and evaluations
    WRONG_CHALLENGE = "wrong_challenge"
    FORGED = "forged"
    QUOTA_USED_UP = "quota_used_up"
    SIGNING_FAILED = "signing_failed"


class PrivacyError(Exception):
    """Something was refused for `fault`; `detail` is for people, without token, key or content."""

    def __init__(self, fault: Fault, detail: str = "") -> None:
        super().__init__(f"{fault}: {detail}" if detail else str(fault))
        self.fault = fault
        self.detail = detail
