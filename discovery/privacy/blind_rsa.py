"""RSA blind signatures (RFC 9474): the signer does not see what it signs.

client: prepare, blind -> signer: blind_sign -> client: finalize -> anyone: verify
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from math import gcd
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from discovery.privacy.reason import Fault, PrivacyError
from discovery.privacy.rsa_numbers import RsaPrivateKey, RsaPublicKey, unit_below

_HASH_OCTETS: Final = 48  # SHA-384
_PREFIX_OCTETS: Final = 32


@dataclass(frozen=True, slots=True)
class Variant:
    """A named variant (section 5), all with SHA-384: salt length, and whether messages get a
    random prefix."""

    name: str
    salt_octets: int
    randomized: bool


PSS_RANDOMIZED: Final = Variant("RSABSSA-SHA384-PSS-Randomized", _HASH_OCTETS, True)
PSSZERO_RANDOMIZED: Final = Variant("RSABSSA-SHA384-PSSZERO-Randomized", 0, True)
PSS_DETERMINISTIC: Final = Variant("RSABSSA-SHA384-PSS-Deterministic", _HASH_OCTETS, False)
PSSZERO_DETERMINISTIC: Final = Variant("RSABSSA-SHA384-PSSZERO-Deterministic", 0, False)


@dataclass(frozen=True, slots=True)
class Blinded:
    """A blinded message, and the inverse of what blinded it, which stays with the client."""

    message: bytes
    inverse: int = field(repr=False)


def prepare(
    variant: Variant, message: bytes, random: Callable[[int], bytes] = secrets.token_bytes
) -> bytes:
    """Return the message that is signed in fact (section 4.1)."""
    return random(_PREFIX_OCTETS) + message if variant.randomized else message


def blind(
    variant: Variant,
    key: RsaPublicKey,
    prepared: bytes,
    random: Callable[[int], bytes] = secrets.token_bytes,
    *,
    factor: tuple[int, int] | None = None,
) -> Blinded:
    """Blind a prepared message (section 4.2).

    random: gives the salt first; factor: the blinding number and its inverse, for test vectors
    only. Raises PrivacyError(MALFORMED) for a key that is none.
    """
    encoded = _emsa_pss_encode(prepared, key.n.bit_length() - 1, random(variant.salt_octets))
    value = int.from_bytes(encoded, "big")
    if gcd(value, key.n) != 1:
        raise PrivacyError(Fault.MALFORMED, "message shares a factor with the modulus")
    number, inverse = factor or unit_below(key.n, random)
    return Blinded(_octets(value * key.apply(number) % key.n, key), inverse)


def blind_sign(
    key: RsaPrivateKey, blinded: bytes, random: Callable[[int], bytes] = secrets.token_bytes
) -> bytes:
    """Sign a blinded message (section 4.3).

    Raises PrivacyError: MALFORMED for a wrong length or a number not below the modulus,
    SIGNING_FAILED.
    """
    if len(blinded) != key.public.octets:
        raise PrivacyError(Fault.MALFORMED, "blinded message has another length")
    value = int.from_bytes(blinded, "big")
    if value >= key.public.n:
        raise PrivacyError(Fault.MALFORMED, "blinded message is out of range")
    return _octets(key.apply(value, random), key.public)


def finalize(
    variant: Variant, key: RsaPublicKey, prepared: bytes, blind_signature: bytes, inverse: int
) -> bytes:
    """Return the signature of a prepared message (section 4.4).

    Raises PrivacyError: MALFORMED for a wrong length, FORGED for what is no signature.
    """
    if len(blind_signature) != key.octets:
        raise PrivacyError(Fault.MALFORMED, "blind signature has another length")
    value = int.from_bytes(blind_signature, "big") * inverse % key.n
    signature = _octets(value, key)
    verify(variant, key, prepared, signature)
    return signature


def verify(variant: Variant, key: RsaPublicKey, prepared: bytes, signature: bytes) -> None:
    """Check a signature (section 4.5), which is an ordinary RSASSA-PSS one.

    Raises PrivacyError: FORGED, or MALFORMED for a key that is none.
    """
    scheme = padding.PSS(padding.MGF1(hashes.SHA384()), variant.salt_octets)
    try:
        _verifying_key(key).verify(signature, prepared, scheme, hashes.SHA384())
    except InvalidSignature:
        raise PrivacyError(Fault.FORGED) from None
    except ValueError:
        raise PrivacyError(Fault.MALFORMED, "RSA public key") from None


@lru_cache(maxsize=64)
def _verifying_key(key: RsaPublicKey) -> rsa.RSAPublicKey:
    return rsa.RSAPublicNumbers(key.e, key.n).public_key()


def _octets(value: int, key: RsaPublicKey) -> bytes:
    return value.to_bytes(key.octets, "big")


def _emsa_pss_encode(message: bytes, bits: int, salt: bytes) -> bytes:
    """Encode as RFC 8017 section 9.1.1 with SHA-384 and MGF1."""
    octets = (bits + 7) // 8
    digest = hashlib.sha384(message).digest()
    if octets < 2 * _HASH_OCTETS + 2:
        raise PrivacyError(Fault.MALFORMED, "modulus is too short")
    hashed = hashlib.sha384(bytes(8) + digest + salt).digest()
    block = (b"\x01" + salt).rjust(octets - _HASH_OCTETS - 1, b"\0")
    mask = _mgf1(hashed, len(block))
    masked = int.from_bytes(block, "big") ^ int.from_bytes(mask, "big")
    masked &= (1 << (8 * len(block) - (8 * octets - bits))) - 1
    return masked.to_bytes(len(block), "big") + hashed + b"\xbc"


def _mgf1(seed: bytes, octets: int) -> bytes:
    count = -(-octets // _HASH_OCTETS)
    blocks = (hashlib.sha384(seed + i.to_bytes(4, "big")).digest() for i in range(count))
    return b"".join(blocks)[:octets]
