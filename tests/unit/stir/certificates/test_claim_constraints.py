"""Claims are held against constraints: present, absent, of a permitted value."""

import pytest

from stir.certificates.claim_constraints import ClaimConstraints, constraint_problem
from stir.reason import Reason

ATTEST = ClaimConstraints(permitted_values=(("attest", ("A", "B")),))
RCDI = '{"/nam": "sha256-x", "/icn":"sha256-y"}'


@pytest.mark.parametrize(
    ("constraints", "payload", "fits"),
    [
        (ClaimConstraints(must_include=("rcd",)), {"rcd": {}}, True),
        (ClaimConstraints(must_include=("rcd",)), {"attest": "A"}, False),
        (ClaimConstraints(must_exclude=("rcd",)), {"attest": "A"}, True),
        (ClaimConstraints(must_exclude=("rcd",)), {"rcd": None}, False),
        (ATTEST, {"attest": "A"}, True),
        (ATTEST, {"attest": "C"}, False),
        (ATTEST, {"attest": "a"}, False),
        (ATTEST, {"attest": ["A"]}, False),
        (ATTEST, {}, True),
    ],
)
def test_claims(constraints: ClaimConstraints, payload: dict[str, object], fits: bool) -> None:
    problem = constraint_problem((constraints,), payload)
    assert (problem is None) is fits
    assert problem is None or problem.reason is Reason.CLAIM_NOT_PERMITTED


@pytest.mark.parametrize(
    ("text", "value", "fits"),
    [
        (RCDI, {"/icn": "sha256-y", "/nam": "sha256-x"}, True),
        (RCDI, {"/icn": "sha256-y", "/nam": "sha256-z"}, False),
        (RCDI, RCDI, True),
        ("[ 1, 2 ]", [1, 2], True),
        ("[1,2]", [2, 1], False),
        ("1", 1, True),
        ("1", True, False),
        ("true", True, True),
        ("true", "true", True),
        ("null", None, True),
        ('"A"', "A", False),
        ('1,"":2', 1, False),
        ('1,"x":2', 1, False),
        ("1}", 1, False),
        ("", "", True),
        ("", None, False),
        ("1e400", 1, False),
    ],
)
def test_values_that_are_no_text_are_compared_in_canonical_form(
    text: str, value: object, fits: bool
) -> None:
    constraints = ClaimConstraints(permitted_values=(("claim", (text,)),))
    assert (constraints.problem({"claim": value}) is None) is fits


def test_several_constraints_all_hold() -> None:
    narrower = ClaimConstraints(permitted_values=(("attest", ("B", "C")),))
    assert constraint_problem((ATTEST, narrower), {"attest": "B"}) is None
    for attest in ("A", "C"):
        assert constraint_problem((ATTEST, narrower), {"attest": attest}) is not None
    assert constraint_problem((), {"attest": "A"}) is None
