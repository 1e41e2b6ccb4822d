"""The peer's SDP is well-formed but cannot be honoured: what to answer."""

from __future__ import annotations

from typing import Final

NOT_ACCEPTABLE_HERE: Final = 488


class Unacceptable(ValueError):
    """An offer or answer to refuse with `status` (RFC 3261 section 21.4.26); the peer's fault.

    `reason` fits a Warning header or a log line: it names no key.
    """

    def __init__(self, reason: str, status: int = NOT_ACCEPTABLE_HERE) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
