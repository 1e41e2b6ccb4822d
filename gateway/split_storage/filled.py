"""What the directory has given the bucket store, and when it has to look at an identifier again.

A SQLite file of its own: everything in it can be made again from the records, at the cost of one
evaluation each. It holds labels and keys beside identifiers, and is as secret as the records.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from discovery.privacy.split_storage import StorageSecrets

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS identifiers (
    csi TEXT PRIMARY KEY, digests TEXT NOT NULL, due_at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS identifiers_due_at ON identifiers (due_at);
CREATE TABLE IF NOT EXISTS secrets (
    generation TEXT NOT NULL, csi TEXT NOT NULL, label BLOB NOT NULL, entry_key BLOB NOT NULL,
    PRIMARY KEY (generation, csi)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS stores (generation TEXT PRIMARY KEY, instance TEXT NOT NULL);
"""


class FilledUnavailable(Exception):
    """The file could not be read or written."""


@dataclass(frozen=True, slots=True)
class Filled:
    """An identifier whose entry was put: the digests of its records, and when it is due."""

    csi: str
    digests: str = field(repr=False)
    due_at: float


class FilledStore:
    """The file's one user; every method raises FilledUnavailable. Times are epoch seconds."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.executescript(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise FilledUnavailable(f"{path}: {error}") from None

    def due(self, now: float, limit: int) -> list[str]:
        """Return up to `limit` identifiers that are due, the longest due first."""
        with self._using() as database:
            rows = database.execute(
                "SELECT csi FROM identifiers WHERE due_at <= ? ORDER BY due_at LIMIT ?",
                (now, limit),
            )
            return [csi for (csi,) in rows]

    def next_due(self) -> float | None:
        """Return when the first identifier is due."""
        with self._using() as database:
            (found,) = database.execute("SELECT min(due_at) FROM identifiers").fetchone()
            return None if found is None else float(found)

    def mark(self, csis: Iterable[str]) -> None:
        """Make identifiers due at once, new ones too."""
        with self._using() as database:
            database.executemany(
                "INSERT INTO identifiers VALUES (?, '', 0)"
                " ON CONFLICT (csi) DO UPDATE SET due_at = 0",
                [(csi,) for csi in csis],
            )

    def mark_after(self, csi: str, limit: int) -> str | None:
        """Make up to `limit` identifiers behind one due at once; return the last, None at the end.

        All at once would keep the file, and with it the event loop, for seconds.
        """
        with self._using() as database:
            (last,) = database.execute(
                "SELECT max(csi) FROM"
                " (SELECT csi FROM identifiers WHERE csi > ? ORDER BY csi LIMIT ?)",
                (csi, limit),
            ).fetchone()
            if last is None:
                return None
            database.execute(
                "UPDATE identifiers SET due_at = 0 WHERE csi > ? AND csi <= ?", (csi, last)
            )
            return str(last)

    def keep(self, filled: Sequence[Filled]) -> None:
        """Note what was put, and when it is due again."""
        with self._using() as database:
            database.executemany(
                "INSERT OR REPLACE INTO identifiers VALUES (?, ?, ?)",
                [(each.csi, each.digests, each.due_at) for each in filled],
            )

    def forget(self, csis: Sequence[str]) -> None:
        """Note that identifiers have no entry any more."""
        with self._using() as database:
            for table in ("identifiers", "secrets"):
                database.executemany(
                    f"DELETE FROM {table} WHERE csi = ?",  # noqa: S608 - one of ours
                    [(csi,) for csi in csis],
                )

    def after(self, csi: str, limit: int) -> list[str]:
        """Return up to `limit` identifiers behind one, in the order of their text."""
        with self._using() as database:
            rows = database.execute(
                "SELECT csi FROM identifiers WHERE csi > ? ORDER BY csi LIMIT ?", (csi, limit)
            )
            return [each for (each,) in rows]

    def known(self, csis: Sequence[str]) -> dict[str, str]:
        """Return the digests of what was put, of those identifiers that there are."""
        places = ",".join("?" * len(csis))
        with self._using() as database:
            rows = database.execute(
                f"SELECT csi, digests FROM identifiers WHERE csi IN ({places})",  # noqa: S608
                tuple(csis),
            )
            return dict(rows.fetchall())

    def secrets(self, generation: str, csis: Sequence[str]) -> dict[str, StorageSecrets]:
        """Return what is known of identifiers under one generation of keys."""
        places = ",".join("?" * len(csis))
        with self._using() as database:
            rows = database.execute(
                f"SELECT csi, label, entry_key FROM secrets"  # noqa: S608 - question marks
                f" WHERE generation = ? AND csi IN ({places})",
                (generation, *csis),
            )
            return {csi: StorageSecrets(label, key) for csi, label, key in rows}

    def keep_secrets(self, generation: str, secrets: Iterable[tuple[str, StorageSecrets]]) -> None:
        """Keep what the evaluator said."""
        with self._using() as database:
            database.executemany(
                "INSERT OR REPLACE INTO secrets VALUES (?, ?, ?, ?)",
                [(generation, csi, each.label, each.record_key) for csi, each in secrets],
            )

    def instances(self) -> dict[str, str]:
        """Return which store was filled, by generation."""
        with self._using() as database:
            return dict(database.execute("SELECT generation, instance FROM stores").fetchall())

    def begin(self, generation: str, instance: str) -> None:
        """Note which store is being filled from now on."""
        with self._using() as database:
            database.execute("INSERT OR REPLACE INTO stores VALUES (?, ?)", (generation, instance))

    def drop(self, generation: str) -> None:
        """Forget a generation."""
        with self._using() as database:
            database.execute("DELETE FROM secrets WHERE generation = ?", (generation,))
            database.execute("DELETE FROM stores WHERE generation = ?", (generation,))

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    yield self._database
                    self._database.execute("COMMIT")
                except BaseException:
                    self._database.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise FilledUnavailable(str(error)) from None
