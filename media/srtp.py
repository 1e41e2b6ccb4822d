"""SRTP and SRTCP (RFC 3711, RFC 7714) over libsrtp: profiles, keys, one session a direction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import pylibsrtp
from pylibsrtp import Policy, Session

Rejection = Literal["authentication", "replay", "srtp"]
"""Why libsrtp refused a packet: a bad tag, a packet seen before or too old, or anything else."""

MAX_PACKET = 1350
"""Bytes of one packet handed to libsrtp; longer ones are refused (its buffer has 1,500)."""


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


_REJECTIONS: dict[str, Rejection] = {
    # libsrtp's status numbers, which pylibsrtp turns into these texts: auth_fail, replay_fail,
    # replay_old and pkt_idx_old.
    pylibsrtp.ERRORS[7]: "authentication",
    pylibsrtp.ERRORS[9]: "replay",
    pylibsrtp.ERRORS[10]: "replay",
    pylibsrtp.ERRORS[26]: "replay",
}

Transform = Callable[[bytes], bytes]
ERRORS = (pylibsrtp.Error, ValueError)
"""What `rtp` and `rtcp` of both directions raise; pass it to `rejection`."""


def rejection(error: Exception) -> Rejection:
    """Names the reason of an exception raised by libsrtp."""
    return _REJECTIONS.get(str(error), "srtp")


def _session(key: SrtpKey, ssrc_type: int) -> Session:
    policy = Policy(key=key.key + key.salt, ssrc_type=ssrc_type, srtp_profile=key.profile.libsrtp)
    return Session(policy)


class SrtpInbound:
    """Takes protection off what a peer sends; replays and bad tags raise (RFC 3711 3.3).

    Serves any number of SSRCs with one key and keeps a rollover counter and a replay window of
    128 packets for each, so it must live as long as its key does (RFC 3711 section 3.2.1); the
    caller bounds how many SSRCs it lets through. `rtp` and `rtcp` are libsrtp's own functions,
    bound: the relay calls them once a packet and nothing lies between.
    """

    __slots__ = ("key", "rtcp", "rtp")

    def __init__(self, key: SrtpKey) -> None:
        self.key = key
        session = _session(key, Policy.SSRC_ANY_INBOUND)
        self.rtp: Transform = session.unprotect
        self.rtcp: Transform = session.unprotect_rtcp

    def unprotect(self, packet: bytes) -> bytes:
        """RTP out of SRTP; raises `SrtpRejected`."""
        return _transform(self.rtp, packet)

    def unprotect_rtcp(self, packet: bytes) -> bytes:
        """RTCP out of SRTCP; raises `SrtpRejected`."""
        return _transform(self.rtcp, packet)


class SrtpOutbound:
    """Protects what we send; keeps a rollover counter for each SSRC as long as the key lives."""

    __slots__ = ("key", "rtcp", "rtp")

    def __init__(self, key: SrtpKey) -> None:
        self.key = key
        session = _session(key, Policy.SSRC_ANY_OUTBOUND)
        self.rtp: Transform = session.protect
        self.rtcp: Transform = session.protect_rtcp

    def protect(self, packet: bytes) -> bytes:
        """SRTP out of RTP; raises `SrtpRejected` where the index was already used."""
        return _transform(self.rtp, packet)

    def protect_rtcp(self, packet: bytes) -> bytes:
        """SRTCP out of RTCP; raises `SrtpRejected`."""
        return _transform(self.rtcp, packet)


def _transform(transform: Transform, packet: bytes) -> bytes:
    try:
        return transform(packet)
    except ERRORS as error:
        raise SrtpRejected(rejection(error)) from None
