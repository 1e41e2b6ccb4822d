"""Whatever is signed of a caller verifies, and no change of it does."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from stir.authentication import SigningRequest
from stir.claims import base_problem
from stir.extensions.rcd import rich_call_data_problem
from stir.extensions.rcd_integrity import digest_input, direct_problem
from stir.json_pointer import NoSuchValue, resolve
from stir.reason import Reason
from stir.rich_call_data import rcd_claims, rich_call_data
from stir.strict_json import canonical, parse_object, parse_value
from tests.support.stir_authority import DEST, FACTS, NOW, ORIG, StirWorld

_WORLD = StirWorld()
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**14), 10**14) | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(_TEXT, _TEXT)
def test_a_signed_name_comes_back_and_another_one_fails(name: str, other: str) -> None:
    request = SigningRequest(ORIG, (DEST,), int(NOW), ppt="rcd", claims=rcd_claims(name))
    value = _WORLD.signer.sign(request)
    facts = replace(FACTS, display_names=(name,) if name else ())
    data = rich_call_data(_WORLD.verify(_WORLD.identity(), value, facts=facts))
    assert data is not None
    assert data.name == name
    if name.split() != other.split() and other and name:
        changed = _WORLD.verify(value, facts=replace(FACTS, display_names=(other,)))
        assert changed.verdicts[0].reason is Reason.CALLER_NAME_MISMATCH


@given(_JSON)
def test_the_input_of_a_digest_is_canonical_and_reads_back(value: object) -> None:
    octets = digest_input(value)
    assert parse_value(octets) == value
    assert digest_input(parse_value(octets)) == octets


@given(st.dictionaries(st.sampled_from(["rcd", "rcdi", "crn"]), _JSON))
def test_no_claim_whatever_breaks_the_checks(claims: dict[str, object]) -> None:
    payload = parse_object(canonical(claims))
    if rich_call_data_problem(payload) is None:
        direct_problem(payload)
    base_problem(payload)


@given(_JSON, _TEXT)
def test_a_pointer_names_a_value_or_nothing(document: object, pointer: str) -> None:
    try:
        resolve(document, pointer)
    except NoSuchValue:
        return
    assert pointer == "" or pointer.startswith("/")
