"""What a directory does with its log: identifiers become labels, contents become commitments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from discovery.log.entry import EntryType, Labels, commit, derived_nonce, log_entry
from discovery.log.proof_members import proof_members
from gateway.directory_log.log import DirectoryLog

EntryKind = Literal["record", "removal", "claim", "certificate"]
_TYPES: Final[Mapping[EntryKind, EntryType]] = {
    "record": EntryType.RECORD,
    "removal": EntryType.REMOVAL,
    "claim": EntryType.CLAIM,
    "certificate": EntryType.CERTIFICATE,
}


class DirectoryLogSink:
    """Logs what happens to identifiers. labels: how they are hidden; nonce_key: 32 secret octets.

    csi: the canonical text of an identifier; digest: the text that names a content, which the log
    commits to.
    """

    def __init__(self, log: DirectoryLog, labels: Labels, nonce_key: bytes) -> None:
        self._log = log
        self._labels = labels
        self._nonce_key = nonce_key

    @property
    def verifier_key(self) -> str | None:
        """The key that verifies the log's signature, as a vkey."""
        return self._log.verifier_key

    @property
    def checkpoint(self) -> str | None:
        """The published checkpoint; None before the first."""
        return self._log.checkpoint

    async def append(self, kind: EntryKind, csi: str, digest: str) -> int | None:
        """Log it; return its index once it is stored. Raises LogUnavailable."""
        label = self._labels.label(csi).value
        nonce = derived_nonce(self._nonce_key, label, digest.encode())
        return await self._log.append(log_entry(_TYPES[kind], label, digest.encode(), nonce))

    async def proof(
        self, kind: EntryKind, csi: str, digest: str, index: int | None
    ) -> Mapping[str, object] | None:
        """Return the members that prove it; None where it is not published yet, or never was.

        Raises LogUnavailable.
        """
        inclusion = None if index is None else self._log.proof(index)
        if inclusion is None:
            return None
        label = self._labels.label(csi)
        nonce = derived_nonce(self._nonce_key, label.value, digest.encode())
        return proof_members(label, nonce, inclusion)

    def receipt(self, csi: str, digests: tuple[str, ...] = ()) -> dict[str, object]:
        """Return what the owner needs to watch the log: label, and commitments of own contents."""
        label = self._labels.label(csi)
        known = [
            commit(content, derived_nonce(self._nonce_key, label.value, content)).hex()
            for content in (digest.encode() for digest in digests)
        ]
        return {"csi": csi, "label": label.value.hex(), "known": known}
