"""SRTP and SRTCP (RFC 3711, RFC 7714) over libsrtp: profiles, keys, one session a direction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from pylibsrtp import Policy, Session
from pylibsrtp._binding import ffi, lib

Rejection = Literal["authentication", "replay", "srtp"]
"""Why libsrtp refused a packet: a bad tag, a packet seen before or too old, or anything else."""

MAX_PACKET = 2048
"""Bytes read of a datagram; one that fills them was cut off and counts as malformed."""


@dataclass(frozen=True, slots=True)
class SrtpProfile:
    """A protection profile by its SDES (RFC 4568, 7714) and its DTLS (RFC 5764, 7714) name."""

    name: str
    dtls_name: bytes
    key_length: int
    salt_length: int
    libsrtp: int = field(repr=False)


AEAD_AES_256_GCM = SrtpProfile(
    "AEAD_AES_256_GCM", b"SRTP_AEAD_AES_256_GCM", 32, 12, Policy.SRTP_PROFILE_AEAD_AES_256_GCM
)
AEAD_AES_128_GCM = SrtpProfile(
    "AEAD_AES_128_GCM", b"SRTP_AEAD_AES_128_GCM", 16, 12, Policy.SRTP_PROFILE_AEAD_AES_128_GCM
)
AES_CM_128_HMAC_SHA1_80 = SrtpProfile(
    "AES_CM_128_HMAC_SHA1_80",
    b"SRTP_AES128_CM_SHA1_80",
    16,
    14,
    Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
)
AES_CM_128_HMAC_SHA1_32 = SrtpProfile(
    "AES_CM_128_HMAC_SHA1_32",
    b"SRTP_AES128_CM_SHA1_32",
    16,
    14,
    Policy.SRTP_PROFILE_AES128_CM_SHA1_32,
)
PROFILES: dict[str, SrtpProfile] = {
    profile.name: profile
    for profile in (
        AEAD_AES_256_GCM,
        AEAD_AES_128_GCM,
        AES_CM_128_HMAC_SHA1_80,
        AES_CM_128_HMAC_SHA1_32,
    )
}


@dataclass(frozen=True, slots=True)
class SrtpKey:
    """A master key and salt for one direction; equal when profile, key and salt are.

    Its repr names the profile only: keys never reach a log.
    """

    profile: SrtpProfile
    key: bytes = field(repr=False)
    salt: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if (len(self.key), len(self.salt)) != (self.profile.key_length, self.profile.salt_length):
            raise ValueError(f"{self.profile.name}: wrong length of key or salt")


class SrtpRejected(ValueError):
    """A packet that must be dropped and counted under `reason`."""

    def __init__(self, reason: Rejection) -> None:
        super().__init__(reason)
        self.reason: Rejection = reason


# By libsrtp's status: auth_fail, replay_fail, replay_old, pkt_idx_old.
_REJECTIONS: dict[int, Rejection] = {
    7: "authentication",
    9: "replay",
    10: "replay",
    26: "replay",
}


def rejection(status: int) -> Rejection:
    """Names a status of libsrtp other than 0."""
    return _REJECTIONS.get(status, "srtp")


# pylibsrtp's own calls copy each packet through a buffer of its session; under load that is cold
# in the processor's cache, and with their other overhead it costs half of a packet's time here.
# So libsrtp is called directly, on one buffer for all sessions of the (one) media thread.
PROTECT: Any = lib.srtp_protect
UNPROTECT: Any = lib.srtp_unprotect
WORKSPACE: Any = ffi.new("unsigned char[]", MAX_PACKET + 256)
"""Where packets are protected in place: `PROTECT(context, WORKSPACE, LENGTH)` returns 0 if well.

RFC 3711 and 7714 add 16 bytes of tag at most, and 4 of index to RTCP.
"""
LENGTH: Any = ffi.new("int *")
CONTENTS = memoryview(ffi.buffer(WORKSPACE))
"""The bytes of `WORKSPACE`."""


class _Session:
    """One direction's SRTP context of libsrtp, which lives as long as its key."""

    __slots__ = ("_session", "context", "key")

    def __init__(self, key: SrtpKey, ssrc_type: int) -> None:
        self.key = key
        self._session = Session(
            Policy(key=key.key + key.salt, ssrc_type=ssrc_type, srtp_profile=key.profile.libsrtp)
        )
        self.context: Any = self._session._srtp[0]

    def _transform(self, function: Any, packet: bytes) -> bytes:
        size = len(packet)
        if size > MAX_PACKET:
            raise SrtpRejected("srtp")
        CONTENTS[:size] = packet
        LENGTH[0] = size
        status = function(self.context, WORKSPACE, LENGTH)
        if status:
            raise SrtpRejected(rejection(status))
        return bytes(CONTENTS[: LENGTH[0]])


class SrtpInbound(_Session):
    """Takes protection off what a peer sends; replays and bad tags raise (RFC 3711 section 3.3).

    Serves any number of SSRCs with one key and keeps a rollover counter and a replay window of
    128 packets for each, so it must live as long as its key does (RFC 3711 section 3.2.1); the
    caller bounds how many SSRCs it lets through.
    """

    __slots__ = ()

    def __init__(self, key: SrtpKey) -> None:
        super().__init__(key, Policy.SSRC_ANY_INBOUND)

    def unprotect(self, packet: bytes) -> bytes:
        """RTP out of SRTP; raises `SrtpRejected`."""
        return self._transform(UNPROTECT, packet)

    def unprotect_rtcp(self, packet: bytes) -> bytes:
        """RTCP out of SRTCP; raises `SrtpRejected`."""
        return self._transform(lib.srtp_unprotect_rtcp, packet)


class SrtpOutbound(_Session):
    """Protects what we send; keeps a rollover counter for each SSRC as long as the key lives."""

    __slots__ = ()

    def __init__(self, key: SrtpKey) -> None:
        super().__init__(key, Policy.SSRC_ANY_OUTBOUND)

    def protect(self, packet: bytes) -> bytes:
        """SRTP out of RTP; raises `SrtpRejected` where the index was already used."""
        return self._transform(PROTECT, packet)

    def protect_rtcp(self, packet: bytes) -> bytes:
        """SRTCP out of RTCP; raises `SrtpRejected`."""
        return self._transform(lib.srtp_protect_rtcp, packet)
