"""The closed list of reasons for which SPIN refuses an invitation, an answer or a request."""

from __future__ import annotations

from enum import StrEnum


class Refusal(StrEnum):
    """One reason code; logs, counters and problem documents use its value, never prose."""

    # what was received
    OVERSIZED = "oversized"
    MALFORMED = "malformed"
    WRONG_TYPE = "wrong_type"
    SERVICE_UNKNOWN = "service_unknown"
    INCOMPLETE = "incomplete"
    # whom it is for and when
    NOT_OURS = "not_ours"
    WRONG_NUMBER = "wrong_number"
    NOT_FRESH = "not_fresh"
    EXPIRED = "expired"
    REPLAYED = "replayed"
    # who signed it
    FORGED = "forged"
    UNTRUSTED_SIGNER = "untrusted_signer"
    CREDENTIAL_UNAVAILABLE = "credential_unavailable"
    # where it wants the answer, what it answers
    CALLBACK_REFUSED = "callback_refused"
    BAD_TOKEN = "bad_token"  # noqa: S105 - a reason code
    WRONG_INVITATION = "wrong_invitation"
    BAD_URI = "bad_uri"
    # policy
    SENDER_UNKNOWN = "sender_unknown"
    NO_HANDLER = "no_handler"
    NOT_ALLOWED = "not_allowed"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"


class Refused(Exception):
    """Something was refused for `reason`; `detail` is for people, without token or number."""

    def __init__(self, reason: Refusal, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail
