"""SRTP sessions, keys and SDES key parameters."""

from __future__ import annotations

import struct

import pytest

from media.sdes import UnusableCrypto, key_params, new_key, parse_key
from media.srtp import (
    AES_CM_128_HMAC_SHA1_80,
    PROFILES,
    SrtpInbound,
    SrtpKey,
    SrtpOutbound,
    SrtpProfile,
    SrtpRejected,
)


def rtp(number: int, ssrc: int = 1) -> bytes:
    return (
        struct.pack("!BBHII", 0x80, 0, number & 0xFFFF, number * 160 & 0xFFFFFFFF, ssrc) + b"a" * 20
    )


RECEIVER_REPORT = struct.pack("!BBHI", 0x80, 201, 1, 1)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
def test_what_one_side_protects_the_other_reads(profile: SrtpProfile) -> None:
    key = new_key(profile)
    outbound, inbound = SrtpOutbound(key), SrtpInbound(key)
    assert inbound.unprotect(outbound.protect(rtp(1))) == rtp(1)
    assert inbound.unprotect(outbound.protect(rtp(1, ssrc=2))) == rtp(1, ssrc=2)
    assert inbound.unprotect_rtcp(outbound.protect_rtcp(RECEIVER_REPORT)) == RECEIVER_REPORT


def test_a_bad_tag_and_a_replay_are_refused_by_name() -> None:
    key = new_key(AES_CM_128_HMAC_SHA1_80)
    outbound, inbound = SrtpOutbound(key), SrtpInbound(key)
    packet = outbound.protect(rtp(1))
    with pytest.raises(SrtpRejected) as bad_tag:
        inbound.unprotect(packet[:-1] + bytes([packet[-1] ^ 1]))
    inbound.unprotect(packet)
    with pytest.raises(SrtpRejected) as replay:
        inbound.unprotect(packet)
    assert (bad_tag.value.reason, replay.value.reason) == ("authentication", "replay")


@pytest.mark.parametrize("data", [b"", b"\x80", bytes(11), b"\x80" * 2000])
def test_a_packet_of_impossible_length_is_refused(data: bytes) -> None:
    inbound = SrtpInbound(new_key(AES_CM_128_HMAC_SHA1_80))
    with pytest.raises(SrtpRejected):
        inbound.unprotect(data)
    with pytest.raises(SrtpRejected):
        inbound.unprotect_rtcp(data)


def test_the_rollover_counter_goes_on_past_65535() -> None:
    key = new_key(AES_CM_128_HMAC_SHA1_80)
    outbound, inbound = SrtpOutbound(key), SrtpInbound(key)
    for number in range(65500, 65600):
        assert inbound.unprotect(outbound.protect(rtp(number))) == rtp(number)


def test_a_key_shows_itself_in_no_text() -> None:
    key = SrtpKey(AES_CM_128_HMAC_SHA1_80, b"K" * 16, b"S" * 14)
    assert "KK" not in repr(key)
    assert "SS" not in repr(key)
    assert "4b4b" not in repr(key).lower()


def test_a_key_of_wrong_length_is_our_mistake() -> None:
    with pytest.raises(ValueError, match="length"):
        SrtpKey(AES_CM_128_HMAC_SHA1_80, b"K" * 15, b"S" * 14)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
def test_sdes_key_parameters_are_read_back(profile: SrtpProfile) -> None:
    key = new_key(profile)
    assert parse_key(profile.name, key_params(key)) == key
    assert parse_key(profile.name, key_params(key) + "|2^20", ["WSH=64"]) == key


def test_fresh_keys_are_never_equal() -> None:
    assert len({new_key(AES_CM_128_HMAC_SHA1_80).key for _ in range(100)}) == 100


GOOD = key_params(SrtpKey(AES_CM_128_HMAC_SHA1_80, b"K" * 16, b"S" * 14))


@pytest.mark.rfc("4568", "9.2")
@pytest.mark.parametrize(
    ("suite", "params", "session", "reason"),
    [
        ("NULL_HMAC_SHA1_80", GOOD, (), "unknown suite"),
        ("F8_128_HMAC_SHA1_80", GOOD, (), "unknown suite"),
        ("AES_CM_128_HMAC_SHA1_80", GOOD, ("UNENCRYPTED_SRTP",), "session parameter"),
        ("AES_CM_128_HMAC_SHA1_80", GOOD, ("UNAUTHENTICATED_SRTP",), "session parameter"),
        ("AES_CM_128_HMAC_SHA1_80", GOOD, ("KDR=1",), "session parameter"),
        ("AES_CM_128_HMAC_SHA1_80", GOOD + "|1:1", (), "master key identifier"),
        ("AES_CM_128_HMAC_SHA1_80", GOOD + ";" + GOOD, (), "several keys"),
        ("AES_CM_128_HMAC_SHA1_80", "uri:x", (), "key method"),
        ("AES_CM_128_HMAC_SHA1_80", "inline:####", (), "base64"),
        ("AES_CM_128_HMAC_SHA1_80", "inline:é", (), "base64"),
        ("AES_CM_128_HMAC_SHA1_80", "inline:QUJD", (), "key length"),
        ("AEAD_AES_256_GCM", GOOD, (), "key length"),
    ],
)
def test_crypto_that_is_weak_or_unknown_is_refused(
    suite: str, params: str, session: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(UnusableCrypto) as caught:
        parse_key(suite, params, session)
    assert caught.value.reason == reason
    assert "S0tL" not in str(caught.value)
