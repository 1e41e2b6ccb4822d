"""What a directory logs: that a binding exists, to its owner and to nobody else.

An entry is `version || type || label || commitment`, 66 octets. The label stands for the
identifier (tel: or mailto:) without giving it away; the commitment fixes the record, certificate
or removal, hidden behind a nonce, so that not even a guess of it can be tested.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Protocol

from discovery.log.merkle import hash_leaf
from discovery.log.reason import LogRefusal, LogRefused

VERSION: Final = 1
LABEL_SIZE: Final = 32
NONCE_SIZE: Final = 32
ENTRY_SIZE: Final = 2 + LABEL_SIZE + 32
_COMMITMENT: Final = b"spin directory log: commitment, version 1\n"
_NONCE: Final = b"spin directory log: nonce, version 1\n"


class EntryType(IntEnum):
    """What happened to an identifier: an owner's record, a certificate for it, a removal of the
    record, or a claim: a key that asks for it while another one holds it."""

    RECORD = 1
    CERTIFICATE = 2
    REMOVAL = 3
    CLAIM = 4


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry of the log. Raises ValueError for a label or commitment of another length."""

    type: EntryType
    label: bytes
    commitment: bytes

    def __post_init__(self) -> None:
        if len(self.label) != LABEL_SIZE or len(self.commitment) != 32:
            raise ValueError("a label and a commitment have 32 octets")

    def encode(self) -> bytes:
        """Return the octets that are hashed and published."""
        return bytes((VERSION, self.type)) + self.label + self.commitment

    def leaf_hash(self) -> bytes:
        """Return the hash of its leaf."""
        return hash_leaf(self.encode())


def parse_entry(data: bytes) -> LogEntry:
    """Read an entry. Raises LogRefused (MALFORMED)."""
    if len(data) != ENTRY_SIZE or data[0] != VERSION or data[1] not in set(EntryType):
        raise LogRefused(LogRefusal.MALFORMED, "not an entry of a directory's log")
    return LogEntry(EntryType(data[1]), data[2 : 2 + LABEL_SIZE], data[2 + LABEL_SIZE :])


def commit(content: bytes, nonce: bytes) -> bytes:
    """Return the commitment to a record (its JWS), certificate (DER) or removal (its JWS).

    nonce: 32 random octets, drawn for this content and told only to who gets the content. Raises
    ValueError for another length.
    """
    if len(nonce) != NONCE_SIZE:
        raise ValueError("a nonce has 32 octets")
    return hmac.digest(nonce, _COMMITMENT + content, "sha256")


def log_entry(entry_type: EntryType, label: bytes, content: bytes, nonce: bytes) -> LogEntry:
    """Return the entry that a content, its label and its nonce lead to."""
    return LogEntry(entry_type, label, commit(content, nonce))


@dataclass(frozen=True, slots=True)
class Label:
    """What stands for an identifier in the log; `proof` shows that it is the only one."""

    value: bytes
    proof: bytes = field(default=b"", repr=False)


class LabelVerifier(Protocol):
    """Knows whether a label is the one and only of an identifier."""

    def is_label_of(self, label: bytes, identifier: str, proof: bytes) -> bool:
        """Tell it; `proof` came with the answer and may be anything."""
        ...


def derived_nonce(key: bytes, label: bytes, content: bytes) -> bytes:
    """Return a nonce that nobody guesses, from a secret key of 32 octets and what it is for.

    So the directory stores no nonces, and logging the same again gives the same entry.
    """
    return hmac.digest(key, _NONCE + label + content, "sha256")
