"""What a directory does with its log: identifiers become labels, contents become commitments."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal

import structlog

from discovery.log.entry import (
    EntryType,
    Label,
    LogEntry,
    commit,
    derived_nonce,
    log_entry,
    parse_entry,
)
from discovery.log.merkle import hash_leaf
from discovery.log.proof_members import label_members, proof_members
from discovery.log.reason import LogRefused
from discovery.log.vrf import VrfSecret
from gateway.directory_log.label_proofs import LabelProofs
from gateway.directory_log.log import DirectoryLog, LogUnavailable
from gateway.directory_log.store import LogCorrupted

_log = structlog.get_logger("directory_log")
EntryKind = Literal["record", "removal", "claim", "certificate"]
_TYPES: Final[Mapping[EntryKind, EntryType]] = {
    "record": EntryType.RECORD,
    "removal": EntryType.REMOVAL,
    "claim": EntryType.CLAIM,
    "certificate": EntryType.CERTIFICATE,
}
# A registration asks for the same label a few times.
_MAX_LABELS: Final = 1_024


class DirectoryLogSink:
    """Logs what happens to identifiers. labels: how they are hidden; nonce_key: 32 secret octets.

    csi: the canonical text of an identifier; digest: the text that names a content, which the log
    commits to.
    """

    def __init__(
        self, log: DirectoryLog, labels: VrfSecret, nonce_key: bytes, proofs: LabelProofs
    ) -> None:
        self._log = log
        self._labels = labels
        self._nonce_key = nonce_key
        self._proofs = proofs
        self._recent: OrderedDict[str, Label] = OrderedDict()

    @property
    def verifier_key(self) -> str | None:
        """The key that verifies the log's signature, as a vkey."""
        return self._log.verifier_key

    @property
    def label_key(self) -> str | None:
        """The key that verifies labels (RFC 9381), in hexadecimal digits."""
        return self._labels.public.hex()

    @property
    def checkpoint(self) -> str | None:
        """The published checkpoint, signed by the log alone; None before the first.

        Cosignatures are in the proofs; here it is what the directory's answer commits to.
        """
        published = self._log.store.published
        if published is None:
            return None
        own = published.checkpoint.origin
        note = published.note
        return str(replace(note, signatures=tuple(s for s in note.signatures if s.name == own)))

    async def append(self, kind: EntryKind, csi: str, digest: str) -> int | None:
        """Log it; return its index once it is stored. Raises LogUnavailable."""
        index = await self._log.append(self._entry(kind, csi, digest))
        try:
            self._proofs.put(index, self._label(csi).proof)
        except OSError as error:
            _log.warning("proof of a label not kept", detail=error.strerror)
        return index

    async def find(
        self, kind: EntryKind, named: Sequence[tuple[str, str]]
    ) -> Mapping[tuple[str, str], int]:
        """Return the indices of those that are leaves already, by identifier and digest.

        One reading of all leaves at most, of ten million some 0.7 s from the page cache.

        Raises LogUnavailable.
        """
        leaves = {hash_leaf(self._entry(kind, *each).encode()): each for each in named}
        found = await self._log.find(frozenset(leaves))
        return {leaves[leaf]: index for leaf, index in found.items()}

    async def proof(
        self, kind: EntryKind, csi: str, digest: str, index: int | None
    ) -> Mapping[str, object] | None:
        """Return the members that prove it; None where it is not published yet, or never was.

        Raises LogUnavailable.
        """
        inclusion = None if index is None else self._log.proof(index)
        if inclusion is None:
            return None
        label = self._label_of(csi, inclusion.index)
        nonce = derived_nonce(self._nonce_key, label.value, digest.encode())
        return proof_members(label, nonce, inclusion)

    def receipt(self, csi: str, digests: tuple[str, ...] = ()) -> dict[str, object]:
        """Return what the owner needs to watch the log: label, and commitments of own contents."""
        label = self._label(csi)
        known = [
            commit(content, derived_nonce(self._nonce_key, label.value, content)).hex()
            for content in (digest.encode() for digest in digests)
        ]
        return {"csi": csi, **label_members(label), "known": known}

    def _entry(self, kind: EntryKind, csi: str, digest: str) -> LogEntry:
        """Return the entry of a content, always the same one."""
        label = self._label(csi)
        nonce = derived_nonce(self._nonce_key, label.value, digest.encode())
        return log_entry(_TYPES[kind], label.value, digest.encode(), nonce)

    def _label(self, csi: str) -> Label:
        label = self._recent.get(csi)
        if label is None:
            label = self._recent[csi] = self._labels.label(csi)
            if len(self._recent) > _MAX_LABELS:
                self._recent.popitem(last=False)
        return label

    def _label_of(self, csi: str, index: int) -> Label:
        """Return the label of an entry from the files, which is quicker than to compute it."""
        try:
            kept = self._proofs.get(index)
            if kept is None:
                label = self._label(csi)
                self._proofs.put(index, label.proof)
                return label
            (entry,) = self._log.store.entries(index, index + 1)
            return Label(parse_entry(entry).label, kept)
        except (OSError, LogCorrupted, LogRefused) as error:
            _log.error("log unreadable", detail=str(error))
            raise LogUnavailable("the log cannot be read") from None
