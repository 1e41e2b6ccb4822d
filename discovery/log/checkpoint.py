"""Checkpoints (c2sp.org/tlog-checkpoint): a log's signed word on its size and root."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass
from typing import Final

from discovery.log.merkle import MAX_SIZE
from discovery.log.note import (
    KeyOfNote,
    Note,
    NoteSigner,
    VerifierKey,
    parse_hash,
    parse_note,
    verified,
)
from discovery.log.reason import LogRefusal, LogRefused

_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tree of the log `origin` at a size; `extensions` are further lines, opaque."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The text of the note that the log signs."""
        lines = (self.origin, str(self.size), b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint with the note it came in."""

    checkpoint: Checkpoint
    note: Note


def parse_size(text: str) -> int:
    """Return a tree size in decimal. Raises LogRefused (MALFORMED)."""
    if not _SIZE.fullmatch(text) or (size := int(text)) > MAX_SIZE:
        raise LogRefused(LogRefusal.MALFORMED, "not the size of a tree")
    return size


def parse_checkpoint(data: bytes | str) -> SignedCheckpoint:
    """Read a checkpoint; no signature is verified. Raises LogRefused (OVERSIZED, MALFORMED)."""
    note = parse_note(data)
    lines = note.text.removesuffix("\n").split("\n")
    if len(lines) < 3 or not all(lines):
        raise LogRefused(LogRefusal.MALFORMED, "not a checkpoint")
    checkpoint = Checkpoint(lines[0], parse_size(lines[1]), parse_hash(lines[2]), tuple(lines[3:]))
    return SignedCheckpoint(checkpoint, note)


def sign_checkpoint(checkpoint: Checkpoint, signer: NoteSigner) -> SignedCheckpoint:
    """Return the checkpoint signed; whoever calls sees to it that it follows the last one."""
    return SignedCheckpoint(checkpoint, signer.sign(checkpoint.text))


def open_checkpoint(data: bytes | str, log_key: VerifierKey) -> SignedCheckpoint:
    """Read a checkpoint of one log and verify that log's signature.

    Raises LogRefused: OVERSIZED, MALFORMED, WRONG_LOG (another origin, or not signed by this key
    at all) or FORGED.
    """
    signed = parse_checkpoint(data)
    check_log(signed, (log_key,))
    return signed


def check_log(signed: SignedCheckpoint, log_keys: tuple[VerifierKey, ...]) -> None:
    """Check that one of a log's keys has signed a checkpoint of that log, whose name they bear.

    Raises LogRefused: WRONG_LOG or FORGED.
    """
    keys: list[KeyOfNote] = [key for key in log_keys if key.name == signed.checkpoint.origin]
    if not keys:
        raise LogRefused(LogRefusal.WRONG_LOG, "a checkpoint of another log")
    if not verified(signed.note, keys):
        raise LogRefused(LogRefusal.WRONG_LOG, f"not signed by {signed.checkpoint.origin}")
