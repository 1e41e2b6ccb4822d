"""The closed list of reasons for which a directory, its authority or a sender refuses something."""

from __future__ import annotations

from enum import StrEnum


class Refusal(StrEnum):
    """One reason code; logs, counters and problem documents use its value, never prose."""

    # what was received
    OVERSIZED = "oversized"
    MALFORMED = "malformed"
    WRONG_TYPE = "wrong_type"
    NOT_CANONICAL = "not_canonical"
    IDENTIFIER = "identifier"
    # what a record says
    BAD_URI = "bad_uri"
    HOST_IS_NOT_MSP = "host_is_not_msp"
    BAD_TAGS = "bad_tags"
    TOO_MANY_MAPS = "too_many_maps"
    # when
    NOT_FRESH = "not_fresh"
    EXPIRED = "expired"
    LIFETIME = "lifetime"
    SEQUENCE = "sequence"
    # who signed it
    BAD_SIGNATURE = "bad_signature"
    UNTRUSTED_CERTIFICATE = "untrusted_certificate"
    CERTIFICATE_EXPIRED = "certificate_expired"
    OTHER_IDENTIFIER = "other_identifier"
    BEFORE_REMOVAL = "before_removal"
    WRONG_AUDIENCE = "wrong_audience"
    # answers, as the sender checks them
    WRONG_DIRECTORY = "wrong_directory"
    WRONG_STATUS = "wrong_status"
    NOT_LOGGED = "not_logged"
    # challenges
    NO_CHALLENGE = "no_challenge"
    WRONG_CODE = "wrong_code"
    BURNT = "burnt"
    REAUTHENTICATE = "reauthenticate"
    HELD = "held"
    NOT_ALLOWED = "not_allowed"
    # policy
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    UNDELIVERED = "undelivered"


class Refused(Exception):
    """Something was refused for `reason`; `detail` is for people, without identifier or code."""

    def __init__(self, reason: Refusal, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail
