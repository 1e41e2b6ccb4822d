"""Why a short message was not sent, and how many were."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class SmsFailure(StrEnum):
    """Why a message was not sent."""

    NOT_BOUND = "not_bound"
    TIMEOUT = "timeout"
    THROTTLED = "throttled"
    REJECTED = "rejected"
    LINK_LOST = "link_lost"
    BUSY = "busy"


# What may have been taken all the same: nobody answered, or not to the end.
_UNSURE: Final = frozenset({SmsFailure.TIMEOUT, SmsFailure.LINK_LOST})


class SmsFailed(Exception):
    """A message was not sent, or not all of its parts; `culprit` is the SMSC or ourselves.

    `definite`: certainly nothing of it was taken, so that another way may be tried.
    """

    def __init__(
        self, culprit: str, failure: SmsFailure, detail: str, *, definite: bool | None = None
    ) -> None:
        super().__init__(f"{culprit}: {failure}: {detail}")
        self.culprit = culprit
        self.failure = failure
        self.detail = detail
        self.definite = failure not in _UNSURE if definite is None else definite


@dataclass(slots=True)
class SmsCounters:
    """What happened since the start; `sent` and `throttled` count parts."""

    sent: int = 0
    throttled: int = 0
    failed: int = 0
    received: int = 0
    receipts: int = 0
    binds: int = 0
