"""Split storage: neither of two servers alone learns what is asked, or reads what is stored.

Server A evaluates two pseudorandom functions on identifiers it cannot see. Server B keeps sealed
records in buckets by the first bits of their label.

    client -> A: two blinded identifiers   <- two evaluations with proofs
        label = VOPRF(k1, identifier), record key = HKDF(VOPRF(k2, identifier))
    client -> B: bucket number             <- every sealed record of the bucket
        record = AES-256-GCM open by record key, with the label as additional data

B computes labels itself (it holds k1 too) for owners who have proven their identifier, so that
nobody takes the place of another. Together, A and B can read everything.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from discovery.privacy.alike import SizeClasses
from discovery.privacy.octets import Octets
from discovery.privacy.reason import Fault, PrivacyError
from discovery.privacy.voprf import ELEMENT_OCTETS, EVALUATION_OCTETS, Blinding, Evaluator

LABEL_OCTETS: Final = 32
PREFIX_BITS: Final = 16
REQUEST_OCTETS: Final = 2 * ELEMENT_OCTETS
RESPONSE_OCTETS: Final = 2 * EVALUATION_OCTETS
MAX_BUCKET: Final = 61_440
RECORD_SIZES: Final = SizeClasses((1_024, 4_096))

_LABEL_PURPOSE: Final = b"spingate split storage label v1"
_RECORD_PURPOSE: Final = b"spingate split storage record v1"
_NONCE_OCTETS: Final = 12
_TAG_OCTETS: Final = 16
_LENGTH_OCTETS: Final = 2
MAX_SEALED: Final = _NONCE_OCTETS + RECORD_SIZES.sizes[-1] + _TAG_OCTETS


@dataclass(frozen=True, slots=True)
class EvaluationKeys:
    """The public keys of server A, to be pinned by clients."""

    label: bytes
    record: bytes


class LabelMaker:
    """What makes labels of identifiers in the clear: server B's part, and A's."""

    __slots__ = ("_evaluator",)

    def __init__(self, seed: bytes) -> None:
        self._evaluator = Evaluator(seed, _LABEL_PURPOSE)

    def label(self, identifier: str) -> bytes:
        """Return the label of an identifier in canonical form. Raises PrivacyError(MALFORMED)."""
        return _label(self._evaluator.evaluate(_value(identifier)))


class BlindEvaluator:
    """Server A: evaluates both functions, by secret seeds of 32 octets each.

    Whoever may ask at will may try every number, so the caller takes a token for each question.
    """

    __slots__ = ("_label", "_record", "public_keys")

    def __init__(self, label_seed: bytes, record_seed: bytes) -> None:
        self._label = Evaluator(label_seed, _LABEL_PURPOSE)
        self._record = Evaluator(record_seed, _RECORD_PURPOSE)
        self.public_keys = EvaluationKeys(self._label.public_key, self._record.public_key)

    def evaluate(self, request: bytes) -> bytes:
        """Answer a question, 64 octets by 192. Raises PrivacyError(MALFORMED)."""
        if len(request) != REQUEST_OCTETS:
            raise PrivacyError(Fault.MALFORMED, f"a question has {REQUEST_OCTETS} octets")
        label = self._label.blind_evaluate(request[:ELEMENT_OCTETS])
        return label + self._record.blind_evaluate(request[ELEMENT_OCTETS:])


@dataclass(frozen=True, slots=True)
class StorageSecrets:
    """What opens and seals the record of one identifier."""

    label: bytes
    record_key: bytes = field(repr=False)

    @property
    def bucket(self) -> int:
        """The number of the bucket to ask server B for."""
        return bucket_of(self.label)

    def seal(self, record: bytes, random: Callable[[int], bytes] = secrets.token_bytes) -> bytes:
        """Encrypt a record, padded to a size class. Raises PrivacyError(OVERSIZED)."""
        framed = len(record).to_bytes(_LENGTH_OCTETS, "big") + record
        padded = framed.ljust(RECORD_SIZES.size_for(len(framed)), b"\0")
        nonce = random(_NONCE_OCTETS)
        return nonce + AESGCM(self.record_key).encrypt(nonce, padded, self.label)

    def open(self, sealed: bytes) -> bytes:
        """Decrypt a record. Raises PrivacyError: OVERSIZED, TRUNCATED, UNDECRYPTABLE, MALFORMED."""
        if len(sealed) > MAX_SEALED:
            raise PrivacyError(Fault.OVERSIZED, f"record of more than {MAX_SEALED} octets")
        octets = Octets(sealed)
        nonce = octets.take(_NONCE_OCTETS)
        try:
            padded = Octets(AESGCM(self.record_key).decrypt(nonce, octets.rest(), self.label))
        except InvalidTag:
            raise PrivacyError(Fault.UNDECRYPTABLE, "record") from None
        record = padded.vector(_LENGTH_OCTETS)
        if padded.rest().strip(b"\0"):
            raise PrivacyError(Fault.MALFORMED, "padding that is not zero")
        return record


class StorageQuestion:
    """A client's question about one identifier; `request` is what server A gets to see."""

    __slots__ = ("_label", "_record", "request")

    def __init__(self, identifier: str) -> None:
        """Blind an identifier in canonical form. Raises PrivacyError(MALFORMED)."""
        value = _value(identifier)
        self._label, self._record = Blinding(value), Blinding(value)
        self.request = self._label.element + self._record.element

    def finish(self, response: bytes, keys: EvaluationKeys) -> StorageSecrets:
        """Return the secrets of the identifier.

        Raises PrivacyError: MALFORMED, or FORGED where server A did not use its published keys.
        """
        if len(response) != RESPONSE_OCTETS:
            raise PrivacyError(Fault.MALFORMED, f"an answer has {RESPONSE_OCTETS} octets")
        label = self._label.finalize(response[:EVALUATION_OCTETS], keys.label)
        record = self._record.finalize(response[EVALUATION_OCTETS:], keys.record)
        hkdf = HKDF(hashes.SHA256(), 32, None, _RECORD_PURPOSE)
        return StorageSecrets(_label(label), hkdf.derive(record))


def bucket_of(label: bytes) -> int:
    """Return the bucket of a label: its first 16 bits."""
    return int.from_bytes(label[: PREFIX_BITS // 8], "big")


def encode_bucket(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a bucket's labels and sealed records as server B gives them out.

    Raises PrivacyError(OVERSIZED): the directory has outgrown buckets of 16 bits.
    """
    bucket = bytearray()
    for label, sealed in sorted(entries):
        bucket += label + len(sealed).to_bytes(_LENGTH_OCTETS, "big") + sealed
        if len(bucket) > MAX_BUCKET:
            raise PrivacyError(Fault.OVERSIZED, f"bucket of more than {MAX_BUCKET} octets")
    return bytes(bucket)


def find_sealed(bucket: bytes, label: bytes) -> bytes | None:
    """Return the sealed record of a label out of a bucket; None where it has none.

    Raises PrivacyError: OVERSIZED, TRUNCATED.
    """
    if len(bucket) > MAX_BUCKET:
        raise PrivacyError(Fault.OVERSIZED, f"bucket of more than {MAX_BUCKET} octets")
    octets, found = Octets(bucket), None
    while octets.left:
        held, sealed = octets.take(LABEL_OCTETS), octets.vector(_LENGTH_OCTETS)
        if held == label:
            found = sealed
    return found


def _label(output: bytes) -> bytes:
    return output[:LABEL_OCTETS]


def _value(identifier: str) -> bytes:
    try:
        return identifier.encode()
    except UnicodeEncodeError:
        raise PrivacyError(Fault.MALFORMED, "identifier") from None
