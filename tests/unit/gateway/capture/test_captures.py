"""SIP requests out of packet captures of every kind."""

from __future__ import annotations

import io
import itertools
import struct

import pytest

from gateway.capture.file import MalformedCapture, read_frames
from gateway.capture.sip import CaptureContents, read_capture
from tests.support.captures import (
    ALPHA,
    BETA,
    ETHERNET,
    LINUX_SLL,
    LINUX_SLL2,
    NULL,
    RAW,
    TIME,
    block,
    cooked,
    ethernet,
    invite,
    ip,
    pcap,
    pcapng,
    tcp,
    tcp_segments,
    udp,
    udp_fragments,
)

SIGNED = invite("aaa.bbb.ccc;info=<https://a.example/c.pem>")
V6 = ("2001:db8::1", "2001:db8::2")


def contents(file: bytes) -> CaptureContents:
    return read_capture(io.BytesIO(file))


def call_ids(file: bytes) -> list[str]:
    return [each.call_id for each in contents(file).signed]


def ethernets(*packets: bytes) -> bytes:
    return pcap(*(ethernet(packet) for packet in packets))


# --- file formats --------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nanoseconds", [False, True])
def test_pcap_in_both_byte_orders_and_resolutions(order: str, nanoseconds: bool) -> None:
    [found] = contents(pcap(ethernet(udp(SIGNED)), order=order, nanoseconds=nanoseconds)).signed
    assert found.time == pytest.approx(TIME)
    assert (found.source, found.destination) == (f"{ALPHA}:5060", f"{BETA}:5060")
    assert found.transport == "udp"


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_in_both_byte_orders(order: str) -> None:
    [found] = contents(pcapng(ethernet(udp(SIGNED)), order=order)).signed
    assert found.time == pytest.approx(TIME)


@pytest.mark.parametrize(
    ("resolution", "factor"), [(6, 1e-6), (9, 1e-9), (3, 1e-3), (0x80 | 20, 2**-20)]
)
def test_pcapng_tells_its_own_resolution(resolution: int, factor: float) -> None:
    options = struct.pack("<HHBxxx", 9, 1, resolution) + struct.pack("<HHqHH", 14, 8, 5, 0, 0)
    frames = list(read_frames(io.BytesIO(pcapng(ethernet(udp(b"x")), options=options))))
    ticks = int(TIME) * 1_000_000 + 250_000
    expected = ticks * factor + 5
    assert frames[0].time == pytest.approx(expected if expected < 2.5e11 else 0.0)


def test_a_simple_packet_block_has_no_time() -> None:
    frame = ethernet(udp(SIGNED))
    file = pcapng() + block("<", 3, struct.pack("<I", len(frame)) + frame)
    assert contents(file).signed[0].time == 0.0


def test_blocks_of_other_kinds_are_skipped_and_sections_begin_anew() -> None:
    other = block("<", 0x0BAD, bytes(70_000))
    file = pcapng(ethernet(udp(SIGNED))) + other + pcapng(ethernet(udp(SIGNED)), order=">")
    assert contents(file).signed[0].times_seen == 2


@pytest.mark.parametrize(
    ("link", "frame"),
    [
        *((link, cooked(udp(SIGNED), link)) for link in (RAW, NULL, LINUX_SLL, LINUX_SLL2)),
        *((link, cooked(udp(SIGNED, *V6), link)) for link in (RAW, NULL, LINUX_SLL, LINUX_SLL2)),
        (ETHERNET, ethernet(udp(SIGNED), 7)),
        (ETHERNET, ethernet(udp(SIGNED, *V6), 7, 8)),
    ],
)
def test_every_link_layer(link: int, frame: bytes) -> None:
    for file in (pcap(frame, link=link), pcapng(frame, link=link)):
        [found] = contents(file).signed
        assert found.source in (f"{ALPHA}:5060", "[2001:db8::1]:5060")


def test_a_link_layer_nobody_knows_is_named() -> None:
    assert contents(pcap(bytes(64), link=127)).foreign_links == {127}


# --- fragments -----------------------------------------------------------------------------------


@pytest.mark.parametrize("addresses", [(ALPHA, BETA), V6])
def test_fragments_in_any_order_make_one_datagram(addresses: tuple[str, str]) -> None:
    parts = udp_fragments(SIGNED, 136, *addresses)
    assert len(parts) > 2
    for order in itertools.islice(itertools.permutations(parts), 24):
        assert call_ids(ethernets(*order, order[0])) == ["one@alpha.example"]


def test_fragments_that_overlap_make_the_packet_void() -> None:
    first, *rest = udp_fragments(SIGNED, 136)
    forged = ip(b"forged" + bytes(10), 17, fragment=(77, 128, True))
    found = contents(ethernets(first, forged, *rest))
    assert found.signed == []
    assert found.discarded_fragments


def test_a_fragment_past_the_largest_packet_is_void() -> None:
    far = ip(bytes(800), 17, fragment=(77, 65_528, False))
    assert contents(ethernets(far)).discarded_fragments == 1


def test_waiting_fragments_are_bounded() -> None:
    lone = [ip(bytes(8), 17, fragment=(number, 0, True)) for number in range(2_000)]
    assert contents(ethernets(*lone)).discarded_fragments == 2_000 - 1_024


# --- TCP -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [1_000, 2**32 - 100], ids=["plain", "wrapping"])
@pytest.mark.parametrize("size", [64, 333, 5_000])
def test_a_stream_is_read_whatever_its_segments(start: int, size: int) -> None:
    opening = tcp(b"", start - 1, flags=0x02)
    stream = SIGNED + b"\r\n\r\n" + invite("d.e.f;info=<https://b.example>", call_id="two@x")
    segments = tcp_segments(stream, start, size)
    assert call_ids(ethernets(opening, *segments)) == ["one@alpha.example", "two@x"]
    # in another order, each twice, and without the opening
    shuffled = [segments[0], *reversed(segments), *segments]
    assert call_ids(ethernets(*shuffled)) == ["one@alpha.example", "two@x"]


def test_reading_goes_on_after_a_lost_segment() -> None:
    lost = tcp_segments(SIGNED, 1_000, 100)
    del lost[1]
    after = tcp(invite("d.e.f;info=<https://b.example>", call_id="two@x"), 1_000 + len(SIGNED))
    assert call_ids(ethernets(*lost, after)) == ["two@x"]


def test_a_segment_that_overlaps_adds_only_what_is_new() -> None:
    first, second = SIGNED[:200], SIGNED[150:]
    assert call_ids(ethernets(tcp(first, 1), tcp(second, 151))) == ["one@alpha.example"]


def test_the_first_octets_of_a_place_count() -> None:
    forged = SIGNED[:100] + b"X" * 50
    packets = (tcp(SIGNED[:200], 1), tcp(forged, 1), tcp(SIGNED[200:], 201))
    assert call_ids(ethernets(*packets)) == ["one@alpha.example"]


def test_tls_is_counted_once_a_direction_and_web_traffic_ignored() -> None:
    hello = b"\x16\x03\x01\x02\x00" + bytes(64)
    found = contents(
        ethernets(
            tcp(b"", 0, flags=2, port=5061),
            tcp(hello, 1, port=5061),
            tcp(hello, 70, port=5061),
            tcp(b"GET / HTTP/1.1\r\n\r\n", 1, port=80),
        )
    )
    assert (found.encrypted, found.signed, found.malformed) == (1, [], 0)


def test_a_new_connection_between_the_same_ports_begins_anew() -> None:
    other = invite("d.e.f;info=<https://b.example>", call_id="two@x")
    packets = (
        tcp(b"", 0, flags=2),
        tcp(SIGNED[:120], 1),
        tcp(b"", 121, flags=4),
        tcp(b"", 5_000_000, flags=2),
        tcp(other, 5_000_001),
    )
    assert call_ids(ethernets(*packets)) == ["two@x"]


# --- what is counted -----------------------------------------------------------------------------


def test_a_retransmission_is_the_same_request() -> None:
    [found] = contents(ethernets(udp(SIGNED), udp(SIGNED))).signed
    assert found.times_seen == 2
    assert found.time == pytest.approx(TIME)


def test_the_same_call_on_the_next_hop_is_another_request() -> None:
    found = contents(ethernets(udp(SIGNED), udp(SIGNED, BETA, "192.0.2.3"))).signed
    assert [each.destination for each in found] == [f"{BETA}:5060", "192.0.2.3:5060"]


def test_requests_without_identity_are_counted_where_they_could_be_signed() -> None:
    found = contents(
        ethernets(
            udp(invite()),
            udp(invite(method="MESSAGE")),
            udp(invite(to_tag=";tag=9")),
            udp(invite(method="OPTIONS")),
            udp(invite("a.b.c;info=<https://a.example>", method="ACK")),
        )
    )
    assert (found.unsigned, found.signed) == (2, [])


def test_what_looks_like_sip_and_is_not_is_counted() -> None:
    bad = SIGNED.replace(b"Content-Length: 0", b"Content-Length: x")
    assert contents(ethernets(udp(bad), udp(b"RTP"), udp(b""))).malformed == 1


def test_a_packet_the_capture_cut_short_is_counted() -> None:
    frame = ethernet(udp(SIGNED))
    file = pcap() + struct.pack("<IIII", 1, 0, 200, len(frame)) + frame[:200]
    found = contents(file)
    assert (found.cut, found.signed) == (1, [])


# --- hostile files -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (b"", "neither a pcap"),
        (b"\x1f\x8b\x08\x00", "gunzip"),
        (pcap()[:10], "file header"),
        (pcap() + struct.pack("<IIII", 1, 0, 2**31, 2**31), "2147483648 octets"),
        (pcap() + bytes(7), "inside a packet"),
        (b"\x0a\x0d\x0d\x0a" + bytes(8), "byte order"),
        (pcapng()[:-4] + bytes(4), "lengths differ"),
        (pcapng() + struct.pack("<II", 6, 2**32 - 4), "octets"),
        (pcapng() + struct.pack("<II", 6, 8), "block of 8 octets"),
        (pcapng() + struct.pack("<II", 99, 2**32 - 4), "inside a block"),
        (pcapng() + block("<", 6, struct.pack("<IIIII", 5, 0, 0, 0, 0)), "interface 5"),
        (pcapng() + block("<", 6, struct.pack("<IIIII", 0, 0, 0, 900, 900)), "900 octets"),
        (pcapng() + block("<", 6, bytes(8)), "without its fields"),
        (pcapng(options=struct.pack("<HHBxxx", 9, 1, 0x7F)), "resolution"),
        (pcapng(options=struct.pack("<HH", 9, 400)), "longer than its block"),
        (pcapng() + block("<", 1, bytes(8)) * 1_100, "interface description"),
    ],
)
def test_a_damaged_file_says_how(file: bytes, words: str) -> None:
    with pytest.raises(MalformedCapture, match=words):
        contents(file)


def test_damage_after_good_frames_is_told_with_them() -> None:
    found = contents(pcap(ethernet(udp(SIGNED))) + bytes(5))
    assert (len(found.signed), found.damage) == (1, "it ends inside a packet")


def test_headers_cut_anywhere_raise_nothing() -> None:
    for whole in (udp(SIGNED), udp(SIGNED, *V6), tcp(SIGNED, 1), *udp_fragments(SIGNED, 136, *V6)):
        for length in range(90):
            assert contents(pcap(whole[:length], link=RAW)).signed == []


def test_a_time_no_calendar_knows_is_none() -> None:
    options = struct.pack("<HHBxxx", 9, 1, 0)
    assert contents(pcapng(ethernet(udp(SIGNED)), options=options)).signed[0].time == 0.0
