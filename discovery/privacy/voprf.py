"""Verifiable oblivious pseudorandom function, VOPRF(ristretto255, SHA-512) (RFC 9497 section 3.3).

A server holds the key and learns nothing of the input; the client gets one output and a proof that
it was made with the key the server has published. The group operations are the `voprf` package's.
"""

from __future__ import annotations

from typing import Final

from voprf import ristretto

from discovery.privacy.reason import Fault, PrivacyError

SEED_OCTETS: Final = 32
ELEMENT_OCTETS: Final = 32  # Noe
EVALUATION_OCTETS: Final = 96  # proof, then evaluated element
OUTPUT_OCTETS: Final = 64  # Nh
MAX_INPUT: Final = 1_024


class Evaluator:
    """The holder of a key, derived from a secret seed of 32 octets and what the key is for.

    Raises ValueError from the constructor for a seed of another length.
    """

    __slots__ = ("_key", "public_key")

    def __init__(self, seed: bytes, purpose: bytes) -> None:
        if len(seed) != SEED_OCTETS:
            raise ValueError(f"a seed has {SEED_OCTETS} octets")
        self._key = ristretto.Evaluator.from_seed(seed, purpose)  # DeriveKeyPair
        self.public_key = self._key.public_key.serialize()

    def blind_evaluate(self, blinded: bytes) -> bytes:
        """Return proof and evaluated element for a blinded one.

        Raises PrivacyError(MALFORMED) for what is no element, the identity included.
        """
        try:
            element = ristretto.BlindedInput.deserialize(blinded)
            return self._key.evaluate(element).serialize()
        except ValueError:
            raise PrivacyError(Fault.MALFORMED, "blinded element") from None

    def evaluate(self, value: bytes) -> bytes:
        """Return the output for a value in the clear. Raises PrivacyError(MALFORMED)."""
        _check_input(value)
        return self._key.evaluate_known_input(value)


class Blinding:
    """A blinded value of a client, and what unblinds its evaluation."""

    __slots__ = ("_client", "element")

    def __init__(self, value: bytes) -> None:
        """Blind a value of 1 to 1,024 octets. Raises PrivacyError(MALFORMED) for another."""
        _check_input(value)
        self._client, blinded = ristretto.Client.blind(value)
        self.element = blinded.serialize()

    def finalize(self, evaluation: bytes, public_key: bytes) -> bytes:
        """Return the output after checking that it was made with this key.

        Raises PrivacyError: MALFORMED, or FORGED where the proof fails.
        """
        try:
            key = ristretto.PublicKey.deserialize(public_key)
            output = ristretto.VerifiableOutput.deserialize(evaluation)
        except ValueError:
            raise PrivacyError(Fault.MALFORMED, "evaluation or public key") from None
        try:
            return self._client.finalize(output, key)
        except ValueError:
            raise PrivacyError(Fault.FORGED, "proof of the evaluation") from None


def _check_input(value: bytes) -> None:
    if not 0 < len(value) <= MAX_INPUT:
        raise PrivacyError(Fault.MALFORMED, f"a value has 1 to {MAX_INPUT} octets")
