"""RSA on plain integers: the raw operations that blind signatures need (RFC 8017 section 5.2).

No maintained library offers the raw private-key operation, and Python's `pow` takes time that
depends on its arguments. So every private operation works on a value made random first (base
blinding) with exponents made random too, and its result is checked before it leaves.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from discovery.privacy.reason import Fault, PrivacyError

_EXPONENT: Final = 65_537
_EXPONENT_BLIND_BITS: Final = 64


@dataclass(frozen=True, slots=True)
class RsaPublicKey:
    """Modulus and exponent."""

    n: int
    e: int

    @property
    def octets(self) -> int:
        """Length of the modulus, and so of signatures."""
        return (self.n.bit_length() + 7) // 8

    def apply(self, value: int) -> int:
        """Return RSAVP1 (RFC 8017 section 5.2.2)."""
        return pow(value, self.e, self.n)


@dataclass(frozen=True, slots=True)
class RsaPrivateKey:
    """A private key with its two primes; nothing of it is shown."""

    public: RsaPublicKey
    p: int = field(repr=False)
    q: int = field(repr=False)
    d: int = field(repr=False)

    @classmethod
    def generate(cls, bits: int = 2_048) -> RsaPrivateKey:
        """Make a fresh key."""
        return cls._of(rsa.generate_private_key(_EXPONENT, bits))

    @classmethod
    def from_pem(cls, pem: bytes) -> RsaPrivateKey:
        """Read PKCS #8 without password. Raises PrivacyError(MALFORMED) for anything else."""
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise PrivacyError(Fault.MALFORMED, "not a PEM private key") from None
        if not isinstance(key, rsa.RSAPrivateKey):
            raise PrivacyError(Fault.MALFORMED, "not an RSA key")
        return cls._of(key)

    @classmethod
    def _of(cls, key: rsa.RSAPrivateKey) -> RsaPrivateKey:
        numbers = key.private_numbers()
        public = RsaPublicKey(numbers.public_numbers.n, numbers.public_numbers.e)
        return cls(public, numbers.p, numbers.q, numbers.d)

    def to_pem(self) -> bytes:
        """Return PKCS #8 without password, to be stored as a secret."""
        numbers = rsa.RSAPrivateNumbers(
            self.p,
            self.q,
            self.d,
            rsa.rsa_crt_dmp1(self.d, self.p),
            rsa.rsa_crt_dmq1(self.d, self.q),
            rsa.rsa_crt_iqmp(self.p, self.q),
            rsa.RSAPublicNumbers(self.public.e, self.public.n),
        )
        return numbers.private_key().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def apply(self, value: int, random: Callable[[int], bytes] = secrets.token_bytes) -> int:
        """Return RSASP1 (RFC 8017 section 5.2.1) for 0 <= value < n.

        Takes milliseconds and holds the interpreter. Raises PrivacyError(SIGNING_FAILED) rather
        than give out a wrong result, which could betray a prime (RFC 9474 section 7.1).
        """
        public = self.public
        blind, inverse = unit_below(public.n, random)
        blinded = value * public.apply(blind) % public.n
        half_p = self._half(blinded, self.p, random)
        half_q = self._half(blinded, self.q, random)
        joined = half_q + self.q * ((half_p - half_q) * pow(self.q, -1, self.p) % self.p)
        result = joined * inverse % public.n
        if public.apply(result) != value:
            raise PrivacyError(Fault.SIGNING_FAILED)
        return result

    def _half(self, value: int, prime: int, random: Callable[[int], bytes]) -> int:
        """Return value ** d modulo a prime, by an exponent that is another one each time."""
        order = prime - 1
        factor = int.from_bytes(random(_EXPONENT_BLIND_BITS // 8), "big")
        return pow(value % prime, self.d % order + factor * order, prime)


def below(limit: int, random: Callable[[int], bytes] = secrets.token_bytes) -> int:
    """Return a number from 1 to limit - 1, each as likely as any other."""
    bits = limit.bit_length()
    octets = (bits + 7) // 8
    while True:
        candidate = int.from_bytes(random(octets), "big") >> (8 * octets - bits)
        if 0 < candidate < limit:
            return candidate


def unit_below(n: int, random: Callable[[int], bytes] = secrets.token_bytes) -> tuple[int, int]:
    """Return a random number that has an inverse modulo n, and the inverse."""
    while True:
        candidate = below(n, random)
        try:
            return candidate, pow(candidate, -1, n)
        except ValueError:
            continue  # shares a factor with n; for an honest key that never happens
