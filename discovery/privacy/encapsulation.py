"""Encapsulated Requests and Responses of Oblivious HTTP, octets in and out (RFC 9458 section 4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from pyhpke import (
    AEADId,
    CipherSuite,
    ContextInterface,
    KDFId,
    KEMId,
    KEMKeyInterface,
    KEMKeyPair,
    PyHPKEError,
)

from discovery.privacy.octets import Octets
from discovery.privacy.ohttp_keys import (
    CHACHA20_POLY1305,
    DHKEM_X25519,
    SUPPORTED,
    GatewayKey,
    KeyConfiguration,
    SymmetricAlgorithm,
)
from discovery.privacy.reason import Fault, PrivacyError

REQUEST_MEDIA_TYPE: Final = "message/ohttp-req"
RESPONSE_MEDIA_TYPE: Final = "message/ohttp-res"

_REQUEST_LABEL: Final = b"message/bhttp request"
_RESPONSE_LABEL: Final = b"message/bhttp response"
_ENC_OCTETS: Final = 32  # Nenc of DHKEM(X25519)
_HEADER_OCTETS: Final = 7
_NONCE_OCTETS: Final = 12  # Nn of every AEAD here
_KEY_OCTETS: Final = {0x0001: 16, 0x0002: 32, CHACHA20_POLY1305: 32}
_TAG_OCTETS: Final = 16

# What encapsulation adds to a request; to a response at most.
REQUEST_OVERHEAD: Final = _HEADER_OCTETS + _ENC_OCTETS + _TAG_OCTETS
RESPONSE_OVERHEAD: Final = 32 + _TAG_OCTETS


@dataclass(frozen=True, slots=True)
class Exchange:
    """What both sides keep of a request to protect its response: enc, algorithm and secret."""

    enc: bytes
    algorithm: SymmetricAlgorithm
    secret: bytes = field(repr=False)

    @property
    def nonce_octets(self) -> int:
        """Length of a response's nonce, max(Nn, Nk)."""
        return _export_octets(self.algorithm)


@dataclass(frozen=True, slots=True)
class EncapsulatedRequest:
    """The parts of an Encapsulated Request (section 4.1)."""

    key_id: int
    kem_id: int
    algorithm: SymmetricAlgorithm
    enc: bytes
    protected: bytes = field(repr=False)


def parse_encapsulated_request(data: bytes) -> EncapsulatedRequest:
    """Split an Encapsulated Request. Raises PrivacyError: TRUNCATED, SUITE_UNSUPPORTED."""
    octets = Octets(data)
    key_id, kem_id = octets.integer(1), octets.integer(2)
    algorithm = SymmetricAlgorithm(octets.integer(2), octets.integer(2))
    if kem_id != DHKEM_X25519 or algorithm not in SUPPORTED:
        raise PrivacyError(Fault.SUITE_UNSUPPORTED, "KEM, KDF or AEAD")
    enc = octets.take(_ENC_OCTETS)
    if octets.left < _TAG_OCTETS:
        raise PrivacyError(Fault.TRUNCATED, "no protected request")
    return EncapsulatedRequest(key_id, kem_id, algorithm, enc, octets.rest())


def encapsulate_request(
    configuration: KeyConfiguration, request: bytes, *, ephemeral: bytes | None = None
) -> tuple[bytes, Exchange]:
    """Protect a binary request; `ephemeral` (32 octets) is for test vectors only (section 4.3).

    Raises PrivacyError: SUITE_UNSUPPORTED, MALFORMED for a public key that is none.
    """
    algorithm = configuration.preferred()
    if algorithm is None:
        raise PrivacyError(Fault.SUITE_UNSUPPORTED, "nothing in common with the gateway")
    suite = _suite(algorithm)
    header = _header(configuration.key_id, configuration.kem_id, algorithm)
    try:
        enc, context = suite.create_sender_context(
            suite.kem.deserialize_public_key(configuration.public_key),
            info=_info(header),
            eks=_key_pair(suite, ephemeral) if ephemeral else None,
        )
    except (PyHPKEError, ValueError):
        # A point of small order, for instance: the shared secret would be known to everybody.
        raise PrivacyError(Fault.MALFORMED, "public key of the gateway") from None
    sealed = header + enc + context.seal(request)
    return sealed, _exchange(context, enc, algorithm)


def decapsulate_request(key: GatewayKey, request: EncapsulatedRequest) -> tuple[bytes, Exchange]:
    """Open a request to this key (section 4.3).

    Raises PrivacyError: SUITE_UNSUPPORTED for what the key does not offer, UNDECRYPTABLE.
    """
    if request.algorithm not in key.configuration.algorithms:
        raise PrivacyError(Fault.SUITE_UNSUPPORTED, "not offered with this key")
    suite = _suite(request.algorithm)
    header = _header(request.key_id, request.kem_id, request.algorithm)
    try:
        context = suite.create_recipient_context(
            request.enc,
            _private_key(suite, key.private_octets()),
            info=_info(header),
        )
        opened = context.open(request.protected)
    except (PyHPKEError, ValueError):
        raise PrivacyError(Fault.UNDECRYPTABLE, "request") from None
    return opened, _exchange(context, request.enc, request.algorithm)


def encapsulate_response(exchange: Exchange, response: bytes, nonce: bytes) -> bytes:
    """Protect a binary response under a fresh random nonce (section 4.4)."""
    if len(nonce) != exchange.nonce_octets:
        raise ValueError("a nonce has as many octets as the key")
    key, aead_nonce = _response_keys(exchange, nonce)
    return nonce + _aead(exchange.algorithm, key).encrypt(aead_nonce, response, None)


def decapsulate_response(exchange: Exchange, data: bytes) -> bytes:
    """Open an Encapsulated Response. Raises PrivacyError: TRUNCATED, UNDECRYPTABLE."""
    octets = Octets(data)
    nonce = octets.take(exchange.nonce_octets)
    if octets.left < _TAG_OCTETS:
        raise PrivacyError(Fault.TRUNCATED, "no protected response")
    key, aead_nonce = _response_keys(exchange, nonce)
    try:
        return _aead(exchange.algorithm, key).decrypt(aead_nonce, octets.rest(), None)
    except InvalidTag:
        raise PrivacyError(Fault.UNDECRYPTABLE, "response") from None


@cache
def _suite(algorithm: SymmetricAlgorithm) -> CipherSuite:
    # At most the three of SUPPORTED.
    return CipherSuite.new(KEMId(DHKEM_X25519), KDFId(algorithm.kdf_id), AEADId(algorithm.aead_id))


@lru_cache(maxsize=8)
def _private_key(suite: CipherSuite, octets: bytes) -> KEMKeyInterface:
    # A gateway has three keys; making one anew for each request took a tenth of opening it.
    return suite.kem.deserialize_private_key(octets)


def _header(key_id: int, kem_id: int, algorithm: SymmetricAlgorithm) -> bytes:
    ids = (kem_id, algorithm.kdf_id, algorithm.aead_id)
    return bytes((key_id,)) + b"".join(one.to_bytes(2, "big") for one in ids)


def _info(header: bytes) -> bytes:
    return _REQUEST_LABEL + b"\0" + header


def _key_pair(suite: CipherSuite, secret: bytes) -> KEMKeyPair:
    private = suite.kem.deserialize_private_key(secret)
    public = private.raw.public_key().public_bytes_raw()
    return KEMKeyPair(private, suite.kem.deserialize_public_key(public))


def _export_octets(algorithm: SymmetricAlgorithm) -> int:
    return max(_NONCE_OCTETS, _KEY_OCTETS[algorithm.aead_id])


def _exchange(context: ContextInterface, enc: bytes, algorithm: SymmetricAlgorithm) -> Exchange:
    secret = context.export(_RESPONSE_LABEL, _export_octets(algorithm))
    return Exchange(enc, algorithm, secret)


def _response_keys(exchange: Exchange, nonce: bytes) -> tuple[bytes, bytes]:
    # HKDF-SHA256 (RFC 5869); both outputs are shorter than one block.
    prk = _hmac(exchange.enc + nonce, exchange.secret)
    key = _hmac(prk, b"key\x01")[: _KEY_OCTETS[exchange.algorithm.aead_id]]
    return key, _hmac(prk, b"nonce\x01")[:_NONCE_OCTETS]


def _hmac(key: bytes, message: bytes) -> bytes:
    mac = hmac.HMAC(key, hashes.SHA256())
    mac.update(message)
    return mac.finalize()


def _aead(algorithm: SymmetricAlgorithm, key: bytes) -> AESGCM | ChaCha20Poly1305:
    return ChaCha20Poly1305(key) if algorithm.aead_id == CHACHA20_POLY1305 else AESGCM(key)
