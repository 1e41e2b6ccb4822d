"""From where a leg takes packets: the rule in media/leg_connectivity.py, row by row."""

from __future__ import annotations

import pytest

from media.ice_values import Address
from media.leg_connectivity import Admission, IceConnectivity, StaticConnectivity

RTP: Address = ("192.0.2.10", 4000)
RTCP: Address = ("192.0.2.10", 4001)
OTHER_PORT: Address = ("192.0.2.10", 5000)
SIGNALLING: Address = ("198.51.100.7", 6000)
STRANGER: Address = ("203.0.113.66", 4000)


def static(
    *, behind_nat: bool, protected: bool, rtcp: Address = RTCP, hosts: tuple[str, ...] = ()
) -> StaticConnectivity:
    connectivity = StaticConnectivity(behind_nat=behind_nat, protected=protected)
    connectivity.signal(RTP, rtcp, hosts)
    return connectivity


@pytest.mark.parametrize("protected", [False, True])
@pytest.mark.parametrize(
    ("source", "rtcp", "admission"),
    [
        (RTP, False, Admission.YES),
        (RTP, True, Admission.YES),
        (RTCP, True, Admission.YES),
        (RTCP, False, Admission.NO),
        (OTHER_PORT, False, Admission.NO),
        (SIGNALLING, False, Admission.NO),
        (STRANGER, False, Admission.NO),
        (STRANGER, True, Admission.NO),
    ],
)
def test_a_strict_leg_takes_only_the_signalled_address(
    source: Address, rtcp: bool, admission: Admission, protected: bool
) -> None:
    connectivity = static(behind_nat=False, protected=protected, hosts=(SIGNALLING[0],))
    assert connectivity.admits(source, rtcp=rtcp) is admission
    connectivity.learn(source, rtcp=rtcp)
    assert (connectivity.destination, connectivity.rtcp_destination) == (RTP, RTCP)


@pytest.mark.parametrize("source", [OTHER_PORT, SIGNALLING])
def test_an_unprotected_peer_behind_nat_is_fixed_by_its_first_packet(source: Address) -> None:
    connectivity = static(behind_nat=True, protected=False, hosts=(SIGNALLING[0],))
    assert connectivity.admits(STRANGER, rtcp=False) is Admission.NO
    assert connectivity.admits(source, rtcp=False) is Admission.YES
    connectivity.learn(source, rtcp=False)
    assert connectivity.destination == source
    for late in (RTP, (source[0], 9), STRANGER):
        assert connectivity.admits(late, rtcp=False) is Admission.NO
    assert connectivity.admits(source, rtcp=False) is Admission.YES


def test_rtcp_behind_nat_is_taken_from_the_host_that_rtp_fixed() -> None:
    connectivity = static(behind_nat=True, protected=False, hosts=(SIGNALLING[0],))
    connectivity.learn(SIGNALLING, rtcp=False)
    assert connectivity.admits(OTHER_PORT, rtcp=True) is Admission.NO
    source = (SIGNALLING[0], 6001)
    assert connectivity.admits(source, rtcp=True) is Admission.YES
    connectivity.learn(source, rtcp=True)
    assert (connectivity.destination, connectivity.rtcp_destination) == (SIGNALLING, source)
    assert connectivity.admits((SIGNALLING[0], 9), rtcp=True) is Admission.NO


def test_multiplexed_rtcp_moves_with_rtp() -> None:
    connectivity = static(behind_nat=True, protected=False, rtcp=RTP)
    connectivity.learn(OTHER_PORT, rtcp=False)
    assert connectivity.rtcp_destination == OTHER_PORT


def test_a_protected_peer_behind_nat_proves_itself_from_anywhere_and_again() -> None:
    connectivity = static(behind_nat=True, protected=True)
    for source in (STRANGER, SIGNALLING):
        assert connectivity.admits(source, rtcp=False) is Admission.IF_AUTHENTICATED
        connectivity.learn(source, rtcp=False)
        assert connectivity.destination == source


def test_the_same_signalling_keeps_what_was_learned_and_other_signalling_forgets_it() -> None:
    connectivity = static(behind_nat=True, protected=False)
    connectivity.learn(OTHER_PORT, rtcp=False)
    connectivity.signal(RTP, RTCP)
    assert connectivity.destination == OTHER_PORT
    moved = ("192.0.2.11", 4000)
    connectivity.signal(moved, moved)
    assert connectivity.destination == moved
    assert connectivity.admits(OTHER_PORT, rtcp=False) is Admission.NO


def test_before_signalling_nothing_is_taken() -> None:
    connectivity = StaticConnectivity(behind_nat=True, protected=True)
    assert connectivity.admits(RTP, rtcp=False) is Admission.NO


class Agent:
    def is_validated(self, address: Address) -> bool:
        return address == RTP


def test_an_ice_leg_asks_its_agent() -> None:
    assert IceConnectivity().admits(RTP, rtcp=False) is Admission.NO
    connectivity = IceConnectivity(Agent())
    assert connectivity.admits(RTP, rtcp=False) is Admission.NO, "no pair is selected yet"
    connectivity.destination = RTP
    assert connectivity.admits(RTP, rtcp=False) is Admission.YES
    assert connectivity.admits(STRANGER, rtcp=True) is Admission.NO
    connectivity.learn(STRANGER, rtcp=False)
    assert connectivity.destination == connectivity.rtcp_destination == RTP
