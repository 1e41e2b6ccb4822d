"""The key of an ACME account (RFC 8555 section 6.2): ES256, with its JWK and fingerprints."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from stir.certificates.certificate import ES256, load_private_key
from stir.passport import encode_part
from stir.strict_json import canonical


class AccountKey:
    """A P-256 key that signs the requests of one account; it is no certificate's key."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        numbers = key.public_key().public_numbers()
        # The members that RFC 7638 hashes, and no others.
        self.jwk: dict[str, str] = {
            "crv": "P-256",
            "kty": "EC",
            "x": encode_part(numbers.x.to_bytes(32, "big")),
            "y": encode_part(numbers.y.to_bytes(32, "big")),
        }

    def __repr__(self) -> str:
        return f"AccountKey(thumbprint={encode_part(self.thumbprint)!r})"

    @classmethod
    def load(cls, pem: bytes) -> AccountKey:
        """Load an unencrypted P-256 key in PEM; raises MalformedCredential without the key."""
        return cls(load_private_key(pem))

    @property
    def thumbprint(self) -> bytes:
        """The JWK thumbprint by SHA-256 (RFC 7638, RFC 8555 section 8.1)."""
        return jwk_thumbprint(self.jwk)

    @property
    def public_key_digest(self) -> bytes:
        """SHA-256 of the SubjectPublicKeyInfo, which some token authorities bind to instead."""
        spki = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return hashlib.sha256(spki).digest()

    def sign(self, octets: bytes) -> bytes:
        """Return the ES256 signature as 64 octets (RFC 7518 section 3.4)."""
        r, s = decode_dss_signature(self._key.sign(octets, ES256))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def jwk_thumbprint(required: dict[str, str]) -> bytes:
    """SHA-256 over the required members of a JWK, sorted and without white space (RFC 7638)."""
    return hashlib.sha256(canonical(required)).digest()
