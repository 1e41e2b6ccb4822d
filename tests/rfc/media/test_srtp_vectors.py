"""RFC 3711 appendix B: the key derivation values, and a packet built from them by hand."""

from __future__ import annotations

import hashlib
import hmac
import struct

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from media.srtp import AES_CM_128_HMAC_SHA1_80, SrtpInbound, SrtpKey, SrtpOutbound

MASTER_KEY = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE4139")
MASTER_SALT = bytes.fromhex("0EC675AD498AFEEBB6960B3AABE6")


def aes_counter_mode(key: bytes, counter: int, data: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.CTR(counter.to_bytes(16, "big"))).encryptor()
    return encryptor.update(data) + encryptor.finalize()


def derive(label: int, size: int) -> bytes:
    counter = (int.from_bytes(MASTER_SALT, "big") ^ (label << 48)) << 16
    return aes_counter_mode(MASTER_KEY, counter, bytes(size))


@pytest.mark.rfc("3711", "B.3")
@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (0, "C61E7A93744F39EE10734AFE3FF7A087"),
        (2, "30CBBC08863D8C85D49DB34A9AE1"),
        (1, "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"),
    ],
)
def test_session_keys_derive_as_the_appendix_says(label: int, expected: str) -> None:
    assert derive(label, len(expected) // 2).hex().upper() == expected


def by_hand(packet: bytes, rollover: int) -> bytes:
    """SRTP of RFC 3711 sections 4.1.1 and 4.2 in a dozen lines, out of the appendix's keys."""
    number, ssrc = struct.unpack("!2xH4xI", packet[:12])
    index = rollover << 16 | number
    counter = (int.from_bytes(derive(2, 14), "big") << 16) ^ (ssrc << 64) ^ (index << 16)
    encrypted = packet[:12] + aes_counter_mode(derive(0, 16), counter, packet[12:])
    authenticated = encrypted + struct.pack("!I", rollover)
    return encrypted + hmac.new(derive(1, 20), authenticated, hashlib.sha1).digest()[:10]


@pytest.mark.rfc("3711", "4")
def test_protected_packets_are_those_made_by_hand_across_a_rollover() -> None:
    key = SrtpKey(AES_CM_128_HMAC_SHA1_80, MASTER_KEY, MASTER_SALT)
    outbound, inbound = SrtpOutbound(key), SrtpInbound(key)
    for index in range(65530, 65545):
        packet = struct.pack("!BBHII", 0x80, 0, index & 0xFFFF, index * 160, 0xCAFEBABE) + b"x" * 33
        protected = by_hand(packet, index >> 16)
        assert outbound.protect(packet) == protected
        assert inbound.unprotect(protected) == packet


@pytest.mark.rfc("3711", "4")
def test_the_packet_every_srtp_library_is_checked_with() -> None:
    key = SrtpKey(AES_CM_128_HMAC_SHA1_80, MASTER_KEY, MASTER_SALT)
    packet = bytes.fromhex("800f1234decafbadcafebabe" + "ab" * 16)
    protected = bytes.fromhex(
        "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb"
    )
    assert SrtpOutbound(key).protect(packet) == protected == by_hand(packet, 0)
