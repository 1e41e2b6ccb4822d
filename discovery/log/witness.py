"""Witnessing (c2sp.org/tlog-witness): the log asks, the witness checks and cosigns.

A witness remembers one tree of each log. It cosigns only what continues that one, so that a log
that shows two trees to two parties needs two sets of witnesses.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from discovery.log.checkpoint import SignedCheckpoint, check_log, parse_checkpoint, parse_size
from discovery.log.cosignature import Cosigner, WitnessKey
from discovery.log.merkle import EMPTY_ROOT, MAX_PATH, verify_consistency
from discovery.log.note import (
    MAX_NOTE,
    Note,
    SignatureLine,
    VerifierKey,
    parse_hash,
    parse_signatures,
    verified,
)
from discovery.log.reason import LogRefusal, LogRefused

MAX_REQUEST: Final = MAX_NOTE + 4_096
SIZE_TYPE: Final = "text/x.tlog.size"
_OLD: Final = re.compile(r"old (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class AddCheckpoint:
    """A request to cosign: the size last cosigned, the proof since then, the new checkpoint."""

    old_size: int
    path: tuple[bytes, ...]
    checkpoint: SignedCheckpoint

    def encode(self) -> bytes:
        """Return the body of the request."""
        hashes = "".join(f"{b64encode(each).decode()}\n" for each in self.path)
        return f"old {self.old_size}\n{hashes}\n{self.checkpoint.note}".encode()


def parse_add_checkpoint(body: bytes) -> AddCheckpoint:
    """Read the body of a request. Raises LogRefused (OVERSIZED, MALFORMED)."""
    if len(body) > MAX_REQUEST:
        raise LogRefused(LogRefusal.OVERSIZED, f"a request of more than {MAX_REQUEST} octets")
    head, gap, note = body.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise LogRefused(LogRefusal.MALFORMED, "not a request to cosign") from None
    old = _OLD.fullmatch(lines[0])
    if old is None or not gap or len(lines) - 1 > MAX_PATH:
        raise LogRefused(LogRefusal.MALFORMED, "not a request to cosign")
    path = tuple(map(parse_hash, lines[1:]))
    return AddCheckpoint(parse_size(old[1]), path, parse_checkpoint(note))


@dataclass(frozen=True, slots=True)
class WitnessedTree:
    """The latest tree of a log that a witness has cosigned."""

    size: int = 0
    root: bytes = EMPTY_ROOT


class SizeConflict(LogRefused):
    """The log thinks that the witness has seen another tree; `size` is the one it has seen."""

    def __init__(self, size: int) -> None:
        super().__init__(LogRefusal.SIZE_CONFLICT, f"a tree of {size} was cosigned last")
        self.size = size


class Witness:
    """Judges requests; whoever calls stores the tree before the cosignature leaves.

    logs: the keys of each log known, by origin.
    """

    def __init__(self, cosigner: Cosigner, logs: Mapping[str, tuple[VerifierKey, ...]]) -> None:
        self._cosigner = cosigner
        self._logs = logs

    @property
    def origins(self) -> frozenset[str]:
        """The logs known."""
        return frozenset(self._logs)

    def admit(self, request: AddCheckpoint) -> str:
        """Return the origin of the log that has signed the checkpoint of a request.

        Raises LogRefused: UNKNOWN_LOG (404), WRONG_LOG or FORGED (403), MALFORMED (400).
        """
        checkpoint = request.checkpoint.checkpoint
        keys = self._logs.get(checkpoint.origin)
        if keys is None:
            raise LogRefused(LogRefusal.UNKNOWN_LOG, "a log that this witness does not know")
        check_log(request.checkpoint, keys)
        if request.old_size > checkpoint.size:
            raise LogRefused(LogRefusal.MALFORMED, "a tree does not shrink")
        return checkpoint.origin

    def cosign(
        self, request: AddCheckpoint, latest: WitnessedTree, now: float
    ) -> tuple[WitnessedTree, SignatureLine]:
        """Return the tree to store from now on, and the cosignature to answer with once it is.

        request: admitted. latest: the tree stored for its log. Raises SizeConflict (409, with the
        size), LogRefused: SPLIT_VIEW (409, two roots for one size) or INCONSISTENT (422).
        """
        tree = request.checkpoint.checkpoint
        if request.old_size != latest.size:
            raise SizeConflict(latest.size)
        if tree.size == latest.size and tree.root != latest.root:
            raise LogRefused(LogRefusal.SPLIT_VIEW, f"two roots for a tree of {tree.size}")
        if not verify_consistency(latest.size, latest.root, tree.size, tree.root, request.path):
            raise LogRefused(LogRefusal.INCONSISTENT, "the proof of consistency does not hold")
        line = self._cosigner.cosign(request.checkpoint.note.text, now)
        return WitnessedTree(tree.size, tree.root), line


STATUS: Final[Mapping[LogRefusal, int]] = {
    LogRefusal.OVERSIZED: 413,
    LogRefusal.MALFORMED: 400,
    LogRefusal.UNKNOWN_LOG: 404,
    LogRefusal.WRONG_LOG: 403,
    LogRefusal.FORGED: 403,
    LogRefusal.SIZE_CONFLICT: 409,
    LogRefusal.SPLIT_VIEW: 409,
    LogRefusal.INCONSISTENT: 422,
}
"""The HTTP status a witness refuses with."""


def read_cosignatures(
    status: int, content_type: str, body: bytes, note: Note, keys: Sequence[WitnessKey]
) -> tuple[SignatureLine, ...]:
    """Return the cosignatures in a witness' answer that are of its keys and hold.

    Raises SizeConflict where the witness names the size it has seen; LogRefused: SPLIT_VIEW or
    INCONSISTENT where it holds our tree against us, UNWITNESSED for any other answer, FORGED for a
    cosignature that is none.
    """
    try:
        text = body[:MAX_NOTE].decode()
    except UnicodeDecodeError:
        text = ""
    if status == 409 and content_type == SIZE_TYPE:
        raise SizeConflict(parse_size(text.removesuffix("\n")))
    if status in (409, 422):
        reason = LogRefusal.SPLIT_VIEW if status == 409 else LogRefusal.INCONSISTENT
        raise LogRefused(reason, "the witness has seen another tree")
    if status != 200:
        raise LogRefused(LogRefusal.UNWITNESSED, f"the witness answers {status}")
    cosigned = Note(note.text, parse_signatures(text))
    found = tuple(line for _, line in verified(cosigned, keys))
    if not found:
        raise LogRefused(LogRefusal.UNWITNESSED, "no cosignature of this witness in its answer")
    return found
