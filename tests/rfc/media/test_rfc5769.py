"""The STUN messages of RFC 5769, byte for byte."""

from __future__ import annotations

import pytest

from media.stun import (
    AttributeType,
    MessageClass,
    StunMessage,
    binding_success,
    build_stun,
    parse_stun,
    xor_address,
)

PASSWORD = b"VOkJxbRl1RmTxUk/WvJxBt"
REQUEST = bytes.fromhex(
    "00010058 2112a442 b7e7a701 bc34d686 fa87dfae"
    "80220010 5354554e 20746573 7420636c 69656e74"
    "00240004 6e0001ff 80290008 932ff9b1 51263b36"
    "00060009 6576746a 3a683676 59202020"
    "00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 c1b571a2"
    "80280004 e57a3bcf"
)
IPV4_RESPONSE = bytes.fromhex(
    "0101003c 2112a442 b7e7a701 bc34d686 fa87dfae"
    "8022000b 74657374 20766563 746f7220"
    "00200008 0001a147 e112a643"
    "00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7"
    "80280004 c07d4c96"
)
IPV6_RESPONSE = bytes.fromhex(
    "01010048 2112a442 b7e7a701 bc34d686 fa87dfae"
    "8022000b 74657374 20766563 746f7220"
    "00200014 0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9"
    "00080014 a382954e 4be67bf1 1784c97c 8292c275 bfe3ed41"
    "80280004 c8fb0b4c"
)


@pytest.mark.rfc("5769 2.1")
def test_the_sample_request_is_read_and_its_integrity_holds() -> None:
    message = parse_stun(REQUEST)
    assert message.message_class is MessageClass.REQUEST
    assert message.method == 1
    assert message.transaction_id.hex() == "b7e7a701bc34d686fa87dfae"
    assert message.get(AttributeType.SOFTWARE) == b"STUN test client"
    assert message.username == "evtj:h6vY"
    assert message.priority == 0x6E0001FF
    assert message.ice_controlled == 0x932FF9B151263B36
    assert message.ice_controlling is None
    assert message.integrity_valid(PASSWORD)
    assert not message.integrity_valid(PASSWORD + b"x")


@pytest.mark.rfc("5769 2.2")
def test_the_sample_ipv4_response_tells_the_mapped_address() -> None:
    message = parse_stun(IPV4_RESPONSE)
    assert message.message_class is MessageClass.SUCCESS
    assert message.mapped_address == ("192.0.2.1", 32853)
    assert message.integrity_valid(PASSWORD)


@pytest.mark.rfc("5769 2.3")
def test_the_sample_ipv6_response_tells_the_mapped_address() -> None:
    message = parse_stun(IPV6_RESPONSE)
    assert message.mapped_address == ("2001:db8:1234:5678:11:2233:4455:6677", 32853)
    assert message.integrity_valid(PASSWORD)


def test_addresses_are_written_as_the_samples_write_them() -> None:
    transaction_id = IPV6_RESPONSE[8:20]
    assert xor_address(("192.0.2.1", 32853), transaction_id).hex() == "0001a147e112a643"
    mapped = xor_address(("2001:db8:1234:5678:11:2233:4455:6677", 32853), transaction_id)
    assert mapped == parse_stun(IPV6_RESPONSE).get(AttributeType.XOR_MAPPED_ADDRESS)


def test_what_is_written_is_read_back_with_integrity_and_fingerprint() -> None:
    request = parse_stun(REQUEST)
    data = binding_success(request, ("192.0.2.1", 32853), PASSWORD)
    answer = parse_stun(data)
    assert answer.mapped_address == ("192.0.2.1", 32853)
    assert answer.transaction_id == request.transaction_id
    assert answer.integrity_valid(PASSWORD)
    assert len(data) < len(REQUEST)


@pytest.mark.parametrize("method", [1, 0x3, 0x7F, 0x80, 0xFF])
@pytest.mark.parametrize("message_class", list(MessageClass))
def test_every_method_and_class_survives_the_interleaved_type(
    method: int, message_class: MessageClass
) -> None:
    message = StunMessage(message_class, bytes(12), (), method)
    assert parse_stun(build_stun(message)) == StunMessage(
        message_class, bytes(12), parse_stun(build_stun(message)).attributes, method
    )
