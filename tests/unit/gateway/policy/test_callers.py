"""Which own user or trunk may call from which number."""

from __future__ import annotations

import pytest

from gateway.config.sip import Trunk, User
from gateway.policy.callers import CallerPolicy
from sip.flow import Address, Flow, Transport

ALICE = User(username="alice", password="x", numbers=("+14155550100", "+14155550101"))
NATTED = User(username="bob", password="x", numbers=("+14155550102",), behind_nat=True, attest="B")
PBX = Trunk(
    name="pbx",
    sources=("192.0.2.0/28", "2001:db8::/64"),
    numbers=("+14155550110-+14155550119",),
    allow_prefixes=("+1", "+44"),
)
POLICY = CallerPolicy([ALICE, NATTED], [PBX])
LOCAL = Address("198.51.100.1", 5060)


def from_(host: str, transport: Transport = "udp", *names: str) -> Flow:
    return Flow(transport, LOCAL, Address(host, 5060), "access", peer_names=names)


UDP = from_("192.0.2.3")


@pytest.mark.parametrize(
    ("source", "found"),
    [("192.0.2.15", True), ("192.0.2.16", False), ("2001:db8::7", True), ("2001:db9::7", False)],
)
def test_a_trunk_is_known_by_its_networks(source: str, found: bool) -> None:
    assert (POLICY.trunk(from_(source)) is PBX) is found


def test_without_trunks_nobody_is_one() -> None:
    assert CallerPolicy([ALICE], []).trunk(from_("192.0.2.1")) is None


def test_a_user_calls_from_the_number_shown_if_it_is_theirs() -> None:
    caller = POLICY.caller_from_user("alice", "+14155550101", UDP)
    assert caller is not None
    assert (caller.number, caller.attest, caller.media) == ("+14155550101", "A", "sdes")


def test_a_user_who_shows_none_calls_from_the_first() -> None:
    caller = POLICY.caller_from_user("alice", None, UDP)
    assert caller is not None
    assert caller.number == "+14155550100"


@pytest.mark.parametrize(("name", "number"), [("alice", "+14155550102"), ("eve", None)])
def test_a_user_may_not_call_from_anybody_elses_number(name: str, number: str | None) -> None:
    assert POLICY.caller_from_user(name, number, UDP) is None


def test_attestation_and_nat_are_the_users() -> None:
    caller = POLICY.caller_from_user("bob", None, UDP)
    assert caller is not None
    assert (caller.attest, caller.behind_nat) == ("B", True)


def test_a_trunk_calls_from_its_ranges_only_and_always_says_which() -> None:
    caller = POLICY.caller_from_trunk(PBX, "+14155550115", UDP)
    assert caller is not None
    assert (caller.name, caller.media, caller.attest) == ("pbx", "rtp", "B")
    assert POLICY.caller_from_trunk(PBX, "+14155550120", UDP) is None
    assert POLICY.caller_from_trunk(PBX, None, UDP) is None


def test_a_trunks_media_may_pass() -> None:
    passing = PBX.model_copy(update={"media": "pass"})
    caller = CallerPolicy([], [passing]).caller_from_trunk(passing, "+14155550110", UDP)
    assert caller is not None
    assert caller.media == "pass"


def test_prefixes_bound_where_a_trunk_calls() -> None:
    caller = POLICY.caller_from_trunk(PBX, "+14155550110", UDP)
    assert caller is not None
    assert caller.may_call("+442079460018")
    assert not caller.may_call("+33123456789")


def test_a_number_has_its_owner() -> None:
    assert POLICY.owner("+14155550101") is ALICE
    assert POLICY.owner("+14155550199") is None
    assert POLICY.user("alice") is ALICE
    assert POLICY.user("eve") is None


@pytest.mark.parametrize(
    ("transport", "strength"), [("udp", "address"), ("tcp", "connection"), ("tls", "connection")]
)
def test_an_address_that_answered_is_better_known_than_one_that_may_be_forged(
    transport: Transport, strength: str
) -> None:
    caller = POLICY.caller_from_trunk(PBX, "+14155550110", from_("192.0.2.3", transport))
    assert caller is not None
    assert caller.strength == strength


def test_a_password_over_tls_is_a_better_proof() -> None:
    over_udp = POLICY.caller_from_user("alice", None, UDP)
    over_tls = POLICY.caller_from_user("alice", None, from_("192.0.2.3", "tls"))
    assert over_udp is not None
    assert over_tls is not None
    assert (over_udp.strength, over_tls.strength) == ("digest", "digest-tls")


def test_a_trunk_with_a_domain_is_known_by_its_certificate_too() -> None:
    proven = PBX.model_copy(update={"domain": "pbx.example"})
    policy = CallerPolicy([], [proven])
    assert policy.trunk(from_("192.0.2.3", "tls", "pbx.example")) is proven
    assert policy.trunk(from_("192.0.2.3", "tls", "other.example")) is None
    assert policy.trunk(from_("192.0.2.3", "udp")) is None
    caller = policy.caller_from_trunk(proven, "+14155550110", UDP)
    assert caller is not None
    assert caller.strength == "certificate"


def test_a_number_in_transit_is_signed_as_far_as_the_trunk_permits() -> None:
    carrier = PBX.model_copy(update={"unknown_numbers": "C"})
    caller = CallerPolicy([], [carrier]).caller_from_trunk(carrier, "+442079460018", UDP)
    assert caller is not None
    assert (caller.attest, caller.owns_number) == ("C", False)
    assert CallerPolicy([], [carrier]).caller_from_trunk(carrier, "anonymous", UDP) is None


def test_a_call_without_a_number_is_signed_for_the_default_one() -> None:
    hotel = PBX.model_copy(update={"default_number": "+14155550110"})
    caller = CallerPolicy([], [hotel]).caller_from_trunk(hotel, None, UDP)
    assert caller is not None
    assert (caller.number, caller.owns_number, caller.attest) == ("+14155550110", True, "B")
