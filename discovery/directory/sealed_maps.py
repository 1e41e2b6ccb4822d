"""Sealed maps: where some senders reach the owner, legible to each of them alone (CUJ 5 and 6).

A record has none of them or four, of one size. Each is HPKE (RFC 9180) to the public key of one
sender, or of a group whose members share a secret; those nobody needs are sealed to a key thrown
away. So neither their number nor their length nor anything in them tells how many there are or for
whom, and a sender finds its own by trying.

    160 octets = encapsulated key (32) || AES-128-GCM of 112 octets (128)
    112 octets = services (1) || prio (2) || length (1) || URI || zeros

The identifier and `seq` are bound in (HPKE's info), so that nobody can show a map as another's, nor
as one of a later record. The owner's signature is over all four.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from discovery.directory.identifier import Identifier
from discovery.directory.jws import decode, encode
from discovery.directory.reason import Refusal, Refused
from discovery.directory.record import SEALED_COUNTS, SEALED_OCTETS, Map, Record
from discovery.model import Service
from discovery.service_uri import MalformedServiceUri, parse_service_uri

SEALED_MAPS: Final = max(SEALED_COUNTS)
MAX_KEYS: Final = 8
MAX_SEALED_URI: Final = SEALED_OCTETS - 32 - 16 - 4
SHORTEST_SECRET: Final = 32
_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_128_GCM)
_CONTENT: Final = SEALED_OCTETS - 32 - 16
_PURPOSE: Final = b"spingate sealed map v1"
_GROUP: Final = b"spingate sealed maps group v1"
_BITS: Final = {service: 1 << place for place, service in enumerate(Service)}


@dataclass(frozen=True, slots=True)
class SealedMap:
    """A map, and the public key of the sender or group that it is for."""

    key: X25519PublicKey
    map: Map


def seal_maps(csi: Identifier, seq: int, maps: Sequence[SealedMap]) -> tuple[str, ...]:
    """Return the `sealed` member of a record: the maps and dummies, four, in a random order.

    Raises Refused: TOO_MANY_MAPS, OVERSIZED for a URI of more than 108 octets.
    """
    if len(maps) > SEALED_MAPS:
        raise Refused(Refusal.TOO_MANY_MAPS, f"more than {SEALED_MAPS} sealed maps")
    info = _info(csi, seq)
    sealed = [_SUITE.encrypt(_content(each.map), each.key, info) for each in maps]
    while len(sealed) < SEALED_MAPS:
        # To a real key: octets at random would be on the curve only half of the time.
        nobody = X25519PrivateKey.generate().public_key()
        sealed.append(_SUITE.encrypt(bytes(_CONTENT), nobody, info))
    secrets.SystemRandom().shuffle(sealed)
    return tuple(map(encode, sealed))


def open_maps(record: Record, keys: Sequence[X25519PrivateKey]) -> tuple[Map, ...]:
    """Return the sealed maps of a proven record that one of a sender's keys opens.

    At most 8 keys are tried, 32 attempts of 50 us each. What opens and is no map of a service is
    left out: only who signed the record can have put it there.
    """
    info = _info(record.csi, record.seq)
    opened: list[Map] = []
    for text in record.sealed:
        sealed = decode(text)
        for key in keys[:MAX_KEYS]:
            try:
                content = _SUITE.decrypt(sealed, key, info)
            except InvalidTag:
                continue
            found = _map(content)
            if found is not None:
                opened.append(found)
            break
    return tuple(opened)


def group_key(secret: str) -> X25519PrivateKey:
    """Return the key that all who know a group's secret have.

    Raises ValueError for one of fewer than 32 characters: the public half of a secret that could be
    guessed would tell whether a guess is right.
    """
    if len(secret) < SHORTEST_SECRET:
        raise ValueError(f"a group's secret has {SHORTEST_SECRET} characters or more, at random")
    octets = HKDF(hashes.SHA256(), 32, None, _GROUP).derive(secret.encode("utf-8", "replace"))
    return X25519PrivateKey.from_private_bytes(octets)


def public_key(text: str) -> X25519PublicKey:
    """Read a sender's public key as people hand it on: 43 characters of base64url.

    Raises Refused(MALFORMED).
    """
    octets = decode(text)
    if len(octets) != 32:
        raise Refused(Refusal.MALFORMED, "not a public key of 43 characters")
    return X25519PublicKey.from_public_bytes(octets)


def public_text(key: X25519PrivateKey) -> str:
    """Return the public half of a key, as `public_key` reads it."""
    return encode(key.public_key().public_bytes_raw())


def _info(csi: Identifier, seq: int) -> bytes:
    return b"\0".join((_PURPOSE, str(csi).encode(), str(seq).encode()))


def _content(each: Map) -> bytes:
    uri = each.uri.encode("ascii", "replace")
    if len(uri) > MAX_SEALED_URI:
        raise Refused(Refusal.OVERSIZED, f"a sealed URI of more than {MAX_SEALED_URI} octets")
    services = sum(_BITS[service] for service in set(each.services))
    head = bytes((services,)) + each.prio.to_bytes(2, "big") + bytes((len(uri),))
    return (head + uri).ljust(_CONTENT, b"\0")


def _map(content: bytes) -> Map | None:
    bits, length = content[0], content[3]
    services = tuple(_services(bits))
    text, padding = content[4 : 4 + length], content[4 + length :]
    if not services or bits >= 1 << len(_BITS) or padding.strip(b"\0"):
        return None
    try:
        uri = parse_service_uri(text.decode("ascii"))
    except (UnicodeDecodeError, MalformedServiceUri):
        return None
    return Map(uri.host, services, uri.text, int.from_bytes(content[1:3], "big"))


def _services(bits: int) -> Iterable[Service]:
    return (service for service, bit in _BITS.items() if bits & bit)
