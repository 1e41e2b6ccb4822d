"""What the directory needs of a transparency log, and the one of a directory that keeps none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

EntryKind = Literal["record", "removal", "claim", "certificate"]


class LogSink(Protocol):
    """A transparency log whose leaves hold no identifier in clear."""

    @property
    def verifier_key(self) -> str | None:
        """The key that checks its checkpoints, as text of a signed note; None without a log."""
        ...

    @property
    def label_key(self) -> str | None:
        """The key that checks the labels of identifiers, hexadecimal; None without a log."""
        ...

    @property
    def checkpoint(self) -> str | None:
        """The latest signed checkpoint, None without a log."""
        ...

    async def append(self, kind: EntryKind, csi: str, digest: str) -> int | None:
        """Add a leaf for a token or certificate, by its digest, and return its index.

        None where there is no log.
        """
        ...

    async def find(
        self, kind: EntryKind, named: Sequence[tuple[str, str]]
    ) -> Mapping[tuple[str, str], int]:
        """Return the indices of those that are leaves already, by identifier and digest."""
        ...

    async def proof(
        self, kind: EntryKind, csi: str, digest: str, index: int | None
    ) -> Mapping[str, object] | None:
        """Return the proof that a leaf is in the tree of a checkpoint, None where there is none."""
        ...

    def receipt(self, csi: str, digests: tuple[str, ...]) -> Mapping[str, object] | None:
        """Return what an owner watches the log with: the label of the identifier, and how the
        owner's own contents look in the log. None without a log."""
        ...


class NoLog:
    """A `LogSink` that keeps nothing."""

    verifier_key: str | None = None
    label_key: str | None = None
    checkpoint: str | None = None

    async def append(self, kind: EntryKind, csi: str, digest: str) -> int | None:
        return None

    async def find(
        self, kind: EntryKind, named: Sequence[tuple[str, str]]
    ) -> Mapping[tuple[str, str], int]:
        return {}

    async def proof(
        self, kind: EntryKind, csi: str, digest: str, index: int | None
    ) -> Mapping[str, object] | None:
        return None

    def receipt(self, csi: str, digests: tuple[str, ...]) -> Mapping[str, object] | None:
        return None
