"""A file of JSON objects, one a line, that others may read while it is written."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any, BinaryIO, Final

_SEPARATORS: Final = (",", ":")


class LineFile:
    """Appends whole lines, each in one write; a full disk costs lines, never calls.

    Without a path nothing is written. `lost` counts the lines that could not be. Raises OSError
    where the file cannot be opened.
    """

    def __init__(self, path: Path | None) -> None:
        self.lost = 0
        self._file: BinaryIO | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered: a reader sees whole lines, and so do two processes that share the file.
            self._file = path.open("ab", buffering=0)

    @property
    def active(self) -> bool:
        """Whether anything is written at all."""
        return self._file is not None

    def write(self, record: dict[str, Any]) -> None:
        """Append one object."""
        if self._file is None:
            return
        try:
            line = json.dumps(record, separators=_SEPARATORS).encode("ascii") + b"\n"
            self.lost += self._file.write(line) != len(line)
        except (OSError, ValueError):
            self.lost += 1

    def close(self) -> None:
        """Close the file; what is written later is not."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None
