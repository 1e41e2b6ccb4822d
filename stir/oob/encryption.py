"""PASSporTs encrypted to the called party's provider (RFC 8816 section 4), as JWE (RFC 7516).

Compact JWE with ``ECDH-ES`` on P-256 (RFC 7518 section 4.6) and ``A256GCM``, and nothing else: an
algorithm that cannot be chosen cannot be downgraded. The plaintext is a JSON object whose
``passports`` is the list of tokens of one call.
"""

from __future__ import annotations

import hashlib
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash

from stir.oob.tokens import MalformedTokens, read_tokens
from stir.passport import MalformedPassport, decode_part, encode_part
from stir.strict_json import MalformedJson, canonical, parse_object

MAX_ENCRYPTED: Final = 48_000
_ENC: Final = "A256GCM"
_KEY_OCTETS: Final = 32
_IV_OCTETS: Final = 12
_TAG_OCTETS: Final = 16
_COORDINATE: Final = 32
_CURVE: Final = ec.SECP256R1()
# What a block of plaintext is filled up to, so that a length says little about the caller.
_BLOCK: Final = 512


class CannotDecrypt(ValueError):
    """The text is not a JWE for one of these keys; the message says what is wrong, not with whom.

    `other_key` is True where it may be a good one, for somebody else.
    """

    def __init__(self, problem: str, *, other_key: bool = False) -> None:
        super().__init__(problem)
        self.problem = problem
        self.other_key = other_key


def key_id(key: ec.EllipticCurvePublicKey) -> str:
    """Return the JWK thumbprint of a P-256 key (RFC 7638), which names it in ``kid``."""
    return encode_part(hashlib.sha256(canonical(_jwk(key))).digest())


def encrypt_passports(tokens: tuple[str, ...], recipient: ec.EllipticCurvePublicKey) -> str:
    """Encrypt the tokens of one call to a P-256 key; the result has at most 48,000 characters.

    Raises ValueError for a key on another curve and MalformedTokens for tokens that are none.
    """
    if not isinstance(recipient.curve, ec.SECP256R1):
        raise ValueError("the recipient's key is not on curve P-256")
    content: dict[str, object] = {"passports": list(read_tokens(list(tokens)))}
    length = len(canonical(content))
    content["padding"] = "0" * (-length % _BLOCK)
    ephemeral = ec.generate_private_key(_CURVE)
    header: dict[str, object] = {
        "alg": "ECDH-ES",
        "cty": "json",
        "enc": _ENC,
        "epk": _jwk(ephemeral.public_key()),
        "kid": key_id(recipient),
    }
    protected = encode_part(canonical(header))
    iv = os.urandom(_IV_OCTETS)
    sealed = AESGCM(_agree(ephemeral, recipient)).encrypt(
        iv, canonical(content), protected.encode("ascii")
    )
    ciphertext, tag = sealed[:-_TAG_OCTETS], sealed[-_TAG_OCTETS:]
    return f"{protected}..{encode_part(iv)}.{encode_part(ciphertext)}.{encode_part(tag)}"


class Decryption:
    """Opens what was encrypted to any of a few own keys, the current one and its predecessors."""

    def __init__(self, keys: tuple[ec.EllipticCurvePrivateKey, ...]) -> None:
        """`keys` are P-256 private keys."""
        self._keys = {key_id(key.public_key()): key for key in keys}

    def decrypt(self, text: str) -> tuple[str, ...]:
        """Return the tokens of one call; raises CannotDecrypt only (RFC 7516 section 5.2)."""
        parts = split_encrypted(text)
        key, header = self._key(parts[0])
        try:
            iv, ciphertext, tag = (
                decode_part(part, name)
                for part, name in zip(parts[2:], ("iv", "ciphertext", "tag"), strict=True)
            )
            if len(iv) != _IV_OCTETS or len(tag) != _TAG_OCTETS:
                raise CannotDecrypt("an initialisation vector or tag of another length")
            secret = _agree(key, _read_jwk(header.get("epk")))
            plain = AESGCM(secret).decrypt(iv, ciphertext + tag, parts[0].encode("ascii"))
            return read_tokens(parse_object(plain).get("passports"))
        except MalformedPassport as error:
            raise CannotDecrypt(error.problem) from None
        except InvalidTag:
            raise CannotDecrypt("it was changed, or encrypted to another key") from None
        except (MalformedJson, MalformedTokens) as error:
            raise CannotDecrypt(f"what was encrypted is malformed: {error}") from None

    def _key(self, protected: str) -> tuple[ec.EllipticCurvePrivateKey, dict[str, object]]:
        header = _header(protected)
        kid = header.get("kid")
        key = self._keys.get(kid) if isinstance(kid, str) else None
        if key is None:
            raise CannotDecrypt("encrypted to a key that is not ours", other_key=True)
        return key, header


def split_encrypted(text: str) -> tuple[str, str, str, str, str]:
    """Split a compact JWE of ours without opening it; raises CannotDecrypt (RFC 7516 section 7.1).

    A call placement service checks no more than this: form, size and the two algorithms.
    """
    if len(text) > MAX_ENCRYPTED or not text.isascii():
        raise CannotDecrypt(f"not ASCII, or longer than {MAX_ENCRYPTED} characters")
    parts = text.split(".", 5)
    if len(parts) != 5 or parts[1]:
        raise CannotDecrypt("not the five parts of a compact JWE with direct key agreement")
    _header(parts[0])
    return parts[0], parts[1], parts[2], parts[3], parts[4]


def _header(protected: str) -> dict[str, object]:
    try:
        header = parse_object(decode_part(protected, "header"))
    except (MalformedPassport, MalformedJson) as error:
        raise CannotDecrypt(f"the header is malformed: {error}") from None
    if header.get("alg") != "ECDH-ES" or header.get("enc") != _ENC:
        raise CannotDecrypt("algorithms other than ECDH-ES and A256GCM")
    # Nothing critical is understood (RFC 7516 4.1.13), and compression is a way to swell.
    if "crit" in header or "zip" in header:
        raise CannotDecrypt("a critical or compressed JWE")
    return header


def _agree(own: ec.EllipticCurvePrivateKey, other: ec.EllipticCurvePublicKey) -> bytes:
    """The content key: Concat KDF over the shared secret (RFC 7518 section 4.6.2)."""
    info = b"".join(
        (
            len(_ENC).to_bytes(4, "big"),
            _ENC.encode("ascii"),
            bytes(4),  # apu, empty
            bytes(4),  # apv, empty
            (_KEY_OCTETS * 8).to_bytes(4, "big"),
        )
    )
    shared = own.exchange(ec.ECDH(), other)
    return ConcatKDFHash(hashes.SHA256(), _KEY_OCTETS, info).derive(shared)


def _jwk(key: ec.EllipticCurvePublicKey) -> dict[str, object]:
    numbers = key.public_numbers()
    return {
        "crv": "P-256",
        "kty": "EC",
        "x": encode_part(numbers.x.to_bytes(_COORDINATE, "big")),
        "y": encode_part(numbers.y.to_bytes(_COORDINATE, "big")),
    }


def _read_jwk(value: object) -> ec.EllipticCurvePublicKey:
    """Read the ephemeral key; a point off the curve is refused, or our key could be probed."""
    if not isinstance(value, dict) or value.get("kty") != "EC" or value.get("crv") != "P-256":
        raise CannotDecrypt("an ephemeral key that is no P-256 JWK")
    coordinates = []
    for name in ("x", "y"):
        text = value.get(name)
        octets = decode_part(text, name) if isinstance(text, str) else b""
        if len(octets) != _COORDINATE:
            raise CannotDecrypt("an ephemeral key with odd coordinates")
        coordinates.append(int.from_bytes(octets, "big"))
    try:
        x, y = coordinates
        return ec.EllipticCurvePublicNumbers(x, y, _CURVE).public_key()
    except ValueError:
        raise CannotDecrypt("an ephemeral key that is not on the curve") from None
