"""The check of the claims against what the certificate lets its holder sign."""

from __future__ import annotations

from stir.certificates.certificate import Credential, Problem
from stir.certificates.claim_constraints import (
    ClaimConstraints,
    MalformedConstraints,
    constraint_problem,
    constraints_of,
)
from stir.checks.inspection import Inspection
from stir.checks.outcomes import failed, passed, skipped
from stir.reason import Reason
from stir.verdict import Check


def constraints(inspection: Inspection) -> Check:
    """The claims are within the constraints of the whole path (RFC 8226 section 8, RFC 9118)."""
    found, passport, path = inspection.credential, inspection.passport, inspection.path
    if not isinstance(found, Credential):
        return skipped("constraints", "no certificate with claim constraints given")
    if passport is None:
        return skipped("constraints", "the token could not be read")
    if path is not None and path.problem is None:
        limits, problem = path.constraints, path.constraints_problem
    else:
        limits, problem = _of_leaf(found)
    problem = problem or constraint_problem(limits, passport.payload)
    if problem is not None:
        return failed("constraints", problem)
    return passed("constraints", None if limits else "the certificate constrains no claims")


def _of_leaf(found: Credential) -> tuple[tuple[ClaimConstraints, ...], Problem | None]:
    try:
        return constraints_of(found.leaf), None
    except MalformedConstraints as error:
        expected = "claim constraints by RFC 8226 section 8 or RFC 9118 section 4"
        return (), Problem(Reason.CONSTRAINTS_MALFORMED, str(error), expected)
