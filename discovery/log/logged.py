"""What a relying gateway checks of an answer: that its binding is logged, for all to see."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Final

from discovery.log.checkpoint import Checkpoint, SignedCheckpoint, check_log, parse_checkpoint
from discovery.log.cosignature import WitnessKey, cosignatures
from discovery.log.entry import LABEL_SIZE, NONCE_SIZE, EntryType, LabelVerifier, log_entry
from discovery.log.merkle import MAX_PATH, verify_inclusion
from discovery.log.note import MAX_NOTE, VerifierKey, parse_hash
from discovery.log.reason import LogRefusal, LogRefused
from discovery.log.seen import SeenCheckpoints

_HEADER: Final = "c2sp.org/tlog-proof@v1\n"
_INDEX: Final = re.compile(r"index (0|[1-9][0-9]{0,18})")
MAX_PROOF: Final = MAX_NOTE + 8_192
# Clocks of witnesses may be ahead of ours by this much.
_CLOCK_SKEW: Final = 60.0


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """That a leaf is in the tree of a checkpoint; str() is a c2sp.org/tlog-proof.

    checkpoint: the note as the log published it, cosignatures included.
    """

    index: int
    path: tuple[bytes, ...]
    checkpoint: str

    def __str__(self) -> str:
        hashes = "".join(f"{b64encode(sibling).decode()}\n" for sibling in self.path)
        return f"{_HEADER}index {self.index}\n{hashes}\n{self.checkpoint}"


def parse_proof(text: str) -> InclusionProof:
    """Read a c2sp.org/tlog-proof; nothing is verified. Raises LogRefused (OVERSIZED, MALFORMED)."""
    if len(text) > MAX_PROOF:
        raise LogRefused(LogRefusal.OVERSIZED, f"a proof of more than {MAX_PROOF} characters")
    head, gap, checkpoint = text.partition("\n\n")
    lines = head.removeprefix(_HEADER).split("\n")
    if lines[0].startswith("extra "):
        del lines[0]
    index = _INDEX.fullmatch(lines[0]) if lines else None
    if not head.startswith(_HEADER) or not gap or index is None or len(lines) - 1 > MAX_PATH:
        raise LogRefused(LogRefusal.MALFORMED, "not a proof of inclusion")
    return InclusionProof(int(index[1]), tuple(map(parse_hash, lines[1:])), checkpoint)


@dataclass(frozen=True, slots=True)
class LoggedAnswer:
    """A content with what is needed to find its leaf, as a directory gives it with each answer.

    content: the record's JWS, the certificate's DER or the removal's JWS, the very octets. label,
    nonce: 32 octets each. proof: None where the directory has none to give. label_proof: for the
    LabelVerifier of the policy.
    """

    type: EntryType
    content: bytes = field(repr=False)
    label: bytes
    nonce: bytes = field(repr=False)
    proof: InclusionProof | None
    label_proof: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class LogPolicy:
    """What a relying gateway demands of one log.

    log_keys: bear the log's origin as name; several while a key is replaced. quorum: so many of
    `witnesses` have cosigned within max_age seconds; 0 demands no witness and cannot tell how old
    a checkpoint is. labels: checks that the label is that of the identifier asked for; None
    leaves it to the owner's monitor and the directory's honesty. Raises ValueError for a policy
    that no log can satisfy.
    """

    log_keys: tuple[VerifierKey, ...]
    witnesses: tuple[WitnessKey, ...] = ()
    quorum: int = 1
    max_age: float = 86_400.0
    labels: LabelVerifier | None = None

    def __post_init__(self) -> None:
        if len({key.name for key in self.log_keys}) != 1:
            raise ValueError("the keys of one log bear one name, its origin")
        # Two names with one key are one witness.
        if not 0 <= self.quorum <= len({str(key).rpartition("+")[2] for key in self.witnesses}):
            raise ValueError("the quorum is between 0 and the number of witnesses")


def verify_logged(
    answer: LoggedAnswer,
    policy: LogPolicy,
    now: float,
    *,
    identifier: str = "",
    seen: SeenCheckpoints | None = None,
) -> Checkpoint:
    """Return the checkpoint under which the answer's content is logged.

    identifier: the one asked for, for the policy's LabelVerifier. seen: checkpoints this relying
    party has been shown; this one joins them. Raises LogRefused: NOT_LOGGED (no proof, or it does
    not lead from this content to the root), MALFORMED, WRONG_LABEL, WRONG_LOG, FORGED, UNWITNESSED,
    STALE_CHECKPOINT or SPLIT_VIEW.
    """
    if answer.proof is None:
        raise LogRefused(LogRefusal.NOT_LOGGED, "the answer comes without a proof")
    if len(answer.label) != LABEL_SIZE or len(answer.nonce) != NONCE_SIZE:
        raise LogRefused(LogRefusal.MALFORMED, "label and nonce have 32 octets")
    labels = policy.labels
    if labels and not labels.is_label_of(answer.label, identifier, answer.label_proof):
        raise LogRefused(LogRefusal.WRONG_LABEL, "logged under the label of another")
    signed = parse_checkpoint(answer.proof.checkpoint)
    verify_checkpoint(signed, policy, now)
    checkpoint = signed.checkpoint
    leaf = log_entry(answer.type, answer.label, answer.content, answer.nonce).leaf_hash()
    index, path = answer.proof.index, answer.proof.path
    if not verify_inclusion(leaf, index, checkpoint.size, path, checkpoint.root):
        raise LogRefused(LogRefusal.NOT_LOGGED, "the proof does not lead to the checkpoint")
    if seen is not None:
        seen.add(signed)
    return checkpoint


def verify_checkpoint(signed: SignedCheckpoint, policy: LogPolicy, now: float) -> None:
    """Check the signature of the log, the quorum of witnesses and how long ago they signed.

    Raises LogRefused: WRONG_LOG, FORGED, UNWITNESSED or STALE_CHECKPOINT.
    """
    check_log(signed, policy.log_keys)
    if not policy.quorum:
        return
    found = cosignatures(signed, policy.witnesses)
    times: dict[str, int] = {}
    for cosigned in found:
        if cosigned.at <= now + _CLOCK_SKEW:
            key = str(cosigned.witness).rpartition("+")[2]
            times[key] = max(cosigned.at, times.get(key, 0))
    if len(times) < policy.quorum:
        detail = f"{len(times)} of {policy.quorum} witnesses have cosigned"
        raise LogRefused(LogRefusal.UNWITNESSED, detail)
    age = now - sorted(times.values(), reverse=True)[policy.quorum - 1]
    if age > policy.max_age:
        raise LogRefused(LogRefusal.STALE_CHECKPOINT, f"cosigned {int(age)} s ago")
