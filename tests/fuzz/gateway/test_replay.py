"""The fuzz targets, run over their seeds and over cut and flipped forms of them."""

from __future__ import annotations

from random import Random

import pytest

from tests.fuzz.gateway.targets import TARGETS
from tests.support.captures import ethernet, invite, pcap, pcapng, tcp_segments, udp, udp_fragments

SIGNED = invite("aaa.bbb.ccc;info=<https://a.example/c.pem>")
V6 = ("2001:db8::1", "2001:db8::2")
PACKETS = [
    udp(SIGNED),
    udp(SIGNED, *V6),
    *tcp_segments(SIGNED, 1, 300),
    *udp_fragments(SIGNED, 136),
    *udp_fragments(SIGNED, 136, *V6),
]
SEEDS = {
    "packet": PACKETS,
    "capture": [make(*map(ethernet, PACKETS)) for make in (pcap, pcapng)],
}


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_seeds_and_their_neighbours_raise_nothing(name: str) -> None:
    rand = Random(name)
    for seed in SEEDS[name]:
        TARGETS[name](seed)
        for _ in range(300):
            data = bytearray(seed[: rand.randrange(len(seed) + 1)] if rand.random() < 0.3 else seed)
            for _ in range(rand.randrange(6)):
                if data:
                    data[rand.randrange(len(data))] = rand.randrange(256)
            TARGETS[name](bytes(data))
