"""Key configurations of Oblivious HTTP (RFC 9458 section 3) and the keys behind them.

A client takes a configuration out of `application/ohttp-keys`; a gateway holds several keys, of
which it advertises those in their time and opens requests to those not yet forgotten.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from discovery.privacy.octets import Octets
from discovery.privacy.reason import Fault, PrivacyError

MEDIA_TYPE: Final = "application/ohttp-keys"
DHKEM_X25519: Final = 0x0020
HKDF_SHA256: Final = 0x0001
AES_128_GCM: Final = 0x0001
AES_256_GCM: Final = 0x0002
CHACHA20_POLY1305: Final = 0x0003

MAX_CONFIGURATIONS: Final = 16
MAX_ENCODED: Final = 8_192
_MAX_ALGORITHMS: Final = 32
_KEY_OCTETS: Final = 32
# Npk of the KEMs that are registered and of a length we know; others cannot be read, only skipped.
_PUBLIC_KEY_OCTETS: Final = {0x0010: 65, 0x0011: 97, 0x0012: 133, DHKEM_X25519: 32, 0x0021: 56}


@dataclass(frozen=True, slots=True)
class SymmetricAlgorithm:
    """A pair of HPKE identifiers: key derivation function and AEAD (RFC 9180 section 7)."""

    kdf_id: int
    aead_id: int


ALGORITHMS: Final = (
    SymmetricAlgorithm(HKDF_SHA256, AES_128_GCM),
    SymmetricAlgorithm(HKDF_SHA256, CHACHA20_POLY1305),
)
SUPPORTED: Final = frozenset({*ALGORITHMS, SymmetricAlgorithm(HKDF_SHA256, AES_256_GCM)})


@dataclass(frozen=True, slots=True)
class KeyConfiguration:
    """One public key of a gateway with its identifier (0 to 255) and the algorithms it takes."""

    key_id: int
    kem_id: int
    public_key: bytes
    algorithms: tuple[SymmetricAlgorithm, ...]

    def encode(self) -> bytes:
        """Return the configuration as in section 3.1, without length."""
        pairs = b"".join(
            one.kdf_id.to_bytes(2, "big") + one.aead_id.to_bytes(2, "big")
            for one in self.algorithms
        )
        start = self.key_id.to_bytes(1, "big") + self.kem_id.to_bytes(2, "big")
        return start + self.public_key + len(pairs).to_bytes(2, "big") + pairs

    def preferred(self) -> SymmetricAlgorithm | None:
        """Return the first algorithm that we have too; None where we lack them or the KEM."""
        if self.kem_id != DHKEM_X25519:
            return None
        return next((one for one in self.algorithms if one in SUPPORTED), None)


def parse_key_configuration(data: bytes) -> KeyConfiguration:
    """Read one configuration. Raises PrivacyError: TRUNCATED, MALFORMED, OVERSIZED,
    SUITE_UNSUPPORTED for a KEM whose keys are of unknown length."""
    octets = Octets(data)
    key_id, kem_id = octets.integer(1), octets.integer(2)
    size = _PUBLIC_KEY_OCTETS.get(kem_id)
    if size is None:
        raise PrivacyError(Fault.SUITE_UNSUPPORTED, f"KEM {kem_id:#06x}")
    public_key, pairs = octets.take(size), Octets(octets.vector(2))
    octets.end()
    if not pairs.left or pairs.left % 4:
        raise PrivacyError(Fault.MALFORMED, "symmetric algorithms")
    if pairs.left > 4 * _MAX_ALGORITHMS:
        raise PrivacyError(Fault.OVERSIZED, f"more than {_MAX_ALGORITHMS} algorithms")
    algorithms: list[SymmetricAlgorithm] = []
    while pairs.left:
        algorithms.append(SymmetricAlgorithm(pairs.integer(2), pairs.integer(2)))
    return KeyConfiguration(key_id, kem_id, public_key, tuple(algorithms))


def encode_key_configurations(configurations: Iterable[KeyConfiguration]) -> bytes:
    """Return `application/ohttp-keys` (section 3.2), the preferred key first."""
    encoded = [one.encode() for one in configurations]
    return b"".join(len(one).to_bytes(2, "big") + one for one in encoded)


def parse_key_configurations(data: bytes) -> tuple[KeyConfiguration, ...]:
    """Read `application/ohttp-keys`; those of a KEM we cannot read are left out.

    Raises PrivacyError for the whole collection if any one is encoded wrongly: taking the rest
    would let a gateway tell clients apart by what they recover (section 3.2).
    """
    if len(data) > MAX_ENCODED:
        raise PrivacyError(Fault.OVERSIZED, f"more than {MAX_ENCODED} octets of keys")
    octets, found, count = Octets(data), [], 0
    while octets.left:
        count += 1
        if count > MAX_CONFIGURATIONS:
            raise PrivacyError(Fault.OVERSIZED, f"more than {MAX_CONFIGURATIONS} keys")
        try:
            found.append(parse_key_configuration(octets.vector(2)))
        except PrivacyError as error:
            if error.fault is not Fault.SUITE_UNSUPPORTED:
                raise
    if not count:
        raise PrivacyError(Fault.TRUNCATED, "no key configuration")
    return tuple(found)


class GatewayKey:
    """A private X25519 key of a gateway, advertised and accepted for its time.

    private: 32 octets. Times in epoch seconds: advertised from `not_before` until
    `advertise_until`, accepted until `accept_until`, which should be later by what clients cache.
    """

    __slots__ = ("_private", "accept_until", "advertise_until", "configuration", "not_before")

    def __init__(
        self,
        key_id: int,
        private: bytes,
        *,
        algorithms: tuple[SymmetricAlgorithm, ...] = ALGORITHMS,
        not_before: float = 0.0,
        advertise_until: float = float("inf"),
        accept_until: float = float("inf"),
    ) -> None:
        if len(private) != _KEY_OCTETS or not 0 <= key_id <= 255:
            raise ValueError("a key has 32 octets and an identifier from 0 to 255")
        if not algorithms or not SUPPORTED.issuperset(algorithms):
            raise ValueError("a key needs algorithms, of those supported")
        public = X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
        self._private = private
        self.configuration = KeyConfiguration(key_id, DHKEM_X25519, public, algorithms)
        self.not_before = not_before
        self.advertise_until = advertise_until
        self.accept_until = max(accept_until, advertise_until)

    @classmethod
    def generate(
        cls,
        key_id: int,
        *,
        not_before: float = 0.0,
        advertise_until: float = float("inf"),
        accept_until: float = float("inf"),
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> GatewayKey:
        """Make a fresh key; it must not be used for anything else (section 6.4)."""
        return cls(
            key_id,
            random(_KEY_OCTETS),
            not_before=not_before,
            advertise_until=advertise_until,
            accept_until=accept_until,
        )

    def private_octets(self) -> bytes:
        """Return the secret, to be stored as one."""
        return self._private


class GatewayKeys:
    """The keys of a gateway, each with an identifier of its own. Raises ValueError for none."""

    def __init__(self, keys: Iterable[GatewayKey]) -> None:
        self._keys = {key.configuration.key_id: key for key in keys}
        if not self._keys:
            raise ValueError("a gateway needs a key")

    def advertised(self, now: float) -> tuple[KeyConfiguration, ...]:
        """Return the configurations to give to clients, the newest first."""
        current = [
            key for key in self._keys.values() if key.not_before <= now < key.advertise_until
        ]
        current.sort(key=lambda key: key.not_before, reverse=True)
        return tuple(key.configuration for key in current)

    def encode(self, now: float) -> bytes:
        """Return them as `application/ohttp-keys`."""
        return encode_key_configurations(self.advertised(now))

    def find(self, key_id: int, now: float) -> GatewayKey:
        """Return the key a request is encapsulated to. Raises PrivacyError(KEY_UNKNOWN)."""
        key = self._keys.get(key_id)
        # One not yet advertised is taken: a client's clock may be ahead of ours.
        if key is None or now >= key.accept_until:
            raise PrivacyError(Fault.KEY_UNKNOWN, f"key identifier {key_id}")
        return key

    def replace(self, keys: Iterable[GatewayKey]) -> GatewayKeys:
        """Return the keys with these added, in place of those with the same identifier."""
        merged = {**self._keys, **{key.configuration.key_id: key for key in keys}}
        return GatewayKeys(merged.values())
