"""The public keys of token type 2 in their one DER form (RFC 9578 section 6.5)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

from discovery.privacy.reason import Fault, PrivacyError
from discovery.privacy.rsa_numbers import RsaPublicKey

KEY_ID_OCTETS: Final = 32
MODULUS_BITS: Final = 2_048
_MODULUS_OCTETS: Final = MODULUS_BITS // 8
# SubjectPublicKeyInfo of a 2048-bit key up to its modulus: id-RSASSA-PSS with SHA-384, MGF1 with
# SHA-384 and a salt of 48 octets, then the BIT STRING with RSAPublicKey inside.
_BEFORE: Final = bytes.fromhex(
    "30820152303d06092a864886f70d01010a3030a00d300b0609608648016503040202a11a301806092a864886f7"
    "0d010108300b0609608648016503040202a2030201300382010f003082010a0282010100"
)
_AFTER: Final = bytes.fromhex("0203010001")
_EXPONENT: Final = 65_537
SPKI_OCTETS: Final = len(_BEFORE) + _MODULUS_OCTETS + len(_AFTER)


@dataclass(frozen=True, slots=True)
class TokenKey:
    """An issuer's public key; `spki` is its DER form and `key_id` the SHA-256 of that."""

    rsa: RsaPublicKey
    spki: bytes = field(init=False, repr=False)
    key_id: bytes = field(init=False)

    def __post_init__(self) -> None:
        if self.rsa.n.bit_length() != MODULUS_BITS or self.rsa.e != _EXPONENT:
            raise PrivacyError(Fault.MALFORMED, "not a 2048-bit key with exponent 65537")
        spki = _BEFORE + self.rsa.n.to_bytes(_MODULUS_OCTETS, "big") + _AFTER
        object.__setattr__(self, "spki", spki)
        object.__setattr__(self, "key_id", hashlib.sha256(spki).digest())

    @property
    def truncated_key_id(self) -> int:
        """The last octet of `key_id`, which is all that a client tells the issuer."""
        return self.key_id[-1]


def parse_token_key(spki: bytes) -> TokenKey:
    """Read a token key. Raises PrivacyError(MALFORMED) for any other algorithm, length or form."""
    modulus = spki[len(_BEFORE) : -len(_AFTER)]
    if len(spki) != SPKI_OCTETS or spki != _BEFORE + modulus + _AFTER or not modulus[-1] & 1:
        raise PrivacyError(Fault.MALFORMED, "not the SPKI of a 2048-bit RSASSA-PSS key")
    return TokenKey(RsaPublicKey(int.from_bytes(modulus, "big"), _EXPONENT))
