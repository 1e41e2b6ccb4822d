"""The fast path does what the bridge does, and leaves to it what it does not know."""

from __future__ import annotations

import random
import struct
from collections import deque
from collections.abc import Callable

import pytest

from media import relay
from media.bridge import Direction
from media.ice_values import Address
from media.leg import Leg
from media.leg_connectivity import StaticConnectivity
from media.sdes import new_key
from media.srtp import AES_CM_128_HMAC_SHA1_80, SrtpKey, SrtpOutbound

PEER: Address = ("192.0.2.1", 4000)
FAR: Address = ("192.0.2.2", 5000)
STRANGER: Address = ("203.0.113.66", 4000)


class FakeSocket:
    """A socket with a queue of what was received and a list of what was sent."""

    def __init__(self, peer: Address | None = None) -> None:
        self.peer = peer
        self.unsent = 0
        self.queue: deque[tuple[bytes, Address]] = deque()
        self.sent: list[tuple[bytes, Address | None]] = []
        self.broken = False
        self.recv_into: Callable[[memoryview], int] = lambda room: self._read(room)[0]
        self.recvfrom_into: Callable[[memoryview], tuple[int, Address]] = self._read
        self.send_to_peer: Callable[[memoryview], int] = lambda data: self._write(data, None)
        self.send_to: Callable[[memoryview, Address], int] = self._write

    def _read(self, room: memoryview) -> tuple[int, Address]:
        if not self.queue:
            raise BlockingIOError
        data, source = self.queue.popleft()
        data = data[: len(room)]
        room[: len(data)] = data
        return len(data), source

    def _write(self, data: memoryview, destination: Address | None) -> int:
        if self.broken:
            raise ConnectionRefusedError
        self.sent.append((bytes(data), destination))
        return len(data)


def leg(peer: Address, keys: tuple[SrtpKey, SrtpKey] | None) -> Leg:
    connectivity = StaticConnectivity(behind_nat=False, protected=keys is not None)
    connectivity.signal(peer, peer)
    made = Leg(connectivity, protected=keys is not None)
    if keys is not None:
        made.use_keys(*keys)
    return made


class Line:
    """Two legs, with or without SRTP, and the fast path between fake sockets."""

    def __init__(
        self,
        keys_in: tuple[SrtpKey, SrtpKey] | None,
        keys_out: tuple[SrtpKey, SrtpKey] | None,
        *,
        connected: bool = False,
    ) -> None:
        self.near, self.far = leg(PEER, keys_in), leg(FAR, keys_out)
        self.intake = FakeSocket(PEER if connected else None)
        self.outlet = FakeSocket(FAR if connected else None)
        self.direction = Direction(self.near, self.far)
        self.judged = 0
        self.read = relay.reader(
            self.near,
            self.far,
            self.intake,
            self.outlet,
            otherwise=self._otherwise,
            clock=lambda: 0.0,
        )

    def _otherwise(self, data: bytes, source: Address) -> None:
        self.judged += 1
        if len(data) > 1 and not 192 <= data[1] <= 223:
            out = self.direction.rtp(data, source, 0.0)
            if out is not None:
                self.outlet.sent.append((out, FAR))

    def take(self, data: bytes, source: Address = PEER) -> list[bytes]:
        self.intake.queue.append((data, source))
        before = len(self.outlet.sent)
        assert self.read()
        return [sent for sent, _ in self.outlet.sent[before:]]


def keys() -> tuple[SrtpKey, SrtpKey]:
    return new_key(AES_CM_128_HMAC_SHA1_80), new_key(AES_CM_128_HMAC_SHA1_80)


def rtp(number: int, *, first: int = 0x80, ssrc: int = 1, body: bytes = b"voice") -> bytes:
    return struct.pack("!BBHII", first, 0, number & 0xFFFF, number * 160, ssrc) + body


KINDS = [(False, False), (False, True), (True, False), (True, True)]


@pytest.mark.parametrize("connected", [False, True])
@pytest.mark.parametrize(("secure_in", "secure_out"), KINDS)
def test_the_fast_path_and_the_bridge_agree_on_whatever_comes(
    secure_in: bool, secure_out: bool, connected: bool
) -> None:
    rand = random.Random(5)
    keys_in, keys_out = (keys() if secure else None for secure in (secure_in, secure_out))
    line = Line(keys_in, keys_out, connected=connected)
    plain_near, plain_far = leg(PEER, keys_in), leg(FAR, keys_out)
    slow = Direction(plain_near, plain_far)
    peer = SrtpOutbound(keys_in[0]) if keys_in else None
    for number in range(65_400, 65_900):
        packet = rtp(
            number + rand.choice([0, 0, 0, -3, 5]),
            first=rand.choice([0x80, 0x80, 0x80, 0x90, 0xA0, 0x81, 0x00]),
            ssrc=rand.choice([1, 1, 1, 2]),
            body=rand.randbytes(rand.randrange(30)),
        )
        if peer is not None:
            try:
                packet = peer.protect(packet)
            except ValueError:
                continue
        if rand.random() < 0.1:
            packet = packet[: rand.randrange(len(packet))]
        if rand.random() < 0.1:
            packet = packet[:-1] + b"!"
        source = PEER if connected or rand.random() < 0.9 else STRANGER
        judged = slow.rtp(packet, source, 0.0) if len(packet) > 1 else None
        assert line.take(packet, source) == ([] if judged is None else [judged])
    fast, full = line.near.statistics(), plain_near.statistics()
    assert (fast.packets_in, fast.bytes_in, fast.lost) == (
        full.packets_in,
        full.bytes_in,
        full.lost,
    )
    assert line.far.statistics().bytes_out == plain_far.statistics().bytes_out
    assert line.judged < 500


def test_a_steady_stream_is_judged_once() -> None:
    line = Line(keys(), None)
    assert line.near.inbound is not None
    peer = SrtpOutbound(line.near.inbound.key)
    for number in range(100):
        extended = rtp(number, first=0x90, body=b"\xbe\xde\x00\x01" + bytes(4) + b"voice")
        assert line.take(peer.protect(extended)) == [extended]
    assert line.judged == 1


def test_an_extension_is_judged_where_nothing_else_checks_its_length() -> None:
    line = Line(None, None)
    line.take(rtp(1))
    assert line.take(rtp(2, first=0x90, body=b"\xbe\xde\xff\xff")) == []
    assert line.judged == 2


def test_rtcp_stun_dtls_and_strangers_are_judged() -> None:
    line = Line(None, None)
    line.take(rtp(1))
    for data in (b"", b"\x80\xc9" + bytes(20), b"\x00\x01" + bytes(18), b"\x16" + bytes(30)):
        assert line.take(data) == []
    assert line.take(rtp(2), STRANGER) == []
    assert line.judged == 6


def test_keys_and_destinations_that_go_away_stop_it_at_once() -> None:
    line = Line(keys(), keys())
    assert line.near.inbound is not None
    peer = SrtpOutbound(line.near.inbound.key)
    assert len(line.take(peer.protect(rtp(1)))) == len(line.take(peer.protect(rtp(2)))) == 1
    line.far.use_keys(None, None)
    assert line.take(peer.protect(rtp(3))) == []
    line.far.use_keys(*keys())
    assert isinstance(line.far.connectivity, StaticConnectivity)
    line.far.connectivity.signal(None, None)
    assert line.take(peer.protect(rtp(4))) == []
    assert line.far.statistics().dropped == {"early": 1, "no destination": 1}


def test_what_cannot_be_sent_is_counted_and_nothing_raised() -> None:
    line = Line(None, None)
    line.take(rtp(1))
    line.outlet.broken = True
    assert line.take(rtp(2)) == []
    assert line.outlet.unsent == 1


def test_an_empty_socket_is_no_error() -> None:
    assert Line(None, None).read() is False
