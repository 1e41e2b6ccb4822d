"""Packet captures built by hand: frames of every kind, in both file formats."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable

ETHERNET, NULL, RAW, LINUX_SLL, LINUX_SLL2 = 1, 0, 101, 113, 276
TIME = 1_795_000_000.25
ALPHA, BETA = "192.0.2.1", "192.0.2.2"


def pcap(
    *frames: bytes, link: int = ETHERNET, order: str = "<", nanoseconds: bool = False
) -> bytes:
    """A pcap file; every frame a millisecond after the other."""
    magic = 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    file = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 262_144, link)
    for number, frame in enumerate(frames):
        fraction = 250_000 + number * 1_000
        fraction *= 1_000 if nanoseconds else 1
        file += struct.pack(f"{order}IIII", int(TIME), fraction, len(frame), len(frame)) + frame
    return file


def pcapng(*frames: bytes, link: int = ETHERNET, order: str = "<", options: bytes = b"") -> bytes:
    """A pcapng file of one section and one interface, in enhanced packet blocks."""
    file = block(order, 0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1))
    file += block(order, 1, struct.pack(f"{order}HHI", link, 0, 262_144) + options)
    for number, frame in enumerate(frames):
        ticks = int(TIME) * 1_000_000 + 250_000 + number * 1_000
        head = struct.pack(
            f"{order}IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame)
        )
        file += block(order, 6, head + frame)
    return file


def block(order: str, kind: int, body: bytes) -> bytes:
    """A pcapng block with its body padded."""
    body += bytes(-len(body) % 4)
    length = struct.pack(f"{order}I", len(body) + 12)
    return struct.pack(f"{order}I", kind) + length + body + length


def ethernet(packet: bytes, *vlans: int) -> bytes:
    """An Ethernet frame, with VLAN tags, padded as short ones are."""
    tags = b"".join(struct.pack("!HH", 0x8100, vlan) for vlan in vlans)
    kind = 0x86DD if packet[0] >> 4 == 6 else 0x0800
    frame = bytes(12) + tags + struct.pack("!H", kind) + packet
    return frame + bytes(max(0, 60 - len(frame)))


def cooked(packet: bytes, link: int) -> bytes:
    """The Linux cooked header of either version, a loopback header, or none, before a packet."""
    kind = struct.pack("!H", 0x86DD if packet[0] >> 4 == 6 else 0x0800)
    headers = {LINUX_SLL: bytes(14) + kind, LINUX_SLL2: kind + bytes(18), NULL: b"\x02\0\0\0"}
    return headers.get(link, b"") + packet


def ip(
    payload: bytes,
    protocol: int,
    source: str = ALPHA,
    destination: str = BETA,
    *,
    fragment: tuple[int, int, bool] | None = None,
) -> bytes:
    """An IPv4 or IPv6 packet; `fragment`: identification, start in octets, whether more follow."""
    addresses = b"".join(ipaddress.ip_address(each).packed for each in (source, destination))
    number, start, more = fragment or (0, 0, False)
    if ":" in source:
        if fragment is not None:
            payload = struct.pack("!BBHI", protocol, 0, start | more, number) + payload
            protocol = 44
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64) + addresses + payload
    word = start // 8 | (0x2000 if more else 0)
    total = 20 + len(payload)
    return (
        struct.pack("!BBHHHBBH", 0x45, 0, total, number, word, 64, protocol, 0)
        + addresses
        + payload
    )


def udp(payload: bytes, source: str = ALPHA, destination: str = BETA) -> bytes:
    """A UDP packet from port 5060 to port 5060."""
    return ip(_udp(payload), 17, source, destination)


def udp_fragments(
    payload: bytes, size: int, source: str = ALPHA, destination: str = BETA
) -> list[bytes]:
    """A UDP packet in fragments of `size` octets, a multiple of eight."""
    whole = _udp(payload)
    return [
        ip(
            whole[at : at + size],
            17,
            source,
            destination,
            fragment=(77, at, at + size < len(whole)),
        )
        for at in range(0, len(whole), size)
    ]


def _udp(payload: bytes) -> bytes:
    return struct.pack("!HHHH", 5060, 5060, 8 + len(payload), 0) + payload


def tcp(
    payload: bytes,
    sequence: int,
    source: str = ALPHA,
    destination: str = BETA,
    *,
    flags: int = 0x18,
    port: int = 5060,
) -> bytes:
    """A TCP packet; `flags` 0x02 is SYN, 0x01 is FIN, 0x04 is RST."""
    words = (40_000, port, sequence % 2**32, 0, 5 << 4, flags, 65_535, 0, 0)
    return ip(struct.pack("!HHIIBBHHH", *words) + payload, 6, source, destination)


def tcp_segments(payload: bytes, sequence: int, size: int) -> list[bytes]:
    """A stream's octets in segments."""
    return [tcp(payload[at : at + size], sequence + at) for at in range(0, len(payload), size)]


def invite(
    *identities: str,
    call_id: str = "one@alpha.example",
    method: str = "INVITE",
    to_tag: str = "",
    body: bytes = b"",
    extra: Iterable[str] = (),
) -> bytes:
    """A request from +1 415 555 0100 to +1 212 555 0123."""
    lines = [
        f"{method} sip:+12125550123@beta.example SIP/2.0",
        "Via: SIP/2.0/UDP alpha.example;branch=z9hG4bK1",
        "From: <sip:+14155550100@alpha.example>;tag=1",
        f"To: <sip:+12125550123@beta.example>{to_tag}",
        f"Call-ID: {call_id}",
        f"CSeq: 1 {method}",
        "Max-Forwards: 70",
        *(f"Identity: {value}" for value in identities),
        *extra,
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join((*lines, "", "")).encode() + body
