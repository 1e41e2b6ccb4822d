"""RFC 9474 Appendix A: blind signatures, byte for byte."""

from __future__ import annotations

import pytest

from discovery.privacy.blind_rsa import (
    PSS_DETERMINISTIC,
    PSS_RANDOMIZED,
    Variant,
    blind,
    blind_sign,
    finalize,
    prepare,
    verify,
)
from discovery.privacy.rsa_numbers import RsaPrivateKey, RsaPublicKey
from tests.rfc.discovery import rfc9474_vectors as given

pytestmark = pytest.mark.rfc(9474, "A")

PUBLIC = RsaPublicKey(int.from_bytes(given.N, "big"), given.E)
PRIVATE = RsaPrivateKey(
    PUBLIC,
    int.from_bytes(given.P, "big"),
    int.from_bytes(given.Q, "big"),
    int.from_bytes(given.D, "big"),
)
INVERSE = int.from_bytes(given.INVERSE, "big")


@pytest.mark.parametrize(
    ("variant", "blinded", "blind_signature", "signature"),
    [
        (
            PSS_DETERMINISTIC,
            given.DETERMINISTIC_BLINDED,
            given.DETERMINISTIC_BLIND_SIGNATURE,
            given.DETERMINISTIC_SIGNATURE,
        ),
        (
            PSS_RANDOMIZED,
            given.RANDOMIZED_BLINDED,
            given.RANDOMIZED_BLIND_SIGNATURE,
            given.RANDOMIZED_SIGNATURE,
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Variant) else "",
)
def test_every_step_gives_the_octets_of_the_appendix(
    variant: Variant, blinded: bytes, blind_signature: bytes, signature: bytes
) -> None:
    prepared = prepare(variant, given.MESSAGE, lambda _: given.PREFIX)
    factor = (pow(INVERSE, -1, PUBLIC.n), INVERSE)
    made = blind(variant, PUBLIC, prepared, lambda _: given.SALT, factor=factor)
    assert made.message == blinded
    assert blind_sign(PRIVATE, made.message) == blind_signature
    assert finalize(variant, PUBLIC, prepared, blind_signature, made.inverse) == signature
    verify(variant, PUBLIC, prepared, signature)
