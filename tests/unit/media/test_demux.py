"""First-byte demultiplexing, RFC 7983 section 7 and RFC 5761 section 4."""

from __future__ import annotations

import pytest

from media.demux import PacketKind, classify


@pytest.mark.rfc("7983", "7")
@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        (0, 1, PacketKind.STUN),
        (3, 1, PacketKind.STUN),
        (4, 1, PacketKind.OTHER),
        (16, 1, PacketKind.OTHER),
        (19, 1, PacketKind.OTHER),
        (20, 254, PacketKind.DTLS),
        (63, 254, PacketKind.DTLS),
        (64, 0, PacketKind.OTHER),
        (127, 0, PacketKind.OTHER),
        (128, 0, PacketKind.RTP),
        (191, 128, PacketKind.RTP),
        (128, 191, PacketKind.RTP),
        (128, 192, PacketKind.RTCP),
        (128, 223, PacketKind.RTCP),
        (128, 224, PacketKind.RTP),
        (192, 0, PacketKind.OTHER),
        (255, 255, PacketKind.OTHER),
    ],
)
def test_the_first_byte_tells_the_protocol(first: int, second: int, kind: PacketKind) -> None:
    assert classify(bytes([first, second, 0, 0])) is kind


@pytest.mark.parametrize("data", [b"", b"\x80"])
def test_a_datagram_too_short_to_tell_is_none_of_them(data: bytes) -> None:
    assert classify(data) is PacketKind.OTHER
