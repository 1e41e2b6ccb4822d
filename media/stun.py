"""STUN messages (RFC 8489) with the attributes ICE uses (RFC 8445 section 16).

Values and codec only. `parse_stun` raises nothing but MalformedStun, whatever the octets;
integrity is a question the caller asks of a parsed message, since only it knows the key.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

MAGIC_COOKIE: Final = 0x2112A442
HEADER_LENGTH: Final = 20
TRANSACTION_ID_LENGTH: Final = 12
# One datagram; ICE checks are about 100 octets.
MAX_OCTETS: Final = 1_500
MAX_ATTRIBUTES: Final = 32

BINDING: Final = 0x001

_FINGERPRINT_XOR: Final = 0x5354554E
_INTEGRITY_LENGTH: Final = 20
_INTEGRITY_SIZE: Final = 4 + _INTEGRITY_LENGTH
_FINGERPRINT_SIZE: Final = 8


class MalformedStun(ValueError):
    """Octets that are no STUN message, or one that breaks RFC 8489; the sender's fault."""


class MessageClass(IntEnum):
    """RFC 8489 section 5: the two class bits, in their places."""

    REQUEST = 0x000
    INDICATION = 0x010
    SUCCESS = 0x100
    ERROR = 0x110


class AttributeType(IntEnum):
    """Attributes of RFC 8489 section 14 and RFC 8445 section 16.1."""

    MAPPED_ADDRESS = 0x0001
    USERNAME = 0x0006
    MESSAGE_INTEGRITY = 0x0008
    ERROR_CODE = 0x0009
    UNKNOWN_ATTRIBUTES = 0x000A
    REALM = 0x0014
    NONCE = 0x0015
    MESSAGE_INTEGRITY_SHA256 = 0x001C
    XOR_MAPPED_ADDRESS = 0x0020
    PRIORITY = 0x0024
    USE_CANDIDATE = 0x0025
    SOFTWARE = 0x8022
    FINGERPRINT = 0x8028
    ICE_CONTROLLED = 0x8029
    ICE_CONTROLLING = 0x802A


_KNOWN: Final = frozenset(int(kind) for kind in AttributeType)


@dataclass(frozen=True, slots=True)
class StunMessage:
    """A message as attributes in order; values are raw octets, read through the properties.

    Reading a property whose attribute has a wrong length raises MalformedStun. `raw` is what
    came off the wire, needed to check the integrity.
    """

    message_class: MessageClass
    transaction_id: bytes
    attributes: tuple[tuple[int, bytes], ...] = ()
    method: int = BINDING
    raw: bytes = field(default=b"", compare=False, repr=False)

    def get(self, kind: int) -> bytes | None:
        """Value of the first attribute of that type; later ones are ignored (section 14)."""
        return next((value for name, value in self.attributes if name == kind), None)

    @property
    def username(self) -> str | None:
        """USERNAME, None if absent."""
        value = self.get(AttributeType.USERNAME)
        if value is None:
            return None
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise MalformedStun("USERNAME is not UTF-8") from None

    @property
    def priority(self) -> int | None:
        """PRIORITY of the peer-reflexive candidate this check would make (RFC 8445 7.1.1)."""
        return self._integer(AttributeType.PRIORITY, ">I")

    @property
    def ice_controlling(self) -> int | None:
        """Tie-breaker of a controlling sender (RFC 8445 section 7.1.3)."""
        return self._integer(AttributeType.ICE_CONTROLLING, ">Q")

    @property
    def ice_controlled(self) -> int | None:
        """Tie-breaker of a controlled sender (RFC 8445 section 7.1.3)."""
        return self._integer(AttributeType.ICE_CONTROLLED, ">Q")

    @property
    def use_candidate(self) -> bool:
        """Whether the controlling agent nominates the pair (RFC 8445 section 7.1.2)."""
        return self.get(AttributeType.USE_CANDIDATE) is not None

    @property
    def error_code(self) -> int | None:
        """ERROR-CODE, 300 to 699 (RFC 8489 section 14.8)."""
        value = self.get(AttributeType.ERROR_CODE)
        if value is None:
            return None
        if len(value) < 4 or not 3 <= value[2] & 7 <= 6 or value[3] > 99:
            raise MalformedStun("ERROR-CODE is out of range")
        return (value[2] & 7) * 100 + value[3]

    @property
    def mapped_address(self) -> tuple[str, int] | None:
        """XOR-MAPPED-ADDRESS as numeric host and port (RFC 8489 section 14.2)."""
        value = self.get(AttributeType.XOR_MAPPED_ADDRESS)
        return None if value is None else _parse_address(value, self.transaction_id)

    @property
    def unknown_required(self) -> tuple[int, ...]:
        """Comprehension-required types (below 0x8000) that this codec does not know."""
        return tuple(kind for kind, _ in self.attributes if kind < 0x8000 and kind not in _KNOWN)

    def integrity_valid(self, key: bytes) -> bool:
        """Whether MESSAGE-INTEGRITY is there and was made with the key (RFC 8489 14.5).

        The key is the ICE password's octets. False for a message that was not parsed.
        """
        offset = HEADER_LENGTH
        while offset + 4 <= len(self.raw):
            kind, length = struct.unpack_from(">HH", self.raw, offset)
            if kind == AttributeType.MESSAGE_INTEGRITY:
                expected = _integrity(self.raw[:offset], key)
                return hmac.compare_digest(expected, self.raw[offset + 4 : offset + 24])
            offset += 4 + length + -length % 4
        return False

    def _integer(self, kind: AttributeType, layout: str) -> int | None:
        value = self.get(kind)
        if value is None:
            return None
        if len(value) != struct.calcsize(layout):
            raise MalformedStun(f"{kind.name} has {len(value)} octets")
        return int(struct.unpack(layout, value)[0])


def looks_like_stun(data: bytes) -> bool:
    """Whether a datagram is STUN's by its first octet and cookie (RFC 7983, RFC 8489 5)."""
    return (
        len(data) >= HEADER_LENGTH and data[0] < 4 and data[4:8] == MAGIC_COOKIE.to_bytes(4, "big")
    )


def parse_stun(data: bytes) -> StunMessage:
    """Parse one datagram of at most MAX_OCTETS; the length must fit exactly.

    A FINGERPRINT must be right and last; what follows MESSAGE-INTEGRITY, other than
    FINGERPRINT, is left out of `attributes`. Raises MalformedStun (RFC 8489 sections 5, 14).
    """
    if not looks_like_stun(data):
        raise MalformedStun("not a STUN header")
    if len(data) > MAX_OCTETS:
        raise MalformedStun(f"longer than {MAX_OCTETS} octets")
    kind, length = struct.unpack_from(">HH", data)
    if length % 4 or HEADER_LENGTH + length != len(data):
        raise MalformedStun("message length does not fit the datagram")
    method = (kind & 0xF) | (kind & 0xE0) >> 1 | (kind & 0x3E00) >> 2
    return StunMessage(
        MessageClass(kind & 0x110),
        data[8:HEADER_LENGTH],
        _parse_attributes(data),
        method,
        data,
    )


def _parse_attributes(data: bytes) -> tuple[tuple[int, bytes], ...]:
    attributes: list[tuple[int, bytes]] = []
    offset, sealed = HEADER_LENGTH, False
    while offset < len(data):
        if len(data) - offset < 4:
            raise MalformedStun("attribute header is cut off")
        kind, length = struct.unpack_from(">HH", data, offset)
        end = offset + 4 + length
        if end + -length % 4 > len(data):
            raise MalformedStun("attribute is cut off")
        value = data[offset + 4 : end]
        if kind == AttributeType.FINGERPRINT:
            _check_fingerprint(data, offset, value)
        if not sealed or kind == AttributeType.FINGERPRINT:
            attributes.append((kind, value))
        if kind == AttributeType.MESSAGE_INTEGRITY:
            if length != _INTEGRITY_LENGTH:
                raise MalformedStun("MESSAGE-INTEGRITY has not 20 octets")
            sealed = True
        if len(attributes) > MAX_ATTRIBUTES:
            raise MalformedStun(f"more than {MAX_ATTRIBUTES} attributes")
        offset = end + -length % 4
    return tuple(attributes)


def _check_fingerprint(data: bytes, offset: int, value: bytes) -> None:
    if offset + _FINGERPRINT_SIZE != len(data) or len(value) != 4:
        raise MalformedStun("FINGERPRINT is not the last attribute")
    if value != _fingerprint(data[:offset]):
        raise MalformedStun("FINGERPRINT is wrong")


def build_stun(
    message: StunMessage, *, key: bytes | None = None, fingerprint: bool = True
) -> bytes:
    """Write a message, with MESSAGE-INTEGRITY if a key is given, then FINGERPRINT.

    `attributes` must hold neither of the two. Raises ValueError for our own mistakes only.
    """
    if len(message.transaction_id) != TRANSACTION_ID_LENGTH:
        raise ValueError("a transaction id has 12 octets")
    body = b"".join(
        struct.pack(">HH", kind, len(value)) + value + bytes(-len(value) % 4)
        for kind, value in message.attributes
    )
    method = message.method
    kind = (
        (method & 0xF) | (method & 0x70) << 1 | (method & 0xF80) << 2 | int(message.message_class)
    )
    data = struct.pack(">HHI", kind, len(body), MAGIC_COOKIE) + message.transaction_id + body
    if key is not None:
        digest = _integrity(data, key)
        data += struct.pack(">HH", AttributeType.MESSAGE_INTEGRITY, len(digest)) + digest
        data = _with_length(data, len(data))
    if fingerprint:
        value = _fingerprint(data)
        data = _with_length(data, len(data) + _FINGERPRINT_SIZE)
        data += struct.pack(">HH", AttributeType.FINGERPRINT, len(value)) + value
    return data


def binding_request(
    transaction_id: bytes, attributes: Sequence[tuple[int, bytes]], key: bytes
) -> bytes:
    """Write a Binding request with integrity and fingerprint (RFC 8445 section 7.2.2)."""
    return build_stun(StunMessage(MessageClass.REQUEST, transaction_id, tuple(attributes)), key=key)


def binding_success(request: StunMessage, source: tuple[str, int], key: bytes) -> bytes:
    """Write the success response that tells the source its address (RFC 8445 section 7.3)."""
    mapped = (AttributeType.XOR_MAPPED_ADDRESS, xor_address(source, request.transaction_id))
    return build_stun(StunMessage(MessageClass.SUCCESS, request.transaction_id, (mapped,)), key=key)


def binding_error(
    request: StunMessage, code: int, *, key: bytes | None = None, unknown: Sequence[int] = ()
) -> bytes:
    """Write an error response without reason phrase, to stay small (RFC 8489 section 6.3.4)."""
    attributes = [(int(AttributeType.ERROR_CODE), bytes((0, 0, code // 100, code % 100)))]
    if unknown:
        attributes.append(
            (int(AttributeType.UNKNOWN_ATTRIBUTES), struct.pack(f">{len(unknown)}H", *unknown))
        )
    return build_stun(
        StunMessage(MessageClass.ERROR, request.transaction_id, tuple(attributes)), key=key
    )


def xor_address(address: tuple[str, int], transaction_id: bytes) -> bytes:
    """The value of XOR-MAPPED-ADDRESS; the host must be numeric (RFC 8489 section 14.2)."""
    packed = ipaddress.ip_address(address[0].partition("%")[0]).packed
    mask = MAGIC_COOKIE.to_bytes(4, "big") + transaction_id
    family = 1 if len(packed) == 4 else 2
    host = bytes(octet ^ mask[index] for index, octet in enumerate(packed))
    return struct.pack(">BBH", 0, family, address[1] ^ MAGIC_COOKIE >> 16) + host


def _parse_address(value: bytes, transaction_id: bytes) -> tuple[str, int]:
    if len(value) not in (8, 20) or value[1] != (1 if len(value) == 8 else 2):
        raise MalformedStun("XOR-MAPPED-ADDRESS has a wrong family or length")
    mask = MAGIC_COOKIE.to_bytes(4, "big") + transaction_id
    host = bytes(octet ^ mask[index] for index, octet in enumerate(value[4:]))
    (port,) = struct.unpack_from(">H", value, 2)
    return str(ipaddress.ip_address(host)), port ^ MAGIC_COOKIE >> 16


def _integrity(before: bytes, key: bytes) -> bytes:
    """HMAC-SHA1 over all before the attribute, the length counting the attribute in."""
    sealed = _with_length(before, len(before) + _INTEGRITY_SIZE)
    return hmac.new(key, sealed, hashlib.sha1).digest()


def _fingerprint(before: bytes) -> bytes:
    sealed = _with_length(before, len(before) + _FINGERPRINT_SIZE)
    return (zlib.crc32(sealed) ^ _FINGERPRINT_XOR).to_bytes(4, "big")


def _with_length(data: bytes, total: int) -> bytes:
    return data[:2] + struct.pack(">H", total - HEADER_LENGTH) + data[4:]
