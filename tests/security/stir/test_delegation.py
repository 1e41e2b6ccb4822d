"""Delegate certificates hold no more than every certificate above them (RFC 9060, case C7)."""

import time

import pytest

from stir.certificates.chain import PathBuilder
from stir.certificates.issuing import Authority, make_intermediate
from stir.certificates.tn_auth_list import Entry, One, Range, Spc, TnAuthList
from stir.reason import Reason
from tests.security.stir.test_bad_passports import only_reason
from tests.support.stir_authority import NOW, ORIG, StirWorld

OUTSIDE = One("14155550250")
Lists = tuple[tuple[Entry, ...] | None, ...]


def delegated(world: StirWorld, lists: Lists) -> Authority:
    """Authorities below the root, one a list, the widest first; None has no TNAuthList."""
    authority = world.root
    for level, entries in enumerate(lists):
        authority = make_intermediate(
            authority,
            f"Delegate {level}",
            NOW,
            path_length=None,
            tn_auth_list=None if entries is None else TnAuthList(entries),
        )
    return authority


CASES: dict[str, tuple[Lists, tuple[Entry, ...], Reason | None]] = {
    "nobody above has a list": ((None, None), (Range(ORIG, 100),), None),
    "an authority without a list between two with one": (
        ((Range(ORIG, 100),), None),
        (Range(ORIG, 100), OUTSIDE),
        Reason.AUTHORITY_NOT_ENCOMPASSED,
    ),
    "a code in between widens nothing": (
        ((Spc("709J"), One("14155550199")), (Spc("709J"),)),
        (One(ORIG),),
        Reason.AUTHORITY_NOT_ENCOMPASSED,
    ),
    "a parent wider than the grandparent": (
        ((Range(ORIG, 50),), (Range(ORIG, 100),)),
        (One(ORIG),),
        Reason.AUTHORITY_NOT_ENCOMPASSED,
    ),
    "two ranges that touch are one": (
        ((Range(ORIG, 50), Range("14155550150", 50)),),
        (Range(ORIG, 100),),
        None,
    ),
    "two ranges with one number between them are not": (
        ((Range(ORIG, 50), Range("14155550151", 49)),),
        (Range(ORIG, 100),),
        Reason.AUTHORITY_NOT_ENCOMPASSED,
    ),
    "single numbers that make up a range": (
        ((Range(ORIG, 3),),),
        (One(ORIG), One("14155550101"), One("14155550102")),
        None,
    ),
    "a range that single numbers make up": (
        ((One(ORIG), One("14155550101")),),
        (Range(ORIG, 2),),
        None,
    ),
    "a range split so that one part is outside": (
        ((Range(ORIG, 100),),),
        (Range(ORIG, 60), Range("14155550160", 41)),
        Reason.AUTHORITY_NOT_ENCOMPASSED,
    ),
    "numbers of another length": (
        ((Range("4155550100", 100),),),
        (One(ORIG),),
        Reason.AUTHORITY_NOT_ENCOMPASSED,
    ),
    "a code beside numbers": (
        ((Range(ORIG, 100),),),
        (One(ORIG), Spc("709J")),
        Reason.AUTHORITY_NOT_ENCOMPASSED,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_delegate_is_within_all_above_it(world: StirWorld, case: str) -> None:
    lists, own, reason = CASES[case]
    leaf = world.leaf(issuer=delegated(world, lists), entries=own)
    assert only_reason(world.verify(world.identity(), credential=leaf)) is reason


def test_lists_of_thousands_of_entries_are_compared_at_once(world: StirWorld) -> None:
    every_other = tuple(One(f"{14155550100 + 2 * n}") for n in range(500))
    leaf = world.leaf(issuer=delegated(world, (every_other, every_other)), entries=every_other)
    builder = PathBuilder(world.root.certificates)
    started = time.process_time()
    assert builder.find(leaf).delegation_problem is None
    assert time.process_time() - started < 0.05
