"""Labels against RFC 9381 appendix B.3: ECVRF-EDWARDS25519-SHA512-TAI."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from discovery.log.vrf import VrfPublic, VrfSecret

EXAMPLES = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "8657106690b5526245a92b003bb079ccd1a92130477671f6fc01ad16f26f723f26f8a57ccaed74ee1b190bed"
        "1f479d9727d2d0f9b005a6e456a35d4fb0daab1268a1b0db10836d9826a528ca76567805",
        "90cf1df3b703cce59e2a35b925d411164068269d7b2d29f3301c03dd757876ff66b71dda49d2de59d0345045"
        "1af026798e8f81cd2e333de5cdf4f3e140fdd8ae",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "f3141cd382dc42909d19ec5110469e4feae18300e94f304590abdced48aed5933bf0864a62558b3ed7f2fea4"
        "5c92a465301b3bbf5e3e54ddf2d935be3b67926da3ef39226bbc355bdc9850112c8f4b02",
        "eb4440665d3891d668e7e0fcaf587f1b4bd7fbfe99d0eb2211ccec90496310eb5e33821bc613efb94db5e5b5"
        "4c70a848a0bef4553a41befc57663b56373a5031",
    ),
]
SECRET = VrfSecret(b"s" * 32)
PUBLIC = VrfPublic(SECRET.public)


@pytest.mark.rfc(9381, "B.3")
@pytest.mark.parametrize(("secret", "public", "alpha", "proof", "output"), EXAMPLES)
def test_the_examples_are_proven_and_verified(
    secret: str, public: str, alpha: str, proof: str, output: str
) -> None:
    key = VrfSecret(bytes.fromhex(secret))
    assert key.public.hex() == public
    assert key.prove(bytes.fromhex(alpha)).hex() == proof
    found = VrfPublic(key.public).output(bytes.fromhex(alpha), bytes.fromhex(proof))
    assert found is not None
    assert found.hex() == output


@settings(max_examples=25, deadline=None)
@given(st.binary(min_size=32, max_size=32))
def test_keys_are_those_of_ed25519(secret: bytes) -> None:
    other = Ed25519PrivateKey.from_private_bytes(secret).public_key()
    assert VrfSecret(secret).public == other.public_bytes_raw()


def test_a_label_is_that_of_one_identifier_and_there_is_no_second() -> None:
    label = SECRET.label("tel:+12125550142")
    assert label == SECRET.label("tel:+12125550142")
    for _ in range(2):
        assert PUBLIC.is_label_of(label.value, "tel:+12125550142", label.proof)
    assert not PUBLIC.is_label_of(label.value, "tel:+12125550143", label.proof)
    assert not PUBLIC.is_label_of(b"x" * 32, "tel:+12125550142", label.proof)
    other = VrfPublic(VrfSecret(b"t" * 32).public)
    assert not other.is_label_of(label.value, "tel:+12125550142", label.proof)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 79), st.integers(1, 255), st.integers(0, 80))
def test_a_proof_that_was_changed_is_none(place: int, change: int, length: int) -> None:
    proof = bytearray(SECRET.prove(b"alpha"))
    proof[place] ^= change
    assert PUBLIC.output(b"alpha", bytes(proof)) is None
    assert PUBLIC.output(b"alpha", bytes(proof[:length])) is None


@pytest.mark.parametrize(
    "key", [b"", b"\x01" + bytes(31), b"\xff" * 32, bytes(32), b"\x02" + bytes(31), b"x" * 33]
)
def test_octets_that_are_no_key_are_refused(key: bytes) -> None:
    with pytest.raises(ValueError, match="key"):
        VrfPublic(key)
    if len(key) != 32:
        with pytest.raises(ValueError, match="key"):
            VrfSecret(key)
