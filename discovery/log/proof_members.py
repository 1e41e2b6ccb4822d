"""The proof that comes with a record: members of a JSON object, and what checks them."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Final

from discovery.log.entry import LABEL_SIZE, EntryType, Label
from discovery.log.logged import InclusionProof, LoggedAnswer, parse_proof
from discovery.log.reason import LogRefusal, LogRefused

_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]{0,400}")


def proof_members(label: Label, nonce: bytes, proof: InclusionProof) -> dict[str, str]:
    """Return `{label, nonce, inclusion, label_proof?}`: base64url, and a c2sp.org/tlog-proof."""
    return {**label_members(label), "nonce": _base64url(nonce), "inclusion": str(proof)}


def label_members(label: Label) -> dict[str, str]:
    """Return `{label, label_proof?}` in base64url."""
    members = {"label": _base64url(label.value)}
    if label.proof:
        members["label_proof"] = _base64url(label.proof)
    return members


def read_label(members: Mapping[str, object]) -> Label:
    """Return a label with its proof, empty where none came. Raises LogRefused (MALFORMED)."""
    value = _octets(members, "label")
    if len(value) != LABEL_SIZE:
        raise LogRefused(LogRefusal.MALFORMED, "label has not 32 octets")
    return Label(value, _octets(members, "label_proof") if "label_proof" in members else b"")


def read_proof(
    entry_type: EntryType, content: bytes, members: Mapping[str, object]
) -> LoggedAnswer:
    """Return a content with the proof that came with it, for `verify_logged`.

    Raises LogRefused (OVERSIZED, MALFORMED).
    """
    inclusion = members.get("inclusion")
    if not isinstance(inclusion, str):
        raise LogRefused(LogRefusal.MALFORMED, "inclusion is not text")
    label = read_label(members)
    return LoggedAnswer(
        type=entry_type,
        content=content,
        label=label.value,
        nonce=_octets(members, "nonce"),
        proof=parse_proof(inclusion),
        label_proof=label.proof,
    )


def _base64url(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def _octets(members: Mapping[str, object], name: str) -> bytes:
    text = members.get(name)
    if not isinstance(text, str) or not _BASE64URL.fullmatch(text) or len(text) % 4 == 1:
        raise LogRefused(LogRefusal.MALFORMED, f"{name} is not base64url")
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
