"""Which own user or trunk may call from which number."""

from __future__ import annotations

import pytest

from gateway.config.sip import Trunk, User
from gateway.policy.callers import CallerPolicy

ALICE = User(username="alice", password="x", numbers=("+14155550100", "+14155550101"))
NATTED = User(username="bob", password="x", numbers=("+14155550102",), behind_nat=True, attest="B")
PBX = Trunk(
    name="pbx",
    sources=("192.0.2.0/28", "2001:db8::/64"),
    numbers=("+14155550110-+14155550119",),
    allow_prefixes=("+1", "+44"),
)
POLICY = CallerPolicy([ALICE, NATTED], [PBX])


@pytest.mark.parametrize(
    ("source", "found"),
    [("192.0.2.15", True), ("192.0.2.16", False), ("2001:db8::7", True), ("2001:db9::7", False)],
)
def test_a_trunk_is_known_by_its_networks(source: str, found: bool) -> None:
    assert (POLICY.trunk(source) is PBX) is found


def test_without_trunks_nobody_is_one() -> None:
    assert CallerPolicy([ALICE], []).trunk("192.0.2.1") is None


def test_a_user_calls_from_the_number_shown_if_it_is_theirs() -> None:
    caller = POLICY.caller_from_user("alice", "+14155550101")
    assert caller is not None
    assert (caller.number, caller.attest, caller.media) == ("+14155550101", "A", "sdes")


def test_a_user_who_shows_none_calls_from_the_first() -> None:
    caller = POLICY.caller_from_user("alice", None)
    assert caller is not None
    assert caller.number == "+14155550100"


@pytest.mark.parametrize(("name", "number"), [("alice", "+14155550102"), ("eve", None)])
def test_a_user_may_not_call_from_anybody_elses_number(name: str, number: str | None) -> None:
    assert POLICY.caller_from_user(name, number) is None


def test_attestation_and_nat_are_the_users() -> None:
    caller = POLICY.caller_from_user("bob", None)
    assert caller is not None
    assert (caller.attest, caller.behind_nat) == ("B", True)


def test_a_trunk_calls_from_its_ranges_only_and_always_says_which() -> None:
    caller = POLICY.caller_from_trunk(PBX, "+14155550115")
    assert caller is not None
    assert (caller.name, caller.media, caller.attest) == ("pbx", "rtp", "B")
    assert POLICY.caller_from_trunk(PBX, "+14155550120") is None
    assert POLICY.caller_from_trunk(PBX, None) is None


def test_a_trunks_media_may_pass() -> None:
    passing = PBX.model_copy(update={"media": "pass"})
    caller = CallerPolicy([], [passing]).caller_from_trunk(passing, "+14155550110")
    assert caller is not None
    assert caller.media == "pass"


def test_prefixes_bound_where_a_trunk_calls() -> None:
    caller = POLICY.caller_from_trunk(PBX, "+14155550110")
    assert caller is not None
    assert caller.may_call("+442079460018")
    assert not caller.may_call("+33123456789")


def test_a_number_has_its_owner() -> None:
    assert POLICY.owner("+14155550101") is ALICE
    assert POLICY.owner("+14155550199") is None
    assert POLICY.user("alice") is ALICE
    assert POLICY.user("eve") is None
