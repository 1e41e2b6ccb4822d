"""A small log in memory: keys, witnesses, tiles, checkpoints and proofs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from discovery.log.checkpoint import Checkpoint, SignedCheckpoint, sign_checkpoint
from discovery.log.cosignature import Cosigner
from discovery.log.entry import EntryType, LogEntry, log_entry
from discovery.log.logged import InclusionProof, LoggedAnswer, LogPolicy
from discovery.log.merkle import CompactRange, hash_leaf
from discovery.log.note import NoteSigner
from discovery.log.tile_proofs import consistency_path, inclusion_path
from discovery.log.tiles import (
    Bundle,
    Tile,
    encode_bundle,
)

ORIGIN = "directory.example/log"
NOW = 1_795_000_000.0


def log_signer(seed: int = 1, name: str = ORIGIN) -> NoteSigner:
    """The log's key."""
    return NoteSigner(name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


def cosigner(number: int = 1) -> Cosigner:
    """The key of witness w1, w2..."""
    key = Ed25519PrivateKey.from_private_bytes(bytes([100 + number]) * 32)
    return Cosigner(f"witness.example/w{number}", key)


def label(number: int) -> bytes:
    """The label of the n-th owner."""
    return number.to_bytes(32, "big")


@dataclass(slots=True)
class MemoryLog:
    """Grows in memory, keeps every hash of every height."""

    signer: NoteSigner = field(default_factory=log_signer)
    entries: list[bytes] = field(default_factory=list)
    nodes: list[list[bytes]] = field(default_factory=list)
    tree: CompactRange = field(default_factory=CompactRange)

    def append(self, *entries: LogEntry) -> None:
        """Add entries."""
        self.append_raw([entry.encode() for entry in entries])

    def append_raw(self, entries: Sequence[bytes]) -> None:
        """Add entries of any shape."""
        self.entries += entries
        for height, hashes in enumerate(self.tree.extend([hash_leaf(e) for e in entries])):
            if height == len(self.nodes):
                self.nodes.append([])
            self.nodes[height] += hashes

    def read(self, tile: Tile) -> bytes:
        """The octets of a tile."""
        first = tile.index * 256
        return b"".join(self.nodes[8 * tile.level][first : first + tile.width])

    def bundle(self, bundle: Bundle) -> bytes:
        """The octets of a bundle."""
        first = bundle.index * 256
        return encode_bundle(self.entries[first : first + bundle.width])

    def checkpoint(self, *cosigners: Cosigner, at: float = NOW) -> SignedCheckpoint:
        """The tree as it is now, signed, and cosigned without a question."""
        tree = Checkpoint(self.signer.name, self.tree.size, self.tree.root())
        signed = sign_checkpoint(tree, self.signer)
        lines = [one.cosign(tree.text, at) for one in cosigners]
        return SignedCheckpoint(tree, signed.note.with_signatures(lines))

    def proof(self, index: int, signed: SignedCheckpoint) -> InclusionProof:
        """That an entry is in the tree of a checkpoint."""
        path = inclusion_path(index, signed.checkpoint.size, self.read)
        return InclusionProof(index, tuple(path), str(signed.note))

    def consistency(self, old_size: int) -> list[bytes]:
        """That the tree of old_size became this one."""
        return consistency_path(old_size, self.tree.size, self.read)


NONCE = b"n" * 32
RECORD = b"a record"


def logged_answer(log: MemoryLog, *cosigners: Cosigner, at: float = NOW) -> LoggedAnswer:
    """A record that was logged among others, with its proof."""
    log.append(*(log_entry(EntryType.RECORD, label(n), b"x", NONCE) for n in range(5)))
    log.append(log_entry(EntryType.RECORD, label(42), RECORD, NONCE))
    log.append(*(log_entry(EntryType.RECORD, label(n), b"y", NONCE) for n in range(300)))
    proof = log.proof(5, log.checkpoint(*cosigners, at=at))
    return LoggedAnswer(EntryType.RECORD, RECORD, label(42), NONCE, proof)


def policy(*cosigners: Cosigner, quorum: int = 1, max_age: float = 3_600.0) -> LogPolicy:
    """What a relying gateway demands of this log."""
    keys = tuple(one.verifier for one in cosigners)
    return LogPolicy((log_signer().verifier,), keys, quorum, max_age)


def write_key(path: Path, signer: NoteSigner) -> None:
    """A log's private key as an operator has it."""
    path.write_bytes(
        signer.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
