"""Two legs joined: what passes, what is dropped, and under which name it is counted."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import pytest

from media.bridge import Direction
from media.ice_values import Address
from media.leg import MAX_STREAMS, Leg
from media.leg_connectivity import StaticConnectivity
from media.sdes import new_key
from media.srtp import AES_CM_128_HMAC_SHA1_80, SrtpInbound, SrtpKey, SrtpOutbound

PLAIN_PEER: Address = ("192.0.2.1", 4000)
PLAIN_RTCP: Address = ("192.0.2.1", 4001)
SECURE_PEER: Address = ("192.0.2.2", 5000)
STRANGER: Address = ("203.0.113.66", 4000)


def rtp(number: int, ssrc: int = 1, body: bytes = b"voice") -> bytes:
    number &= 0xFFFF
    return struct.pack("!BBHII", 0x80, 0, number, number * 160, ssrc) + body


RECEIVER_REPORT = struct.pack("!BBHI", 0x80, 201, 1, 1)


def plain_leg(*, behind_nat: bool = False) -> Leg:
    connectivity = StaticConnectivity(behind_nat=behind_nat, protected=False)
    connectivity.signal(PLAIN_PEER, PLAIN_RTCP)
    return Leg(connectivity, protected=False)


def secure_leg(inbound: SrtpKey, outbound: SrtpKey, *, behind_nat: bool = False) -> Leg:
    connectivity = StaticConnectivity(behind_nat=behind_nat, protected=True)
    connectivity.signal(SECURE_PEER, SECURE_PEER)
    leg = Leg(connectivity, protected=True)
    leg.use_keys(inbound, outbound)
    return leg


@dataclass
class Pair:
    """A plain and a protected leg, and the protected peer's own SRTP."""

    behind_nat: bool = False
    theirs: SrtpKey = field(default_factory=lambda: new_key(AES_CM_128_HMAC_SHA1_80))
    ours: SrtpKey = field(default_factory=lambda: new_key(AES_CM_128_HMAC_SHA1_80))

    def __post_init__(self) -> None:
        self.plain = plain_leg(behind_nat=self.behind_nat)
        self.secure = secure_leg(self.theirs, self.ours, behind_nat=self.behind_nat)
        self.to_secure = Direction(self.plain, self.secure)
        self.to_plain = Direction(self.secure, self.plain)
        self.peer_out, self.peer_in = SrtpOutbound(self.theirs), SrtpInbound(self.ours)


def test_rtp_becomes_srtp_and_back_with_header_and_payload_unchanged() -> None:
    pair = Pair()
    for number in range(65530, 65545):
        protected = pair.to_secure.rtp(rtp(number), PLAIN_PEER, number * 0.02)
        assert protected is not None
        assert pair.peer_in.unprotect(protected) == rtp(number)
        back = pair.to_plain.rtp(pair.peer_out.protect(rtp(number)), SECURE_PEER, number * 0.02)
        assert back == rtp(number)
    statistics = pair.plain.statistics()
    assert (statistics.packets_in, statistics.packets_out, statistics.lost) == (15, 15, 0)
    assert statistics.bytes_in == statistics.bytes_out == 15 * len(rtp(0))
    assert pair.secure.statistics().bytes_in == 15 * (len(rtp(0)) + 10)


def test_rtcp_changes_between_its_own_port_and_rtps() -> None:
    pair = Pair()
    sent = pair.to_secure.rtcp(RECEIVER_REPORT, PLAIN_RTCP)
    assert sent is not None
    assert (sent.destination, sent.own_port) == (SECURE_PEER, False)
    assert pair.peer_in.unprotect_rtcp(sent.data) == RECEIVER_REPORT
    back = pair.to_plain.rtcp(pair.peer_out.protect_rtcp(RECEIVER_REPORT), SECURE_PEER)
    assert back is not None
    assert (back.data, back.destination, back.own_port) == (RECEIVER_REPORT, PLAIN_RTCP, True)
    assert pair.plain.statistics().rtcp_in == pair.plain.statistics().rtcp_out == 1


def test_a_strangers_packets_neither_pass_nor_move_the_leg() -> None:
    pair = Pair()
    for _ in range(10):
        assert pair.to_secure.rtp(rtp(1), STRANGER, 0) is None
        assert pair.to_secure.rtcp(RECEIVER_REPORT, STRANGER) is None
    assert pair.plain.statistics().dropped == {"source": 20}
    assert pair.plain.connectivity.destination == PLAIN_PEER


@pytest.mark.rfc("3711", "3.3")
def test_bad_tags_and_replays_are_counted_and_the_call_lives() -> None:
    pair = Pair()
    good = pair.peer_out.protect(rtp(1))
    bad = good[:-1] + bytes([good[-1] ^ 1])
    for _ in range(1000):
        assert pair.to_plain.rtp(bad, SECURE_PEER, 0) is None
    assert pair.to_plain.rtp(good, SECURE_PEER, 0) == rtp(1)
    assert pair.to_plain.rtp(good, SECURE_PEER, 0) is None
    assert pair.to_plain.rtcp(b"\x80\xc9" + bytes(20), SECURE_PEER) is None
    assert pair.to_plain.rtp(pair.peer_out.protect(rtp(2)), SECURE_PEER, 0) == rtp(2)
    dropped = pair.secure.statistics().dropped
    assert dropped == {"authentication": 1000, "replay": 1, "srtp": 1}
    assert len(pair.secure.statistics().streams) == 1


def test_a_new_ssrc_and_a_jump_of_the_sequence_pass() -> None:
    pair = Pair()
    for packet in (rtp(1), rtp(2, ssrc=9), rtp(20000), rtp(20001)):
        assert pair.to_plain.rtp(pair.peer_out.protect(packet), SECURE_PEER, 0) == packet
    assert {stream.ssrc for stream in pair.secure.statistics().streams} == {1, 9}


def test_packets_before_keys_or_before_the_other_leg_are_dropped_not_kept() -> None:
    pair = Pair()
    pair.secure.use_keys(None, None)
    assert pair.to_plain.rtp(pair.peer_out.protect(rtp(1)), SECURE_PEER, 0) is None
    assert pair.to_secure.rtp(rtp(1), PLAIN_PEER, 0) is None
    assert pair.to_secure.rtcp(RECEIVER_REPORT, PLAIN_RTCP) is None
    assert pair.secure.statistics().dropped == {"early": 3}
    assert pair.plain.statistics().dropped == {}


def test_a_peer_on_hold_gets_nothing() -> None:
    pair = Pair()
    assert pair.to_secure.rtp(rtp(1), PLAIN_PEER, 0) is not None
    assert isinstance(pair.secure.connectivity, StaticConnectivity)
    pair.secure.connectivity.signal(None, None)
    assert pair.to_secure.rtp(rtp(2), PLAIN_PEER, 0) is None
    assert pair.to_secure.rtcp(RECEIVER_REPORT, PLAIN_RTCP) is None
    assert pair.secure.statistics().dropped == {"no destination": 2}


def test_keys_that_stay_keep_their_rollover_counter() -> None:
    pair = Pair()
    for number in range(65530, 65542):
        protected = pair.to_secure.rtp(rtp(number), PLAIN_PEER, 0)
        assert protected is not None
        pair.peer_in.unprotect(protected)
        pair.to_plain.rtp(pair.peer_out.protect(rtp(number)), SECURE_PEER, 0)
    same = SrtpKey(pair.theirs.profile, pair.theirs.key, pair.theirs.salt)
    pair.secure.use_keys(same, pair.ours)
    protected = pair.to_secure.rtp(rtp(65542), PLAIN_PEER, 0)
    assert protected is not None
    assert pair.peer_in.unprotect(protected) == rtp(65542)
    back = pair.to_plain.rtp(pair.peer_out.protect(rtp(65542)), SECURE_PEER, 0)
    assert back == rtp(65542)


def test_new_keys_begin_anew() -> None:
    pair = Pair()
    pair.to_plain.rtp(pair.peer_out.protect(rtp(1)), SECURE_PEER, 0)
    fresh = new_key(AES_CM_128_HMAC_SHA1_80)
    pair.secure.use_keys(fresh, pair.ours)
    assert pair.to_plain.rtp(pair.peer_out.protect(rtp(2)), SECURE_PEER, 0) is None
    assert pair.to_plain.rtp(SrtpOutbound(fresh).protect(rtp(1)), SECURE_PEER, 0) == rtp(1)


def test_behind_nat_only_a_packet_that_authenticates_moves_a_protected_leg() -> None:
    pair = Pair(behind_nat=True)
    good = pair.peer_out.protect(rtp(1))
    assert pair.to_plain.rtp(good[:-1] + bytes([good[-1] ^ 1]), STRANGER, 0) is None
    assert pair.secure.connectivity.destination == SECURE_PEER
    natted = ("198.51.100.7", 31000)
    assert pair.to_plain.rtp(good, natted, 0) == rtp(1)
    assert pair.secure.connectivity.destination == natted
    assert pair.to_plain.rtp(good, STRANGER, 0) is None
    assert pair.secure.connectivity.destination == natted


def test_behind_nat_an_attacker_from_another_host_bleeds_and_injects_nothing() -> None:
    pair = Pair(behind_nat=True)
    for number in range(350):
        assert pair.to_secure.rtp(rtp(number, ssrc=3), STRANGER, 0) is None
    assert pair.plain.connectivity.destination == PLAIN_PEER
    assert pair.to_secure.rtp(rtp(1), (PLAIN_PEER[0], 9999), 0) is not None
    assert pair.plain.connectivity.destination == (PLAIN_PEER[0], 9999)


def test_the_number_of_streams_is_bounded() -> None:
    pair = Pair()
    for ssrc in range(MAX_STREAMS + 50):
        pair.to_plain.rtp(pair.peer_out.protect(rtp(1, ssrc=ssrc)), SECURE_PEER, 0)
        report = struct.pack("!BBHI", 0x80, 201, 1, ssrc)
        pair.to_plain.rtcp(pair.peer_out.protect_rtcp(report), SECURE_PEER)
    statistics = pair.secure.statistics()
    assert len(statistics.streams) == MAX_STREAMS
    assert statistics.dropped == {"too many streams": 100}


@pytest.mark.parametrize(
    "data",
    [b"\x80", bytes([0x80]) * 11, b"\x8f" + bytes(11), b"\x90" + bytes(12), b"\xa0" + bytes(11)],
)
def test_rtp_cut_short_is_dropped(data: bytes) -> None:
    pair = Pair()
    assert pair.to_secure.rtp(data, PLAIN_PEER, 0) is None
    assert pair.plain.statistics().dropped == {"malformed": 1}
    assert pair.plain.statistics().streams == ()


@pytest.mark.parametrize("data", [b"\x80\xc9", b"\x80\xc9\x00\x05" + bytes(4)])
def test_rtcp_cut_short_is_dropped(data: bytes) -> None:
    pair = Pair()
    assert pair.to_secure.rtcp(data, PLAIN_RTCP) is None
    assert pair.plain.statistics().dropped == {"malformed": 1}


def test_a_packet_that_was_cut_off_is_dropped() -> None:
    pair = Pair()
    assert pair.to_secure.rtp(rtp(1, body=bytes(2048)), PLAIN_PEER, 0) is None
    assert pair.to_secure.rtcp(RECEIVER_REPORT + bytes(2048), PLAIN_RTCP) is None
    assert pair.plain.statistics().dropped == {"malformed": 2}
