"""What each client was given today, in a SQLite file: a restart forgets none of it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from discovery.privacy.reason import Fault, PrivacyError
from gateway.config.load import ConfigError

_DAY: Final = 86_400
_BUSY_SECONDS: Final = 5.0
_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS given (day INTEGER NOT NULL, client TEXT NOT NULL, "
    "tokens INTEGER NOT NULL, PRIMARY KEY (day, client)) WITHOUT ROWID"
)
_TAKE: Final = (
    "INSERT INTO given (day, client, tokens) VALUES (?, ?, 1) ON CONFLICT (day, client) "
    "DO UPDATE SET tokens = tokens + 1 WHERE tokens < ?"
)


class SqliteQuota:
    """A `discovery.privacy.token_issuer.Quota` in a file; per_day: by the client's name.

    To be called from any thread, and not from an event loop: it waits for the disk. A clock set
    back by up to a day gives nobody a second quota for a day that is over. Raises ConfigError from
    the constructor.
    """

    def __init__(self, file: Path, per_day: Mapping[str, int]) -> None:
        self._per_day = dict(per_day)
        self._lock = threading.Lock()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(
                file, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.execute(_TABLE)
            (latest,) = self._database.execute("SELECT max(day) FROM given").fetchone()
        except (OSError, sqlite3.Error) as error:
            detail = getattr(error, "strerror", None) or str(error)
            raise ConfigError("issuer.state_directory", f"{file}: {detail}") from None
        self._day = int(latest or 0)

    def take(self, client: str, now: float) -> None:
        """Count one. Raises PrivacyError: QUOTA_USED_UP, OVERLOADED where the file fails."""
        limit = self._per_day.get(client, 0)
        with self._lock:
            try:
                counted = limit > 0 and self._count(client, limit, int(now) // _DAY)
            except sqlite3.Error as error:
                raise PrivacyError(Fault.OVERLOADED, f"quota file: {error}") from None
        if not counted:
            raise PrivacyError(Fault.QUOTA_USED_UP, f"{limit} a day")

    def given(self, client: str) -> int:
        """Return how many a client was given on the day counted last."""
        with self._lock:
            row = self._database.execute(
                "SELECT tokens FROM given WHERE day = ? AND client = ?", (self._day, client)
            ).fetchone()
        return 0 if row is None else int(row[0])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def _count(self, client: str, limit: int, today: int) -> bool:
        if today > self._day:
            self._database.execute("DELETE FROM given WHERE day < ?", (today,))
            self._day = today
        elif today < self._day - 1:
            # The clock was far ahead once: that day must not be everybody's last for years.
            self._database.execute("DELETE FROM given WHERE day > ?", (today,))
            self._day = today
        return self._database.execute(_TAKE, (self._day, client, limit)).rowcount > 0
