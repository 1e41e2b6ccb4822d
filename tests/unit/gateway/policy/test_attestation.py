"""Which attestation and origination identifier a call is signed with."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any, get_args

import pytest

from gateway.config.attestation import AttestationRule, Strength
from gateway.policy.attestation import AttestationPolicy, Attested
from gateway.policy.callers import Caller

KEY = b"a key of the state directory"
ALICE = Caller("alice", "+14155550100", "A", "sdes", 10)
PBX = Caller("pbx", "+14155550110", "B", "rtp", 50, kind="trunk", strength="address")
OWN_ID = "123e4567-e89b-42d3-a456-426614174000"


def policy(*rules: dict[str, Any], key: bytes | None = KEY) -> AttestationPolicy:
    return AttestationPolicy([AttestationRule.model_validate(rule) for rule in rules], key)


def level(found: Attested | None) -> str | None:
    return None if found is None else found.attest


def test_without_rules_the_callers_own_entry_counts() -> None:
    assert level(policy().attested(ALICE, "outbound")) == "A"
    assert level(policy().attested(PBX, "outbound")) == "B"


def test_local_calls_are_signed_only_where_a_rule_says_so() -> None:
    assert policy().attested(ALICE, "local") is None
    rules = policy({"directions": ("local",), "attest": "A"})
    assert level(rules.attested(ALICE, "local")) == "A"
    assert level(rules.attested(PBX, "outbound")) == "B"


@pytest.mark.parametrize(
    ("rule", "alice", "pbx"),
    [
        ({}, "C", "C"),
        ({"users": ("alice",)}, "C", "B"),
        ({"users": ("bob",)}, "A", "B"),
        ({"trunks": ("pbx",)}, "A", "C"),
        ({"users": ("alice",), "trunks": ("pbx",)}, "C", "C"),
        ({"users": ("pbx",), "trunks": ("alice",)}, "A", "B"),
        ({"numbers": ("+14155550100",)}, "C", "B"),
        ({"numbers": ("+14155550105-+14155550119",)}, "A", "C"),
        ({"at_least": "digest"}, "C", "B"),
        ({"at_least": "digest-tls"}, "A", "B"),
    ],
)
def test_a_rule_counts_for_whom_it_names(rule: dict[str, Any], alice: str, pbx: str) -> None:
    rules = policy({**rule, "attest": "C"})
    assert level(rules.attested(ALICE, "outbound")) == alice
    assert level(rules.attested(PBX, "outbound")) == pbx


def test_the_first_rule_that_fits_counts() -> None:
    rules = policy({"at_least": "digest-tls", "attest": "A"}, {"attest": "B"})
    strong = replace(ALICE, strength="digest-tls")
    assert level(rules.attested(strong, "outbound")) == "A"
    assert level(rules.attested(ALICE, "outbound")) == "B"


@pytest.mark.parametrize("wanted", get_args(Strength))
@pytest.mark.parametrize("proven", get_args(Strength))
def test_a_proof_is_as_strong_as_those_before_it(proven: Strength, wanted: Strength) -> None:
    rules = policy({"at_least": wanted, "attest": "C"})
    order = get_args(Strength)
    accepted = order.index(proven) >= order.index(wanted)
    found = level(rules.attested(replace(ALICE, strength=proven), "outbound"))
    assert found == ("C" if accepted else "A")


def test_a_rule_can_leave_calls_unsigned() -> None:
    assert policy({"attest": "none"}).attested(ALICE, "outbound") is None


def test_a_number_in_transit_is_never_attested_better_than_its_trunk_may() -> None:
    passing = replace(PBX, attest="C", owns_number=False)
    assert level(policy({"attest": "A"}).attested(passing, "outbound")) == "C"


# --- origid --------------------------------------------------------------------------------------


def origid(found: Attested | None) -> str:
    assert found is not None
    return found.origid


def test_a_caller_keeps_one_origid_and_shares_it_with_nobody() -> None:
    first = origid(policy().attested(ALICE, "outbound"))
    assert first == origid(policy().attested(replace(ALICE, number="+14155550101"), "outbound"))
    others = {
        origid(policy().attested(PBX, "outbound")),
        origid(policy().attested(replace(PBX, name="alice"), "outbound")),
        origid(policy(key=b"another gateway").attested(ALICE, "outbound")),
    }
    assert len(others | {first}) == 4
    assert uuid.UUID(first).version == 8
    assert "alice" not in first


def test_origids_can_be_random_for_each_call() -> None:
    rules = policy(key=None)
    found = {origid(rules.attested(ALICE, "outbound")) for _ in range(3)}
    assert len(found) == 3
    assert {uuid.UUID(text).version for text in found} == {4}


def test_a_configured_origid_comes_before_a_made_one_and_a_rules_before_all() -> None:
    named = replace(ALICE, origid=OWN_ID)
    assert origid(policy().attested(named, "outbound")) == OWN_ID
    rules_own = OWN_ID.replace("123e", "321e")
    rules = policy({"attest": "A", "origid": rules_own})
    assert origid(rules.attested(named, "outbound")) == rules_own
