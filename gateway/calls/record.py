"""The record of one call: how the number was found, what was verified, how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from discovery.model import Resolution
from gateway.line_file import LineFile


@dataclass(slots=True)
class CallRecord:
    """What is written down of a call; times are epoch seconds."""

    gateway: str
    call_id: str
    direction: str
    started: float
    caller: str | None = None
    called: str | None = None
    diverted_from: str | None = None
    account: str | None = None
    discovery: dict[str, Any] | None = None
    passport: dict[str, Any] | None = None
    verdict: dict[str, Any] | None = None
    connected: dict[str, Any] | None = None
    policy: str | None = None
    would_refuse: int | None = None
    ringing: float | None = None
    answered: float | None = None
    ended: float | None = None
    status: int | None = None
    reason: str | None = None
    next_hop: str | None = None
    media: dict[str, Any] | None = None
    events: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return the record as a JSON object, without what is unknown."""
        fields = ((name, getattr(self, name)) for name in self.__slots__)
        return {name: value for name, value in fields if value not in (None, [])}


class CallRecordFile:
    """Appends one JSON object a call; a full disk costs records, never calls."""

    def __init__(self, path: Path | None) -> None:
        self._lines = LineFile(path)

    @property
    def lost(self) -> int:
        """Records that could not be written."""
        return self._lines.lost

    def write(self, record: CallRecord) -> None:
        """Append a record and hand it to the operating system."""
        self._lines.write(record.as_json())

    def close(self) -> None:
        """Close the file."""
        self._lines.close()


def resolution_record(resolution: Resolution) -> dict[str, Any]:
    """Return a resolution as records and `--json` show it."""
    return {
        "number": resolution.number,
        "service": str(resolution.service),
        "seconds": round(sum(source.seconds for source in resolution.asked), 4),
        "uris": [
            {"uri": found.uri, "msp": found.msp, "assurance": str(found.assurance)}
            for found in resolution.uris
        ],
        "asked": [
            {
                "source": source.name,
                "outcome": str(source.outcome),
                "detail": source.detail,
                "seconds": round(source.seconds, 4),
            }
            for source in resolution.asked
        ],
    }
