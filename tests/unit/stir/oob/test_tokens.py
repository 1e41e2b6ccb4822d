"""Lists of PASSporTs: read strictly, and sorted into candidates for one call."""

from __future__ import annotations

import pytest

from stir.oob.tokens import MAX_CANDIDATES, MalformedTokens, candidates, read_tokens
from tests.support.stir_authority import HEADER, NOW, URL, StirWorld, shaken_claims


@pytest.fixture(scope="module")
def world() -> StirWorld:
    return StirWorld()


def test_a_list_of_passports_is_read_without_repetition(world: StirWorld) -> None:
    token = world.token(HEADER, shaken_claims())
    assert read_tokens([token, token]) == (token,)


@pytest.mark.parametrize(
    "value",
    [None, {}, "a.b.c", [], ["a.b.c"], [5], ["..c"], ["x" * 9_000], ["a.b.c"] * 9],
)
def test_anything_else_is_malformed(value: object) -> None:
    with pytest.raises(MalformedTokens):
        read_tokens(value)


def test_a_passport_has_to_say_where_its_certificate_is(world: StirWorld) -> None:
    header = {name: value for name, value in HEADER.items() if name != "x5u"}
    with pytest.raises(MalformedTokens, match="x5u"):
        read_tokens([world.token(header, shaken_claims())])


def test_each_passport_is_a_candidate_the_youngest_first(world: StirWorld) -> None:
    old = world.token(HEADER, shaken_claims(iat=int(NOW) - 9))
    young = world.token(HEADER, shaken_claims())
    found = candidates(("rubbish", old, young))
    assert found == (
        (f"{young};info=<{URL}>;alg=ES256;ppt=shaken",),
        (f"{old};info=<{URL}>;alg=ES256;ppt=shaken",),
    )


def test_diversions_go_beside_every_original(world: StirWorld) -> None:
    original = world.token(HEADER, shaken_claims())
    diversion = world.token({**HEADER, "ppt": "div"}, shaken_claims())
    (candidate,) = candidates((diversion, original))
    assert [value.rpartition("=")[2] for value in candidate] == ["shaken", "div"]


def test_candidates_are_bounded(world: StirWorld) -> None:
    tokens = tuple(world.token(HEADER, shaken_claims(iat=number)) for number in range(20))
    assert len(candidates(tokens)) == MAX_CANDIDATES


def test_what_is_retrieved_out_of_band_verifies_like_a_header(world: StirWorld) -> None:
    (candidate,) = candidates((world.token(HEADER, shaken_claims()),))
    assert world.verify(*candidate).outcome == "valid"
