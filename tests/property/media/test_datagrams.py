"""Whatever datagram arrives, a leg raises nothing and sends nothing unasked."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from media.demux import PacketKind, classify
from media.dtls import DtlsAssociation, DtlsFailed
from media.leg import Leg
from media.leg_connectivity import StaticConnectivity
from media.rtp import MalformedRtp, check_rtcp, parse_rtp
from media.sdes import UnusableCrypto, new_key, parse_key
from media.srtp import AES_CM_128_HMAC_SHA1_80, PROFILES
from tests.support.ice_dtls_link import Link, identity

PEER = ("192.0.2.1", 4000)
FIRST = st.sampled_from([0x80, 0x90, 0xA0, 0x8F, 0xBF, 0x16, 0x14, 0x15, 0x00, 0x01, 0x40, 0xFF])
DATAGRAMS = st.builds(lambda first, rest: bytes([first]) + rest, FIRST, st.binary(max_size=80))
IDENTITY, OTHER = identity(), identity()


def leg(*, protected: bool) -> Leg:
    connectivity = StaticConnectivity(behind_nat=False, protected=protected)
    connectivity.signal(PEER, PEER)
    made = Leg(connectivity, protected=protected)
    if protected:
        made.use_keys(new_key(AES_CM_128_HMAC_SHA1_80), new_key(AES_CM_128_HMAC_SHA1_80))
    return made


@given(st.lists(DATAGRAMS, max_size=20), st.booleans())
def test_a_leg_accepts_or_drops_and_counts_each_datagram(
    datagrams: list[bytes], protected: bool
) -> None:
    made = leg(protected=protected)
    for data in datagrams:
        if classify(data) is PacketKind.RTCP:
            made.accept_rtcp(data, PEER)
        else:
            made.accept(data, PEER, 0.0)
    statistics = made.statistics()
    dropped = sum(statistics.dropped.values())
    assert statistics.packets_in + statistics.rtcp_in + dropped == len(datagrams)
    assert not (protected and statistics.packets_in)


@given(st.binary(max_size=60))
def test_headers_are_read_or_refused(data: bytes) -> None:
    for parse in (parse_rtp, check_rtcp):
        with contextlib.suppress(MalformedRtp):
            parse(data)


@given(
    st.one_of(st.sampled_from(sorted(PROFILES)), st.text(max_size=10)),
    st.one_of(st.text(max_size=80), st.text(max_size=60).map(lambda text: "inline:" + text)),
    st.lists(st.text(max_size=10), max_size=3),
)
def test_key_parameters_are_read_or_refused(suite: str, params: str, session: list[str]) -> None:
    with contextlib.suppress(UnusableCrypto):
        parse_key(suite, params, session)


@settings(deadline=None, max_examples=50)
@given(st.lists(DATAGRAMS, max_size=10), st.sampled_from(["client", "server"]))
def test_a_dtls_association_survives_or_fails_but_gives_no_keys(
    datagrams: list[bytes], role: str
) -> None:
    association = DtlsAssociation(
        IDENTITY, "client" if role == "client" else "server", [OTHER.fingerprint]
    )
    association.start(0)
    for data in datagrams:
        association.receive(data, 0.0)
        association.take_datagrams()
    assert association.outcome in (None, DtlsFailed("handshake"))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(DATAGRAMS, st.booleans()), max_size=20))
def test_an_ice_leg_answers_strangers_nothing_but_stun(
    datagrams: list[tuple[bytes, bool]],
) -> None:
    link = Link()
    link.start()
    link.full.ice.outbox.clear()
    for data, spoofed in datagrams:
        source = link.lite.address if spoofed else ("203.0.113.6", 6)
        link.full.receive(data, source, 0.0)
    assert all(len(data) > 0 and data[0] < 4 for data, _ in link.full.ice.outbox)
    assert link.full.leg.statistics().packets_in == 0
