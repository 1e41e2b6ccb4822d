"""Reading a few rows of a SQLite file by their key, on the event loop itself.

A point lookup takes some 10 us from the page cache; handing it to a thread and back takes ten times
that, and at half load makes a lookup three times as dear (decision 0011).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.dialects.sqlite import dialect
from sqlalchemy.sql import Select

_CACHE_KIB = 65_536


class PointReads:
    """One connection that only reads, opened at the first statement; its cache is 64 MiB.

    What cannot be read without waiting is for the caller to ask for in another way.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._connection: sqlite3.Connection | None = None

    def rows(self, statement: str, values: Sequence[str]) -> list[tuple[Any, ...]] | None:
        """Return the rows that a statement finds by a key; None where the file cannot be read now.

        In WAL mode writers hold nobody up, and what was committed before is seen.
        """
        try:
            if self._connection is None:
                self._connection = self._open()
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error:
            self.close()  # such as a file that was replaced: the next one opens it again
            return None

    def close(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self._file.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=0
        )
        connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        return connection


def sqlite_text(statement: Select[Any]) -> str:
    """Return a statement as SQLite's text, with ? for its values."""
    return str(statement.compile(dialect=dialect(paramstyle="qmark")))
