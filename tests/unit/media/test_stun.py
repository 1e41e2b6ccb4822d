"""Octets that are not quite STUN (RFC 8489): refused with one error and nothing else."""

from __future__ import annotations

import struct

import pytest

from media.stun import (
    MAX_ATTRIBUTES,
    AttributeType,
    MalformedStun,
    MessageClass,
    StunMessage,
    binding_error,
    binding_request,
    build_stun,
    looks_like_stun,
    parse_stun,
)

KEY = b"password"
REQUEST = binding_request(
    bytes(range(12)), [(AttributeType.USERNAME, b"a:b"), (AttributeType.PRIORITY, b"1234")], KEY
)


def _message(*attributes: tuple[int, bytes]) -> StunMessage:
    return StunMessage(MessageClass.REQUEST, bytes(12), attributes)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        REQUEST[:19],
        REQUEST[:-1],
        REQUEST + b"\0",
        REQUEST + bytes(4),
        b"\x80" + REQUEST[1:],
        REQUEST[:4] + b"\0\0\0\0" + REQUEST[8:],
        REQUEST[:2] + b"\0\1" + REQUEST[4:],
        REQUEST[:22] + b"\xff\xff" + REQUEST[24:],
        REQUEST[:-1] + bytes([REQUEST[-1] ^ 1]),
    ],
)
def test_a_length_or_fingerprint_that_does_not_fit_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedStun):
        parse_stun(data)


def test_more_octets_than_a_datagram_of_ice_has_are_malformed() -> None:
    with pytest.raises(MalformedStun):
        parse_stun(build_stun(_message((AttributeType.SOFTWARE, bytes(1600)))))


def test_more_attributes_than_anybody_needs_are_malformed() -> None:
    many = [(int(AttributeType.SOFTWARE), b"")] * (MAX_ATTRIBUTES + 1)
    with pytest.raises(MalformedStun):
        parse_stun(build_stun(_message(*many)))


def test_an_integrity_of_wrong_length_is_malformed() -> None:
    short = build_stun(_message((AttributeType.MESSAGE_INTEGRITY, bytes(16))))
    with pytest.raises(MalformedStun):
        parse_stun(short)


def test_what_follows_the_integrity_is_not_believed() -> None:
    sealed = build_stun(_message(), key=KEY, fingerprint=False)
    extra = struct.pack(">HHI", AttributeType.PRIORITY, 4, 7)
    data = sealed[:2] + struct.pack(">H", len(sealed) - 20 + len(extra)) + sealed[4:] + extra
    message = parse_stun(data)
    assert message.priority is None
    assert message.integrity_valid(KEY)


def test_a_message_without_integrity_has_none() -> None:
    assert not parse_stun(build_stun(_message())).integrity_valid(KEY)
    assert not _message().integrity_valid(KEY)


def test_the_first_of_repeated_attributes_counts() -> None:
    data = build_stun(_message((AttributeType.USERNAME, b"a"), (AttributeType.USERNAME, b"b")))
    assert parse_stun(data).username == "a"


@pytest.mark.parametrize(
    ("kind", "value", "name"),
    [
        (AttributeType.PRIORITY, b"", "priority"),
        (AttributeType.ICE_CONTROLLED, b"1234567", "ice_controlled"),
        (AttributeType.ICE_CONTROLLING, b"123456789", "ice_controlling"),
        (AttributeType.USERNAME, b"\xff", "username"),
        (AttributeType.ERROR_CODE, b"\0\0\2\0", "error_code"),
        (AttributeType.ERROR_CODE, b"\0\0\4", "error_code"),
        (AttributeType.ERROR_CODE, b"\0\0\4\x64", "error_code"),
        (AttributeType.XOR_MAPPED_ADDRESS, b"\0\1\0\0", "mapped_address"),
        (AttributeType.XOR_MAPPED_ADDRESS, b"\0\2\0\0abcd", "mapped_address"),
    ],
)
def test_reading_an_attribute_of_wrong_form_is_malformed(
    kind: int, value: bytes, name: str
) -> None:
    message = parse_stun(build_stun(_message((kind, value))))
    with pytest.raises(MalformedStun):
        getattr(message, name)


def test_an_error_response_is_small_and_names_what_was_unknown() -> None:
    request = parse_stun(REQUEST)
    assert len(binding_error(request, 401)) == 36
    answer = parse_stun(binding_error(request, 420, key=KEY, unknown=(0x7001, 0x7002)))
    assert answer.error_code == 420
    assert answer.get(AttributeType.UNKNOWN_ATTRIBUTES) == b"\x70\x01\x70\x02"


@pytest.mark.parametrize(("first", "is_stun"), [(0, True), (3, True), (4, False), (0x80, False)])
def test_the_first_octet_and_the_cookie_tell_stun(first: int, is_stun: bool) -> None:
    assert looks_like_stun(bytes([first]) + REQUEST[1:]) is is_stun
    assert not looks_like_stun(bytes(20))


def test_a_wrong_transaction_id_of_ours_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="12 octets"):
        build_stun(StunMessage(MessageClass.REQUEST, b"short"))
