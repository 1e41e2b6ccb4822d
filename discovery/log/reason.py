"""The closed list of reasons for which a log, its checkpoint or its proof is not believed."""

from __future__ import annotations

from enum import StrEnum


class LogRefusal(StrEnum):
    """One reason code; logs, counters and problem documents use its value, never prose."""

    # what was received
    OVERSIZED = "oversized"
    MALFORMED = "malformed"
    # a binding and its proof
    NOT_LOGGED = "not_logged"
    WRONG_LABEL = "wrong_label"
    # the checkpoint it leads to
    WRONG_LOG = "wrong_log"
    FORGED = "forged"
    UNWITNESSED = "unwitnessed"
    STALE_CHECKPOINT = "stale_checkpoint"
    SPLIT_VIEW = "split_view"
    # what a witness or a monitor holds against a log
    UNKNOWN_LOG = "unknown_log"
    SIZE_CONFLICT = "size_conflict"
    INCONSISTENT = "inconsistent"
    ROLLED_BACK = "rolled_back"
    ENTRIES_DIFFER = "entries_differ"


class LogRefused(Exception):
    """Something of a log was refused for `reason`; `detail` is for people, without number."""

    def __init__(self, reason: LogRefusal, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail
