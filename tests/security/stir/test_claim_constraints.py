"""Tokens outside their certificate's claim constraints give exactly one Reason (case C7)."""

from collections.abc import Sequence

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from stir.certificates.certificate import (
    ENHANCED_JWT_CLAIM_CONSTRAINTS_OID,
    JWT_CLAIM_CONSTRAINTS_OID,
)
from stir.certificates.claim_constraints import ClaimConstraints, build_claim_constraints
from stir.certificates.issuing import Authority
from stir.reason import Reason
from stir.verdict import Check
from stir.verification import verify_token
from tests.security.stir.test_bad_passports import only_reason
from tests.support.stir_authority import FACTS, NOW, StirWorld, make_certificate

ONLY_A = ClaimConstraints(permitted_values=(("attest", ("A",)),))
ONLY_B = ClaimConstraints(permitted_values=(("attest", ("B",)),))
WITH_RCD = ClaimConstraints(must_include=("rcd",))
WITHOUT_MKY = ClaimConstraints(must_exclude=("mky",))
WITHOUT_ORIGID = ClaimConstraints(must_exclude=("origid",))


def extension(constraints: ClaimConstraints | bytes, enhanced: bool = True) -> x509.ExtensionType:
    oid = ENHANCED_JWT_CLAIM_CONSTRAINTS_OID if enhanced else JWT_CLAIM_CONSTRAINTS_OID
    if isinstance(constraints, ClaimConstraints):
        constraints = build_claim_constraints(constraints, enhanced=enhanced)
    return x509.UnrecognizedExtension(oid, constraints)


def below(world: StirWorld, extensions: Sequence[tuple[x509.ExtensionType, bool]]) -> Authority:
    """An authority that has the extensions itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = make_certificate(
        world.root,
        key=key.public_key(),
        entries=None,
        usage=False,
        ca=True,
        name="Constrained CA",
        extensions=extensions,
    )
    return Authority((certificate, world.root.certificate), key)


CASES: dict[str, tuple[list[x509.ExtensionType], Reason | None]] = {
    "a permitted value": ([extension(ONLY_A)], None),
    "a permitted value, in the form of RFC 8226": ([extension(ONLY_A, enhanced=False)], None),
    "another value": ([extension(ONLY_B)], Reason.CLAIM_NOT_PERMITTED),
    "another value, in the form of RFC 8226": (
        [extension(ONLY_B, enhanced=False)],
        Reason.CLAIM_NOT_PERMITTED,
    ),
    "a claim is missing": ([extension(WITH_RCD)], Reason.CLAIM_NOT_PERMITTED),
    "no excluded claim": ([extension(WITHOUT_MKY)], None),
    "an excluded claim": ([extension(WITHOUT_ORIGID)], Reason.CLAIM_NOT_PERMITTED),
    "both forms, one broken": (
        [extension(ONLY_B, enhanced=False), extension(WITHOUT_MKY)],
        Reason.CLAIM_NOT_PERMITTED,
    ),
    "not DER": ([extension(b"text")], Reason.CONSTRAINTS_MALFORMED),
    "empty": ([extension(b"\x30\x00")], Reason.CONSTRAINTS_MALFORMED),
    "exclusion in the form of RFC 8226": (
        [extension(build_claim_constraints(WITHOUT_MKY, enhanced=True), enhanced=False)],
        Reason.CONSTRAINTS_MALFORMED,
    ),
}


@pytest.mark.parametrize("critical", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_constraints_of_the_signing_certificate(
    world: StirWorld, case: str, critical: bool
) -> None:
    extensions, reason = CASES[case]
    leaf = world.leaf(extensions=[(found, critical) for found in extensions])
    call = world.verify(world.identity(), credential=leaf)
    assert only_reason(call) is reason
    assert call.sip_status == (None if reason is None else 437)


@pytest.mark.parametrize("case", CASES)
def test_constraints_of_an_authority_bind_what_it_issued(world: StirWorld, case: str) -> None:
    extensions, reason = CASES[case]
    issuer = below(world, [(found, False) for found in extensions])
    call = world.verify(world.identity(), credential=world.leaf(issuer=issuer))
    assert only_reason(call) is reason


def test_an_authority_s_constraints_are_not_widened_below_it(world: StirWorld) -> None:
    issuer = below(world, [(extension(ONLY_B), False)])
    leaf = world.leaf(issuer=issuer, extensions=[(extension(ONLY_A), False)])
    for attest in ("A", "B", "C"):
        call = world.verify(world.identity(attest=attest), credential=leaf)
        assert only_reason(call) is Reason.CLAIM_NOT_PERMITTED


def test_without_anchors_the_leaf_s_own_are_still_held(world: StirWorld) -> None:
    for found, reason in (
        (extension(ONLY_B), Reason.CLAIM_NOT_PERMITTED),
        (extension(b""), Reason.CONSTRAINTS_MALFORMED),
    ):
        verdict = verify_token(
            world.identity(),
            now=NOW,
            credential=world.leaf(extensions=[(found, False)]),
            anchors=None,
            form="header",
            facts=FACTS,
        )
        assert verdict.reason is reason


def test_an_unconstrained_certificate_says_so(world: StirWorld) -> None:
    (verdict,) = world.verify(world.identity()).verdicts
    expected = Check("constraints", "passed", None, "the certificate constrains no claims")
    assert expected in verdict.checks
