"""RTP and RTCP headers and the counts of RFC 3550 appendix A."""

from __future__ import annotations

import struct

import pytest

from media.rtp import MalformedRtp, StreamReception, check_rtcp, parse_rtp


def rtp(first: int = 0x80, second: int = 0, rest: bytes = b"payload") -> bytes:
    return struct.pack("!BBHII", first, second, 7, 160, 0xCAFE) + rest


def test_a_plain_header_is_read() -> None:
    header = parse_rtp(rtp(second=0x80 | 111))
    assert (header.payload_type, header.marker, header.ssrc) == (111, True, 0xCAFE)
    assert (header.sequence_number, header.timestamp, header.payload_offset) == (7, 160, 12)


def test_csrcs_and_an_extension_move_the_payload() -> None:
    data = rtp(0x92, rest=bytes(8) + struct.pack("!HH", 0xBEDE, 1) + bytes(4) + b"x")
    assert parse_rtp(data).payload_offset == 12 + 8 + 8


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (bytes(11), "truncated"),
        (rtp(0x40), "version"),
        (rtp(0x8F), "truncated"),
        (rtp(0x90, rest=b"\0"), "truncated"),
        (rtp(0x90, rest=struct.pack("!HH", 0, 9)), "truncated"),
        (rtp(0xA0, rest=b"\0"), "padding"),
        (rtp(0xA0, rest=b"\x05"), "padding"),
    ],
)
def test_a_header_cut_short_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(MalformedRtp) as caught:
        parse_rtp(data)
    assert caught.value.reason == reason


RECEIVER_REPORT = struct.pack("!BBHI", 0x80, 201, 1, 0xCAFE)


def test_compound_rtcp_gives_the_senders_ssrc() -> None:
    assert check_rtcp(RECEIVER_REPORT + struct.pack("!BBHI", 0x81, 202, 1, 1)) == 0xCAFE


@pytest.mark.parametrize(
    "data",
    [
        b"",
        RECEIVER_REPORT[:7],
        RECEIVER_REPORT + b"\x80\xc9",
        RECEIVER_REPORT + b"\x80\xc9\x00\x09",
        struct.pack("!BBHI", 0x80, 201, 400, 1),
        struct.pack("!BBHI", 0x40, 201, 1, 1),
        struct.pack("!BBHI", 0x80, 111, 1, 1),
    ],
)
def test_rtcp_whose_parts_do_not_fill_it_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedRtp):
        check_rtcp(data)


def reception(*numbers: int, clock: dict[int, int] | None = None) -> StreamReception:
    stream = StreamReception(1, clock or {})
    for index, number in enumerate(numbers):
        stream.update(0, number & 0xFFFF, index * 160, 172, index * 0.02)
    return stream


@pytest.mark.rfc("3550", "A.1")
@pytest.mark.parametrize(
    ("numbers", "lost"),
    [
        ((), 0),
        ((1,), 0),
        ((1, 2, 3), 0),
        ((1, 2, 5), 2),
        ((1, 3, 2, 4), 0),
        ((65534, 65535, 65536, 65537), 0),
        ((65534, 65537), 2),
        ((1, 1, 1), 0),
        ((1, 2, 20000, 3), 0),
        ((1, 2, 20000, 20001, 20002), 0),
        ((1, 2, 20000, 20001, 20005), 3),
    ],
)
def test_losses_follow_from_the_sequence_numbers(numbers: tuple[int, ...], lost: int) -> None:
    assert reception(*numbers).lost == lost


@pytest.mark.rfc("3550", "6.4.1")
def test_jitter_is_none_for_a_steady_stream_and_grows_with_delay() -> None:
    assert reception(*range(50)).jitter == pytest.approx(0, abs=1e-9)
    stream = StreamReception(1, {})
    for index in range(200):
        stream.update(0, index, index * 160, 172, index * 0.02 + (0.004 if index % 2 else 0.0))
    assert stream.jitter == pytest.approx(0.004, rel=0.05)


def test_jitter_uses_the_clock_of_the_payload_type_and_survives_a_change_of_codec() -> None:
    stream = StreamReception(1, {111: 48000})
    for index in range(100):
        stream.update(111, index, index * 960, 172, index * 0.02)
    assert stream.jitter == pytest.approx(0, abs=1e-9)
    for index in range(100, 200):
        stream.update(0, index, index * 160, 172, index * 0.02)
    assert stream.jitter == pytest.approx(0, abs=1e-9)
