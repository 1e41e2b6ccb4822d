"""Split storage: neither of two servers alone learns what is asked, or reads what is stored.

Server A, the evaluator, evaluates two pseudorandom functions on identifiers it cannot see. Server B
keeps sealed entries in buckets by the first bits of their label.

    client -> A: two blinded identifiers   <- two evaluations with proofs
        label = VOPRF(k1, identifier), entry key = HKDF(VOPRF(k2, identifier))
    client -> B: number of a bucket        <- a bucket of one size, dummies among its entries
        entry = AES-256-GCM open by entry key, with the label as additional data

The directory, which has checked who owns an identifier, asks A like everybody and is the only one
that B takes entries from; B has neither key and knows no identifier. Together, A and B can read
everything.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from discovery.privacy.alike import SizeClasses
from discovery.privacy.octets import Octets
from discovery.privacy.reason import Fault, PrivacyError
from discovery.privacy.voprf import (
    ELEMENT_OCTETS,
    EVALUATION_OCTETS,
    SEED_OCTETS,
    Blinding,
    Evaluator,
)

LABEL_OCTETS: Final = 32
MAX_PREFIX_BITS: Final = 32
REQUEST_OCTETS: Final = 2 * ELEMENT_OCTETS
RESPONSE_OCTETS: Final = 2 * EVALUATION_OCTETS
# One record with its chain and proof; one with sealed maps, or two; the largest there can be.
ENTRY_SIZES: Final = SizeClasses((3_072, 6_144, 12_288))

_LABEL_PURPOSE: Final = b"spingate split storage label v1"
_RECORD_PURPOSE: Final = b"spingate split storage record v1"
_SEEDS: Final = b"spingate split storage seeds v1"
_GENERATION: Final = b"spingate split storage generation v1"
_DUMMIES: Final = b"spingate split storage dummies v1"
_KEYS: Final = re.compile(r"[0-9a-f]{64}\+[0-9a-f]{64}")
_NONCE_OCTETS: Final = 12
_TAG_OCTETS: Final = 16
_LENGTH_OCTETS: Final = 2
_SEAL_OCTETS: Final = _NONCE_OCTETS + _TAG_OCTETS
SEALED_SIZES: Final = frozenset(size + _SEAL_OCTETS for size in ENTRY_SIZES.sizes)
MAX_SEALED: Final = max(SEALED_SIZES)
_HEAD_OCTETS: Final = LABEL_OCTETS + _LENGTH_OCTETS
_DUMMY_OCTETS: Final = min(SEALED_SIZES)
# With the header of binary HTTP around it still within the largest class of Oblivious HTTP.
BUCKET_OCTETS: Final = 19 * (_HEAD_OCTETS + _DUMMY_OCTETS)


@dataclass(frozen=True, slots=True)
class EvaluationKeys:
    """The public keys of server A, to be pinned by clients."""

    label: bytes
    record: bytes

    @property
    def generation(self) -> str:
        """The name of all that is labelled and sealed by these keys: 16 hexadecimal digits."""
        return hashlib.sha256(_GENERATION + self.label + self.record).hexdigest()[:16]

    def __str__(self) -> str:
        return f"{self.label.hex()}+{self.record.hex()}"


def parse_evaluation_keys(text: str) -> EvaluationKeys:
    """Read the public keys of server A as `str` writes them. Raises PrivacyError(MALFORMED)."""
    if not _KEYS.fullmatch(text):
        raise PrivacyError(Fault.MALFORMED, "not two keys of 64 hexadecimal digits with a plus")
    label, _, record = text.partition("+")
    return EvaluationKeys(bytes.fromhex(label), bytes.fromhex(record))


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


def blind_evaluator(secret: bytes) -> BlindEvaluator:
    """Return server A for one secret of 32 octets, of which both keys are made."""
    seeds = HKDF(hashes.SHA256(), 2 * SEED_OCTETS, None, _SEEDS).derive(secret)
    return BlindEvaluator(seeds[:SEED_OCTETS], seeds[SEED_OCTETS:])


@dataclass(frozen=True, slots=True)
class StorageSecrets:
    """What opens and seals the entry of one identifier."""

    label: bytes
    record_key: bytes = field(repr=False)

    def bucket(self, bits: int) -> int:
        """Return the number of the bucket to ask server B for."""
        return bucket_of(self.label, bits)

    def seal(self, record: bytes, random: Callable[[int], bytes] = secrets.token_bytes) -> bytes:
        """Encrypt an entry, padded to a size class. Raises PrivacyError(OVERSIZED)."""
        framed = len(record).to_bytes(_LENGTH_OCTETS, "big") + record
        padded = framed.ljust(ENTRY_SIZES.size_for(len(framed)), b"\0")
        nonce = random(_NONCE_OCTETS)
        return nonce + AESGCM(self.record_key).encrypt(nonce, padded, self.label)

    def open(self, sealed: bytes) -> bytes:
        """Decrypt an entry. Raises PrivacyError: OVERSIZED, TRUNCATED, UNDECRYPTABLE, MALFORMED."""
        if len(sealed) > MAX_SEALED:
            raise PrivacyError(Fault.OVERSIZED, f"entry of more than {MAX_SEALED} octets")
        octets = Octets(sealed)
        nonce = octets.take(_NONCE_OCTETS)
        try:
            padded = Octets(AESGCM(self.record_key).decrypt(nonce, octets.rest(), self.label))
        except InvalidTag:
            raise PrivacyError(Fault.UNDECRYPTABLE, "entry") from None
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


def bucket_of(label: bytes, bits: int) -> int:
    """Return the number of a label's bucket: its first `bits` bits, 0 to 32 of them."""
    return int.from_bytes(label[:4], "big") >> (MAX_PREFIX_BITS - bits)


def entry_octets(sealed: int) -> int:
    """Return what a sealed entry of so many octets takes of a bucket."""
    return _HEAD_OCTETS + sealed


def encode_entries(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return labels and sealed entries, one behind the other."""
    encoded = bytearray()
    for label, sealed in entries:
        encoded += label + len(sealed).to_bytes(_LENGTH_OCTETS, "big") + sealed
    return bytes(encoded)


def decode_entries(octets: bytes) -> list[tuple[bytes, bytes]]:
    """Read what `encode_entries` wrote. Raises PrivacyError: TRUNCATED, MALFORMED (a size that no
    entry has)."""
    cursor = Octets(octets)
    entries = []
    while cursor.left:
        label, sealed = cursor.take(LABEL_OCTETS), cursor.vector(_LENGTH_OCTETS)
        if len(sealed) not in SEALED_SIZES:
            raise PrivacyError(Fault.MALFORMED, "an entry that is of no size class")
        entries.append((label, sealed))
    return entries


def encode_bucket(entries: Iterable[tuple[bytes, bytes]], dummies: Dummies | None = None) -> bytes:
    """Return a bucket as server B gives it out, always of 59,546 octets.

    Raises PrivacyError(OVERSIZED) where the entries do not fit: the prefix has to be longer.
    """
    held = list(entries)
    left = BUCKET_OCTETS - sum(entry_octets(len(sealed)) for _, sealed in held)
    if left < 0:
        raise PrivacyError(Fault.OVERSIZED, f"bucket of more than {BUCKET_OCTETS} octets")
    if dummies is not None:
        held += dummies.make(left // entry_octets(_DUMMY_OCTETS))
    return encode_entries(sorted(held)).ljust(BUCKET_OCTETS, b"\0")


class Dummies:
    """Entries of one bucket that nobody can open, the same each time the bucket is given out.

    One answer does not tell how many entries are real; who asks for a bucket over days sees which
    of them are sealed anew. secret: server B's, 32 octets.
    """

    __slots__ = ("_prefix", "_stream")

    def __init__(self, secret: bytes, generation: str, bits: int, bucket: int) -> None:
        name = b"\0".join((_DUMMIES, generation.encode(), b"%d" % bits, b"%d" % bucket))
        key = HKDF(hashes.SHA256(), 32, None, name).derive(secret)
        self._prefix = (bits, bucket)
        self._stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()

    def make(self, count: int) -> list[tuple[bytes, bytes]]:
        """Return so many dummies."""
        return [(self._label(), self._octets(_DUMMY_OCTETS)) for _ in range(count)]

    def _label(self) -> bytes:
        bits, bucket = self._prefix
        free = MAX_PREFIX_BITS - bits
        drawn = self._octets(LABEL_OCTETS)
        first = bucket << free | int.from_bytes(drawn[:4], "big") & ((1 << free) - 1)
        return first.to_bytes(4, "big") + drawn[4:]

    def _octets(self, count: int) -> bytes:
        return self._stream.update(bytes(count))


def find_sealed(bucket: bytes, label: bytes) -> bytes | None:
    """Return the sealed entry of a label out of a bucket; None where it has none.

    Raises PrivacyError: MALFORMED for a bucket of another size, TRUNCATED.
    """
    if len(bucket) != BUCKET_OCTETS:
        raise PrivacyError(Fault.MALFORMED, f"a bucket has {BUCKET_OCTETS} octets")
    octets, found = Octets(bucket), None
    while octets.left >= _HEAD_OCTETS + _DUMMY_OCTETS:
        held, sealed = octets.take(LABEL_OCTETS), octets.vector(_LENGTH_OCTETS)
        if not sealed:
            break  # padding
        if len(sealed) not in SEALED_SIZES:
            raise PrivacyError(Fault.MALFORMED, "an entry that is of no size class")
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
