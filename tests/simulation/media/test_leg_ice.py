"""ICE and DTLS of two gateways on a virtual clock: set-up, loss, attack, time-outs, restarts."""

from __future__ import annotations

import pytest

from media.demux import PacketKind, classify
from media.dtls import DtlsRole
from media.fingerprint import Fingerprint
from media.ice_values import Address, new_credentials
from media.leg import Leg
from media.leg_ice import LegConnected, LegFailed
from tests.support.ice_dtls_link import End, Link, identity

ATTACKER: Address = ("203.0.113.66", 6666)
RTP = bytes.fromhex("80000001000000a000000001") + b"voice"
NULL_CIPHER_HELLO = bytes.fromhex(
    "16feff000000000000000000360100002a000000000000002afefd" + "11" * 32 + "000000020000" + "0100"
)


def talks(link: Link, number: int = 1) -> bool:
    """Whether a packet passes each way, protected by keys both ends have."""
    packet = RTP[:2] + number.to_bytes(2, "big") + RTP[4:]
    for sender, receiver in ((link.full, link.lite), (link.lite, link.full)):
        if not sender.leg.ready:
            return False
        protected = sender.leg.emit(packet)
        assert protected is not None
        assert protected[12:17] != RTP[12:17]
        if receiver.leg.accept(protected, sender.address, link.now) != packet:
            return False
    return True


@pytest.mark.parametrize("full_role", ["server", "client"])
def test_two_gateways_connect_within_a_few_round_trips(full_role: DtlsRole) -> None:
    link = Link()
    link.start(full_role=full_role)
    link.run(until=1)
    assert link.full.seen == link.lite.seen == [LegConnected()]
    assert talks(link)
    assert link.full.leg.connectivity.destination == link.lite.address
    assert link.lite.leg.connectivity.destination == link.full.address


@pytest.mark.parametrize("seed", range(20))
def test_they_connect_over_a_link_that_loses_and_reorders(seed: int) -> None:
    link = Link(seed, loss=0.2)
    link.start()
    link.run(until=10)
    assert LegConnected() in link.full.seen
    assert LegConnected() in link.lite.seen
    assert talks(link)


@pytest.mark.parametrize("seed", range(20))
def test_a_spray_of_client_hellos_from_off_the_path_reaches_nothing(seed: int) -> None:
    link = Link(seed)

    def attack() -> None:
        for end in (link.full, link.lite):
            for data in (NULL_CIPHER_HELLO, RTP, b"\x16\xfe\xfd" + bytes(300), b"\x15" * 20):
                end.receive(data, ATTACKER, link.now)

    attack()
    link.start()
    link.run(until=1, each=attack)
    assert link.full.seen == link.lite.seen == [LegConnected()]
    assert talks(link)
    dropped = link.full.leg.statistics().dropped
    assert dropped["source"] + dropped.get("early", 0) >= 40
    assert "malformed" not in dropped


@pytest.mark.parametrize("betrayed", ["full", "lite"])
def test_a_certificate_other_than_the_sdps_gives_no_keys(betrayed: str) -> None:
    link = Link()
    wrong = [identity().fingerprint]
    if betrayed == "full":
        link.start(full_expects=wrong)
        victim = link.full
    else:
        link.start(lite_expects=wrong)
        victim = link.lite
    link.run(until=2)
    assert victim.seen == [LegFailed("dtls fingerprint")]
    assert not victim.leg.ready
    assert not talks(link)


def test_no_answer_to_checks_is_an_ice_timeout() -> None:
    link = Link(loses=lambda data: True)
    link.start()
    link.run(until=11)
    assert link.full.seen == link.lite.seen == [LegFailed("ice timeout")]


def test_no_answer_to_dtls_is_a_dtls_timeout() -> None:
    link = Link(loses=lambda data: classify(data) is PacketKind.DTLS)
    link.start()
    link.run(until=12)
    assert link.full.seen == link.lite.seen == [LegFailed("dtls timeout")]


def test_consent_lost_stops_media_within_35_seconds() -> None:
    silent = False
    link = Link(loses=lambda data: silent)
    link.start()
    link.run(until=5)
    assert talks(link)
    silent = True
    link.run(until=40)
    for end in (link.full, link.lite):
        assert end.seen[-1] == LegFailed("consent lost")
        assert not end.leg.ready
        assert end.leg.connectivity.destination is None


def test_the_same_description_again_changes_nothing() -> None:
    link = Link()
    link.start()
    link.run(until=1)
    link.start()
    link.run(until=2)
    assert link.full.seen == link.lite.seen == [LegConnected()]
    assert talks(link)


def restart_ice(link: Link) -> None:
    """Both sides take new credentials, as a re-offer and its answer would have them do."""
    full, lite = link.full, link.lite
    fresh = {end.address: new_credentials(link.rand) for end in (full, lite)}
    full_before, lite_before = full.parameters, lite.parameters
    for end, other in ((lite, full_before), (full, lite_before)):
        peer = full if end is lite else lite
        remote = type(other)(fresh[peer.address], other.candidates, other.lite)
        role = end.ice.role
        assert role is not None
        end.ice.start(
            remote,
            [peer.identity.fingerprint],
            role,
            link.now,
            credentials=fresh[end.address],
        )


def test_an_ice_restart_keeps_the_keys_and_media_goes_on_meanwhile() -> None:
    link = Link()
    link.start()
    link.run(until=1)
    assert talks(link, 1)
    restart_ice(link)
    assert talks(link, 2)
    link.run(until=3)
    assert talks(link, 3)
    assert link.full.seen == link.lite.seen == [LegConnected()]


def test_an_ice_restart_brings_back_a_peer_whose_consent_was_lost() -> None:
    silent = False
    link = Link(loses=lambda data: silent)
    link.start()
    link.run(until=5)
    assert talks(link, 1)
    silent = True
    link.run(until=45)
    assert not talks(link, 2)
    silent = False
    restart_ice(link)
    link.run(until=50)
    assert talks(link, 3)


def test_a_new_fingerprint_takes_the_keys_away_at_once() -> None:
    link = Link()
    link.start()
    link.run(until=1)
    link.full.ice.start(link.lite.parameters, [identity().fingerprint], "server", link.now)
    assert not link.full.leg.ready
    assert not talks(link)


@pytest.mark.parametrize("fingerprints", [[], [Fingerprint("sha-1", "AA")]])
def test_a_weak_fingerprint_is_refused_before_anything_starts(
    fingerprints: list[Fingerprint],
) -> None:
    link = Link()
    with pytest.raises(ValueError, match="fingerprint"):
        link.full.ice.start(link.lite.parameters, fingerprints, "server", 0)
    assert link.full.ice.outbox == []


def flood(end: End, count: int) -> None:
    for number in range(count):
        source = (f"203.0.113.{number % 250 + 1}", 1024 + number % 60000)
        end.receive(NULL_CIPHER_HELLO + bytes(1000), source, 0.0)
        end.receive(b"\x80" + bytes(1400), source, 0.0)
        end.receive(bytes(20), source, 0.0)


def test_a_flood_at_an_unanswered_offer_is_kept_nowhere() -> None:
    import tracemalloc

    link = Link()
    flood(link.full, 1000)
    link.full.ice.outbox.clear()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    flood(link.full, 5000)
    link.full.ice.outbox.clear()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 200_000
    assert isinstance(link.full.leg, Leg)
