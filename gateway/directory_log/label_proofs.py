"""The proofs of labels beside the log, by the index of the entry: made once, read at each answer.

No part of the log: what is missing here is made anew.
"""

from __future__ import annotations

import os
from pathlib import Path

from discovery.log.vrf import PROOF_SIZE


class LabelProofs:
    """A flat file of 80 octets an entry. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def put(self, index: int, proof: bytes) -> None:
        """Keep the proof of an entry's label."""
        os.pwrite(self._file, proof, index * PROOF_SIZE)

    def get(self, index: int) -> bytes | None:
        """Return the proof of an entry's label; None where none is kept."""
        proof = os.pread(self._file, PROOF_SIZE, index * PROOF_SIZE)
        return proof if len(proof) == PROOF_SIZE and any(proof) else None

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
