"""Tells apart the protocols that share one media port (RFC 7983)."""

from __future__ import annotations

from enum import Enum


class PacketKind(Enum):
    """What the first bytes of a datagram say it is (RFC 7983 section 7)."""

    STUN = "stun"
    DTLS = "dtls"
    RTP = "rtp"
    RTCP = "rtcp"
    OTHER = "other"


def classify(data: bytes) -> PacketKind:
    """Returns the protocol of a datagram by its first byte, RTP and RTCP by its second.

    RFC 7983 section 7 gives the ranges 0..3 STUN, 20..63 DTLS, 128..191 RTP and RTCP; RFC 5761
    section 4 keeps 64..95 of the payload types (192..223 of the second byte) for RTCP.
    Never raises: whatever is too short or of no known range is `OTHER`.
    """
    if len(data) < 2:
        return PacketKind.OTHER
    first = data[0]
    if 128 <= first <= 191:
        return PacketKind.RTCP if 192 <= data[1] <= 223 else PacketKind.RTP
    if first <= 3:
        return PacketKind.STUN
    if 20 <= first <= 63:
        return PacketKind.DTLS
    return PacketKind.OTHER
