"""Cosignatures (c2sp.org/tlog-cosignature, v1): a witness saw this tree grow out of the last."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from discovery.log.checkpoint import SignedCheckpoint
from discovery.log.note import (
    COSIGNATURE,
    SignatureLine,
    check_name,
    key_id,
    parse_vkey,
    signed,
    verified,
    vkey,
)

_TIMESTAMP: Final = 8
_SIZE: Final = _TIMESTAMP + 64
_MAX_TIMESTAMP: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class WitnessKey:
    """The public key of a witness: `name+id+key` as text (a vkey), signature type 0x04."""

    name: str
    public_key: Ed25519PublicKey

    @property
    def key_id(self) -> bytes:
        """First four octets of the digest over name, type and key."""
        return key_id(self.name, COSIGNATURE, self.public_key)

    def verify(self, text: str, signature: bytes) -> bool:
        """Tell whether this is the witness' cosignature on the text of a checkpoint."""
        if len(signature) != _SIZE:
            return False
        at = int.from_bytes(signature[:_TIMESTAMP], "big")
        if at > _MAX_TIMESTAMP:
            return False
        return signed(self.public_key, signature[_TIMESTAMP:], _message(text, at))

    def __str__(self) -> str:
        return vkey(self.name, COSIGNATURE, self.public_key)


@dataclass(frozen=True, slots=True)
class Cosigner:
    """The private key of a witness. Raises ValueError for a name that no note can carry."""

    name: str
    private_key: Ed25519PrivateKey

    def __post_init__(self) -> None:
        check_name(self.name)

    @property
    def verifier(self) -> WitnessKey:
        """What others verify with."""
        return WitnessKey(self.name, self.private_key.public_key())

    def cosign(self, text: str, now: float) -> SignatureLine:
        """Return a cosignature on the text of a checkpoint at `now` (epoch seconds)."""
        at = int(now)
        signature = at.to_bytes(_TIMESTAMP, "big") + self.private_key.sign(_message(text, at))
        return SignatureLine(self.name, self.verifier.key_id, signature)


@dataclass(frozen=True, slots=True)
class Cosigned:
    """Which witness has cosigned a checkpoint, and when (epoch seconds)."""

    witness: WitnessKey
    at: int


def parse_witness(text: str) -> WitnessKey:
    """Return the public key of a witness from its vkey. Raises LogRefused (MALFORMED)."""
    return WitnessKey(*parse_vkey(text, COSIGNATURE))


def cosignatures(checkpoint: SignedCheckpoint, witnesses: Iterable[WitnessKey]) -> list[Cosigned]:
    """Return the cosignatures of known witnesses, each witness once.

    Raises LogRefused (FORGED) if one that claims to be of a known witness is not.
    """
    known = {(key.name, key.key_id): key for key in witnesses}
    return [
        Cosigned(known[line.name, line.key_id], int.from_bytes(line.signature[:_TIMESTAMP], "big"))
        for _, line in verified(checkpoint.note, known.values())
    ]


def _message(text: str, at: int) -> bytes:
    return f"cosignature/v1\ntime {at}\n{text}".encode()
