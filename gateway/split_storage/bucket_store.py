"""What the bucket store keeps: sealed entries by generation and label, in a SQLite file.

The prefix of a generation begins with no bit at all, one bucket for everybody, and grows by one
whenever a bucket would not fit its one size. It never shrinks: clients would be told what was.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from discovery.privacy.split_storage import (
    BUCKET_OCTETS,
    LABEL_OCTETS,
    MAX_PREFIX_BITS,
    bucket_of,
    entry_octets,
)

MAX_GENERATIONS: Final = 3
_SWEPT_AT_ONCE: Final = 1_000
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS store (instance TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS generations (
    generation TEXT PRIMARY KEY, bits INTEGER NOT NULL, complete INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS entries (
    generation TEXT NOT NULL, label BLOB NOT NULL, put_at REAL NOT NULL, sealed BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS entries_label ON entries (generation, label);
CREATE INDEX IF NOT EXISTS entries_put_at ON entries (put_at);
"""


class StoreUnavailable(Exception):
    """The database could not be read or written."""


class StoreRefused(Exception):
    """The store is full, of entries or of generations."""


class WrongPrefix(Exception):
    """A bucket was asked for by another number of bits than the generation has."""


@dataclass(frozen=True, slots=True)
class StoredGeneration:
    """Bits of the prefix, and whether the directory has put all there is."""

    bits: int
    complete: bool


class BucketStore:
    """The file's one user; methods may be called from any thread, and raise StoreUnavailable.

    Times are epoch seconds. Raises StoreUnavailable from the constructor.
    """

    def __init__(self, path: Path, *, max_entries: int) -> None:
        self._path = path
        self._max_entries = max_entries
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "cache_size=-65536"):
                self._database.execute(f"PRAGMA {pragma}")
            self._database.executescript(_SCHEMA)
            self.instance = self._instance()
            self._generations = self._read_generations()
            (self.entries,) = self._database.execute("SELECT count(*) FROM entries").fetchone()
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(f"{path}: {error}") from None

    @property
    def generations(self) -> Mapping[str, StoredGeneration]:
        """What there is, by name."""
        return dict(self._generations)

    def put(self, generation: str, entries: Sequence[tuple[bytes, bytes]], now: float) -> None:
        """Keep entries, each in the place of the former one of its label.

        Raises StoreRefused: more entries or generations than there may be.
        """
        with self._writing() as database:
            held = self._generations.get(generation)
            if held is None:
                if len(self._generations) >= MAX_GENERATIONS:
                    raise StoreRefused("too many generations: drop one")
                held = StoredGeneration(0, complete=False)
            removed = self._delete(generation, [label for label, _ in entries])
            count = self.entries - removed + len(dict(entries))
            if count > self._max_entries:
                raise StoreRefused("too many entries")
            database.executemany(
                "INSERT INTO entries (generation, label, put_at, sealed) VALUES (?, ?, ?, ?)",
                [(generation, label, now, sealed) for label, sealed in dict(entries).items()],
            )
            bits = held.bits
            for label, _ in entries:
                bits = self._fitting(generation, label, bits)
            held = StoredGeneration(bits, held.complete)
            self._keep(generation, held)
        self.entries = count
        self._generations[generation] = held

    def complete(self, generation: str) -> None:
        """Note that a generation has all there is; one nobody has put is a store of none."""
        with self._writing():
            held = self._generations.get(generation)
            if held is None and len(self._generations) >= MAX_GENERATIONS:
                raise StoreRefused("too many generations: drop one")
            held = StoredGeneration(held.bits if held is not None else 0, complete=True)
            self._keep(generation, held)
        self._generations[generation] = held

    def remove(self, generation: str, labels: Sequence[bytes]) -> None:
        """Delete the entries of labels."""
        with self._writing():
            removed = self._delete(generation, labels)
        self.entries -= removed

    def drop(self, generation: str) -> None:
        """Delete a generation."""
        with self._writing() as database:
            gone = database.execute("DELETE FROM entries WHERE generation = ?", (generation,))
            database.execute("DELETE FROM generations WHERE generation = ?", (generation,))
        self.entries -= gone.rowcount
        self._generations.pop(generation, None)

    def bucket(self, generation: str, bits: int, number: int) -> list[tuple[bytes, bytes]]:
        """Return the entries of a bucket. Raises KeyError, WrongPrefix."""
        if self._generations[generation].bits != bits:
            raise WrongPrefix
        first, last = _range(bits, number)
        with self._reading() as database:
            found = database.execute(
                "SELECT label, sealed FROM entries"
                " WHERE generation = ? AND label BETWEEN ? AND ? ORDER BY label",
                (generation, first, last),
            )
            return found.fetchall()

    def sweep(self, put_before: float) -> int:
        """Delete up to 1,000 entries put before then; return how many went."""
        with self._writing() as database:
            gone = database.execute(
                "DELETE FROM entries WHERE rowid IN"
                " (SELECT rowid FROM entries WHERE put_at < ? LIMIT ?)",
                (put_before, _SWEPT_AT_ONCE),
            )
        self.entries -= gone.rowcount
        return gone.rowcount

    def octets(self) -> int:
        """Return the size of the file, 0 where it cannot be looked at."""
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _fitting(self, generation: str, label: bytes, bits: int) -> int:
        """Return how many bits it takes for the bucket of a label to fit."""
        while True:
            first, last = _range(bits, bucket_of(label, bits))
            sizes = self._database.execute(
                "SELECT length(sealed) FROM entries WHERE generation = ? AND label BETWEEN ? AND ?",
                (generation, first, last),
            )
            octets = 0
            for (size,) in sizes:
                octets += entry_octets(size)
                if octets > BUCKET_OCTETS:
                    break
            if octets <= BUCKET_OCTETS:
                return bits
            if bits == MAX_PREFIX_BITS:
                raise StoreRefused("labels that begin alike do not fit a bucket")
            bits += 1

    def _delete(self, generation: str, labels: Sequence[bytes]) -> int:
        removed = 0
        for label in labels:
            gone = self._database.execute(
                "DELETE FROM entries WHERE generation = ? AND label = ?", (generation, label)
            )
            removed += gone.rowcount
        return removed

    def _keep(self, generation: str, held: StoredGeneration) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO generations VALUES (?, ?, ?)",
            (generation, held.bits, held.complete),
        )

    def _instance(self) -> str:
        found = self._database.execute("SELECT instance FROM store").fetchone()
        if found is not None:
            return str(found[0])
        made = secrets.token_hex(16)
        self._database.execute("INSERT INTO store VALUES (?)", (made,))
        return made

    def _read_generations(self) -> dict[str, StoredGeneration]:
        rows = self._database.execute("SELECT generation, bits, complete FROM generations")
        return {name: StoredGeneration(bits, bool(complete)) for name, bits, complete in rows}

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._database
            except sqlite3.Error as error:
                raise StoreUnavailable(str(error)) from None

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise


def _range(bits: int, number: int) -> tuple[bytes, bytes]:
    free = MAX_PREFIX_BITS - bits
    first = number << free
    last = first | ((1 << free) - 1)
    rest = LABEL_OCTETS - 4
    return first.to_bytes(4, "big") + bytes(rest), last.to_bytes(4, "big") + b"\xff" * rest
