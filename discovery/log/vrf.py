"""Labels that anybody can check: ECVRF-EDWARDS25519-SHA512-TAI (RFC 9381).

The directory's secret key gives each identifier one output, and nobody else can compute or guess
it; the proof shows that it is the one. So a directory cannot hide a binding from its owner under
a second label.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha512
from typing import Final

from discovery.log.edwards25519 import (
    BASE,
    ORDER,
    Point,
    clear_cofactor,
    combined,
    decode,
    encode,
    is_identity,
    negative,
)
from discovery.log.entry import LABEL_SIZE, Label

PROOF_SIZE: Final = 80
_SUITE: Final = b"\x03"
_CHALLENGE: Final = 16
_MAX_KEPT: Final = 4_096


class VrfSecret:
    """A secret key of 32 octets; a proof takes 4 ms. Raises ValueError for another length."""

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise ValueError("a secret key of labels has 32 octets")
        digest = sha512(key).digest()
        # RFC 8032 section 5.1.5.
        self._scalar = int.from_bytes(digest[:32], "little") & (1 << 254) - 8 | 1 << 254
        self._prefix = digest[32:]
        self._point = combined((self._scalar, BASE))
        self.public = encode(self._point)

    def prove(self, alpha: bytes) -> bytes:
        """Return the proof of 80 octets for an input (section 5.1)."""
        point = _encode_to_curve(self.public, alpha)
        gamma = combined((self._scalar, point))
        nonce = int.from_bytes(sha512(self._prefix + encode(point)).digest(), "little") % ORDER
        at_base, at_point = combined((nonce, BASE)), combined((nonce, point))
        challenge = _challenge(self._point, point, gamma, at_base, at_point)
        number = int.from_bytes(challenge, "little")
        response = (nonce + number * self._scalar) % ORDER
        return encode(gamma) + challenge + response.to_bytes(32, "little")

    def label(self, identifier: str) -> Label:
        """Return the label of an identifier and its proof."""
        proof = self.prove(identifier.encode())
        gamma = decode(proof[:32])
        assert gamma is not None
        return Label(_output(gamma)[:LABEL_SIZE], proof)


class VrfPublic:
    """A public key of 32 octets: a LabelVerifier that remembers the last 4,096 labels it proved.

    Raises ValueError for octets that are no key (section 5.4.5).
    """

    def __init__(self, key: bytes) -> None:
        point = decode(key)
        if point is None or is_identity(clear_cofactor(point)):
            raise ValueError("not a public key of labels")
        self._key = key
        self._point = point
        self._proven: OrderedDict[tuple[str, bytes], None] = OrderedDict()

    def output(self, alpha: bytes, proof: bytes) -> bytes | None:
        """Return the 64 octets of output for an input; None where the proof fails (5.3)."""
        gamma = decode(proof[:32]) if len(proof) == PROOF_SIZE else None
        response = int.from_bytes(proof[48:], "little")
        if gamma is None or response >= ORDER:
            return None
        challenge = proof[32:48]
        number = int.from_bytes(challenge, "little")
        point = _encode_to_curve(self._key, alpha)
        at_base = combined((response, BASE), (number, negative(self._point)))
        at_point = combined((response, point), (number, negative(gamma)))
        if _challenge(self._point, point, gamma, at_base, at_point) != challenge:
            return None
        return _output(gamma)

    def is_label_of(self, label: bytes, identifier: str, proof: bytes) -> bool:
        """Tell whether a label is the one of an identifier."""
        if (identifier, label) in self._proven:
            return True
        output = self.output(identifier.encode(), proof)
        if output is None or output[:LABEL_SIZE] != label:
            return False
        self._proven[identifier, label] = None
        if len(self._proven) > _MAX_KEPT:
            self._proven.popitem(last=False)
        return True


def _encode_to_curve(salt: bytes, alpha: bytes) -> Point:
    """Section 5.4.1.1, try and increment; each of the 256 tries succeeds with a half."""
    for counter in range(256):
        octets = _SUITE + b"\x01" + salt + alpha + bytes((counter, 0))
        point = decode(sha512(octets).digest()[:32])
        if point is not None and not is_identity(found := clear_cofactor(point)):
            return found
    raise ValueError("no point for this input")


def _challenge(*points: Point) -> bytes:
    octets = b"".join(map(encode, points))
    return sha512(_SUITE + b"\x02" + octets + b"\x00").digest()[:_CHALLENGE]


def _output(gamma: Point) -> bytes:
    return sha512(_SUITE + b"\x03" + encode(clear_cofactor(gamma)) + b"\x00").digest()
