"""Diverted calls of every wrong shape: exactly one Reason each, and no work beyond the limits."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from stir.certificates.certificate import CredentialUnavailable
from stir.checks import credential_steps, order
from stir.checks.inspection import Inspection
from stir.reason import Reason
from stir.replay import ReplayCache
from stir.verdict import CallVerdict, Check
from stir.verification import VerificationPolicy
from tests.support.diversions import NUMBERS, Forwarders, called, codes
from tests.support.stir_authority import FINGERPRINT, NOW, ORIG, OTHER_FINGERPRINT

A, B, C, D, E, F, G = NUMBERS[:7]
OTHER_ORIG = "14155550177"


@pytest.fixture(scope="module")
def calls() -> Forwarders:
    return Forwarders()


def assert_refused(verdict: CallVerdict, reason: Reason) -> None:
    assert (verdict.outcome, verdict.reason) == ("invalid", reason)
    assert verdict.sip_status == reason.sip_status
    for each in verdict.verdicts:
        assert len({check.reason for check in each.checks if check.reason}) <= 1
    assert len(verdict.reason_headers) == sum(code is not None for code in codes(verdict))


@pytest.mark.parametrize("length", range(6))
def test_a_chain_of_up_to_five_is_valid(calls: Forwarders, length: int) -> None:
    verdict = calls.verify(calls.chain(length), NUMBERS[length])
    assert (verdict.outcome, verdict.attest) == ("valid", "A"), codes(verdict)
    assert codes(verdict) == [None] * (length + 1)


def test_the_order_of_the_header_fields_does_not_matter(calls: Forwarders) -> None:
    for values in itertools.permutations(calls.chain(3)):
        assert calls.verify(values, D).outcome == "valid"


def test_six_diversions_are_too_many(calls: Forwarders) -> None:
    verdict = calls.verify(calls.chain(6), G)
    assert_refused(verdict, Reason.DIVERSION_TOO_LONG)
    assert set(codes(verdict)) == {"diversion_too_long"}


def test_the_limit_is_the_policys(calls: Forwarders) -> None:
    policy = VerificationPolicy(max_diversions=2)
    assert calls.verify(calls.chain(2), C, policy=policy).outcome == "valid"
    assert_refused(calls.verify(calls.chain(3), D, policy=policy), Reason.DIVERSION_TOO_LONG)


@pytest.mark.parametrize("to", [A, B, C])
def test_a_loop_is_refused_wherever_it_ends(calls: Forwarders, to: str) -> None:
    values = [calls.original(), calls.div(A, B), calls.div(B, A)]
    assert_refused(calls.verify(values, to), Reason.DIVERSION_LOOP)


def test_a_diversion_to_itself_is_a_loop(calls: Forwarders) -> None:
    values = [calls.original(), calls.div(A, A)]
    assert_refused(calls.verify(values, A), Reason.DIVERSION_LOOP)


@pytest.mark.parametrize(
    "legs", [[(B, C)], [(A, B)], [(A, B), (C, D)], [(B, C), (C, D)], [(A, B), (B, C)]]
)
def test_a_broken_link_is_refused(calls: Forwarders, legs: list[tuple[str, str]]) -> None:
    values = [calls.original(), *(calls.div(*leg) for leg in legs)]
    verdict = calls.verify(values, E if legs[-1][1] != D else D)
    assert_refused(verdict, Reason.DIVERSION_BROKEN)


def test_a_diversion_of_another_caller_does_not_fit(calls: Forwarders) -> None:
    values = [calls.original(), calls.div(A, B, orig={"tn": OTHER_ORIG})]
    verdict = calls.verify(values, B)
    assert_refused(verdict, Reason.DIVERSION_BROKEN)
    assert codes(verdict) == ["diversion_broken", "originator_mismatch"]


def test_a_div_alone_proves_nobody(calls: Forwarders) -> None:
    assert_refused(calls.verify([calls.div(A, B)], B), Reason.DIVERSION_WITHOUT_ORIGINAL)


def test_retargeting_without_div_is_a_wrong_destination(calls: Forwarders) -> None:
    target = (f"sip:+{B}@gamma.example",)
    verdict = calls.verify([calls.original()], B, dest_candidates=target)
    assert_refused(verdict, Reason.DESTINATION_MISMATCH)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"iat": int(NOW) - 100}, Reason.STALE_DATE),
        ({"iat": int(NOW) + 100}, Reason.STALE_DATE),
        ({"attest": "D"}, Reason.CLAIM_MALFORMED),
        ({"orig": {"tn": "13035550155"}}, Reason.AUTHORITY_NOT_COVERED),
    ],
)
def test_a_failed_original_keeps_its_own_reason(
    calls: Forwarders, change: dict[str, Any], reason: Reason
) -> None:
    orig = change.get("orig", {"tn": ORIG})
    values = [calls.original(**change), calls.div(A, B, orig=orig)]
    candidates = (f"sip:+{orig['tn']}@alpha.example",)
    verdict = calls.verify(values, B, orig_candidates=candidates)
    assert_refused(verdict, reason)
    assert codes(verdict) == [reason.code, "diversion_original_failed"]


def test_a_forged_original_is_not_saved_by_a_good_div(calls: Forwarders) -> None:
    token, _, params = calls.original().partition(";")
    forged = f"{token[:-8]}AAAAAAAA;{params}"
    verdict = calls.verify([forged, calls.div(A, B)], B)
    assert_refused(verdict, Reason.SIGNATURE_INVALID)


def test_a_forged_div_leads_nowhere(calls: Forwarders) -> None:
    token, _, params = calls.div(A, B).partition(";")
    verdict = calls.verify([calls.original(), f"{token[:-8]}AAAAAAAA;{params}"], B)
    assert_refused(verdict, Reason.DIVERSION_BROKEN)
    assert codes(verdict) == ["diversion_broken", "signature_invalid"]


def test_a_div_has_to_be_signed_for_the_number_it_leaves(calls: Forwarders) -> None:
    foreign = "13035550155"
    values = [calls.original(foreign), calls.div(foreign, B)]
    verdict = calls.verify(values, B)
    assert codes(verdict) == ["diversion_broken", "authority_not_covered"]


def test_attest_in_a_div_does_not_make_its_signer_free_of_numbers(calls: Forwarders) -> None:
    foreign = "13035550155"
    values = [calls.original(foreign), calls.div(foreign, B, attest="B")]
    assert codes(calls.verify(values, B))[1] == "authority_not_covered"


def test_a_forged_div_beside_a_valid_call_does_no_harm(calls: Forwarders) -> None:
    token, _, params = calls.div(A, A).partition(";")
    forged = f"{token[:-8]}AAAAAAAA;{params}"
    verdict = calls.verify([forged, calls.original()], A)
    assert (verdict.outcome, verdict.attest) == ("valid", "A")
    assert codes(verdict) == ["signature_invalid", None]
    assert len(verdict.reason_headers) == 1


def test_a_forged_original_beside_a_valid_chain_does_no_harm(calls: Forwarders) -> None:
    token, _, params = calls.original().partition(";")
    verdict = calls.verify([f"{token[:-8]}AAAAAAAA;{params}", *calls.chain(2)], C)
    assert verdict.outcome == "valid"
    assert codes(verdict) == ["signature_invalid", None, None, None]


def test_one_div_serves_two_originals(calls: Forwarders) -> None:
    values = [calls.original(), calls.original(attest="B"), calls.div(A, B)]
    assert codes(calls.verify(values, B)) == [None, None, None]


def test_a_div_whose_certificate_cannot_be_had_leaves_the_call_unverified(
    calls: Forwarders,
) -> None:
    service, url = calls.verifier(), "https://certs.beta.example/sti.pem"
    begun = service.begin([calls.original(), calls.div(A, B, url=url)], called(B), NOW)
    found = dict.fromkeys(begun.needed, calls.credential)
    verdict = service.conclude(
        begun, {**found, url: CredentialUnavailable("timeout", "certs.beta.example")}, NOW
    )
    assert (verdict.outcome, verdict.sip_status) == ("unavailable", 436)


# --- div-o ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", range(1, 6))
def test_a_div_o_proves_the_original_it_holds(calls: Forwarders, length: int) -> None:
    verdict = calls.verify([calls.nested(length)], NUMBERS[length])
    assert (verdict.outcome, verdict.attest) == ("valid", "A"), verdict
    assert len(verdict.verdicts[0].nested) == length


def test_a_div_o_can_be_diverted_by_a_div(calls: Forwarders) -> None:
    verdict = calls.verify([calls.nested(1), calls.div(B, C)], C)
    assert (verdict.outcome, codes(verdict)) == ("valid", [None, None])


@pytest.mark.parametrize("length", [6, 12])
def test_too_deep_a_div_o_is_not_unwrapped(
    calls: Forwarders, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    value, count = calls.nested(length), 0

    def counted(inspection: Inspection) -> Check:
        nonlocal count
        count += 1
        return credential_steps.signature(inspection)

    steps = tuple((n, counted if n == "signature" else s) for n, s in order.CREDENTIAL_STEPS)
    monkeypatch.setattr("stir.verification.CREDENTIAL_STEPS", steps)
    if len(value) > 16_384:
        assert calls.verify([value], G).reason is Reason.TOO_MANY_IDENTITIES
        return
    verdict = calls.verify([value], NUMBERS[length])
    assert_refused(verdict, Reason.DIVERSION_TOO_LONG)
    assert count == 6


@pytest.mark.parametrize(
    ("opt", "reason"),
    [
        ("div", Reason.DIVERSION_WITHOUT_ORIGINAL),
        ("other", Reason.DIVERSION_BROKEN),
        ("loop", Reason.DIVERSION_LOOP),
        ("stale", Reason.STALE_DATE),
        ("caller", Reason.DIVERSION_ORIGINAL_FAILED),
        ("forged", Reason.DIVERSION_ORIGINAL_FAILED),
        ("rubbish", Reason.DIVERSION_ORIGINAL_FAILED),
        ("compact", Reason.CLAIM_MALFORMED),
        ("number", Reason.CLAIM_MALFORMED),
        (None, Reason.CLAIM_MISSING),
    ],
)
def test_what_a_div_o_holds_has_to_fit(calls: Forwarders, opt: str | None, reason: Reason) -> None:
    good = calls.original()
    held: dict[str, Any] = {
        "div": calls.div(A, B),
        "other": calls.original(C),
        "loop": calls.div_o(B, A, calls.original(B)),
        "stale": calls.original(iat=int(NOW) - 100),
        "caller": calls.original(orig={"tn": OTHER_ORIG}),
        "forged": good.partition(";")[0][:-8] + "AAAAAAAA",
        "rubbish": "not.a.token",
        "compact": "..c2ln",
    }
    if opt in held:
        value = calls.div_o(A, B, held[opt])
    else:
        value = calls.div_o(A, B, good, opt=1 if opt else None)
    assert_refused(calls.verify([value], B), reason)


def test_a_div_may_not_hold_a_passport(calls: Forwarders) -> None:
    values = [calls.original(), calls.div(A, B, opt="a.b.c")]
    assert codes(calls.verify(values, B)) == ["diversion_broken", "claim_malformed"]


@pytest.mark.parametrize(
    "div",
    [
        None,
        {},
        "12125550100",
        {"tn": [A]},
        {"tn": A, "uri": "sip:a@b.example"},
        {"tn": "x"},
        {"hi": "1"},
        {"tn": A, "hi": 1},
    ],
)
def test_a_malformed_div_claim_is_refused(calls: Forwarders, div: Any) -> None:
    verdict = calls.verify([calls.original(), calls.div(A, B, div=div)], B)
    assert codes(verdict)[1] in ("claim_malformed", "claim_missing")


def test_a_history_info_index_is_taken(calls: Forwarders) -> None:
    values = [calls.original(), calls.div(A, B, div={"tn": A, "hi": "1.2"})]
    assert calls.verify(values, B).outcome == "valid"


# --- age, replay, keys, limits -------------------------------------------------------------------


def test_an_old_original_is_valid_under_a_fresh_div_where_policy_says_so(
    calls: Forwarders,
) -> None:
    policy = VerificationPolicy(diverted_freshness=300)
    old = int(NOW) - 200
    values = [calls.original(iat=old), calls.div(A, B, iat=old), calls.div(B, C)]
    assert calls.verify(values, C, policy=policy).outcome == "valid"
    assert_refused(calls.verify(values, C), Reason.STALE_DATE)
    assert_refused(calls.verify(values[:1], A, policy=policy), Reason.STALE_DATE)


def test_a_stale_call_is_not_freshened_by_a_div_that_does_not_count(calls: Forwarders) -> None:
    policy = VerificationPolicy(diverted_freshness=300)
    old = int(NOW) - 200
    token, _, params = calls.div(A, E).partition(";")
    forged = f"{token[:-8]}AAAAAAAA;{params}"
    verdict = calls.verify([calls.original(iat=old), forged], A, policy=policy)
    assert_refused(verdict, Reason.DIVERSION_BROKEN)
    chain = [calls.original(iat=old), calls.div(A, B, iat=old)]
    token, _, params = calls.div(B, E).partition(";")
    forged = f"{token[:-8]}AAAAAAAA;{params}"
    assert_refused(calls.verify([*chain, forged], B, policy=policy), Reason.STALE_DATE)


def test_a_forked_diversion_shows_the_original_once_on_each_way(calls: Forwarders) -> None:
    replay = ReplayCache()
    original = calls.original()

    def outcome(values: Sequence[str], number: str, call_id: str) -> CallVerdict:
        service = calls.verifier(replay=replay)
        return calls.verify(values, number, service=service, call_id=call_id)

    assert outcome([original], A, "first").outcome == "valid"
    assert outcome([original, calls.div(A, B)], B, "to-b").outcome == "valid"
    assert outcome([original, calls.div(A, C)], C, "to-c").outcome == "valid"
    for values, number in (
        ([original], A),
        ([original, calls.div(A, B)], B),
        ([original, calls.div(A, C)], C),
    ):
        verdict = outcome(values, number, "thief")
        assert_refused(verdict, Reason.REPLAYED)
        assert set(codes(verdict)) == {"replayed"}


def test_a_diversion_may_bring_other_media_keys(calls: Forwarders) -> None:
    mine = [{"alg": FINGERPRINT[0], "dig": FINGERPRINT[1]}]
    theirs = [{"alg": OTHER_FINGERPRINT[0], "dig": OTHER_FINGERPRINT[1]}]
    values = [calls.original(mky=mine), calls.div(A, B, mky=theirs)]
    assert calls.verify(values, B, fingerprints=(OTHER_FINGERPRINT,)).outcome == "valid"
    refused = calls.verify(values, B, fingerprints=(FINGERPRINT,))
    assert_refused(refused, Reason.MEDIA_KEYS_MISMATCH)
    kept = [calls.original(mky=mine), calls.div(A, B)]
    assert calls.verify(kept, B, fingerprints=(FINGERPRINT,)).outcome == "valid"
    refused = calls.verify(kept, B, fingerprints=(OTHER_FINGERPRINT,))
    assert_refused(refused, Reason.MEDIA_KEYS_MISMATCH)


def test_a_chain_of_five_providers_is_verified_once_their_certificates_are_known(
    calls: Forwarders,
) -> None:
    urls = [f"https://certs{at}.example/sti.pem" for at in range(6)]
    values = [calls.original(url=urls[0])]
    values += [calls.div(NUMBERS[at], NUMBERS[at + 1], url=urls[at + 1]) for at in range(5)]
    service = calls.verifier()
    strange = service.begin(values, called(F), NOW)
    assert len(strange.needed) == 3
    found = dict.fromkeys(strange.needed, calls.credential)
    assert service.conclude(strange, found, NOW).sip_status == 436
    half = service.begin(values, called(F), NOW, lambda url: url in strange.needed)
    assert set(half.needed) == set(urls)
    found = dict.fromkeys(half.needed, calls.credential)
    assert service.conclude(half, found, NOW).outcome == "valid"


def test_each_signature_is_checked_once(calls: Forwarders, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0

    def counted(inspection: Inspection) -> Check:
        nonlocal count
        count += 1
        return credential_steps.signature(inspection)

    steps = tuple((n, counted if n == "signature" else s) for n, s in order.CREDENTIAL_STEPS)
    monkeypatch.setattr("stir.verification.CREDENTIAL_STEPS", steps)
    for length in range(6):
        count = 0
        calls.verify(calls.chain(length), NUMBERS[length])
        assert count == length + 1
    count = 0
    calls.verify([calls.nested(5)], F)
    assert count == 6


def test_a_request_that_is_not_diverted_may_still_match_by_to(calls: Forwarders) -> None:
    facts = replace(called(B), fingerprints=())
    service = calls.verifier()
    begun = service.begin([calls.original()], facts, NOW)
    found = dict.fromkeys(begun.needed, calls.credential)
    assert service.conclude(begun, found, NOW).outcome == "valid"


def test_signing_the_same_way_anew_makes_no_second_call(calls: Forwarders) -> None:
    """Who was called once could else call everybody under that caller's number, again and again."""
    service, original = calls.verifier(replay=ReplayCache()), calls.original()
    for place, expected in enumerate(("valid", "invalid")):
        values = [original, calls.div(A, B, iat=int(NOW) - place)]
        verdict = calls.verify(values, B, service=service, call_id=f"{place}@forwarder")
        assert verdict.outcome == expected, codes(verdict)
    assert codes(verdict) == ["replayed", None]
    for place, expected in enumerate(("valid", "invalid")):
        value = calls.div_o(A, C, original, iat=int(NOW) - place)
        verdict = calls.verify([value], C, service=service, call_id=f"{place}@other")
        assert verdict.outcome == expected, codes(verdict)
    values = [original, calls.div(A, C)]
    assert calls.verify(values, C, service=service, call_id="both").outcome == "invalid"
