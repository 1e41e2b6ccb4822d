"""What a verdict comes to under each policy."""

from __future__ import annotations

import pytest

from gateway.policy.verdicts import decide
from stir.reason import Reason
from stir.verdict import CallVerdict, Verdict

REASONS = [reason for reason in Reason if reason.sip_status >= 400]


def verdict(outcome: str, reason: Reason | None) -> CallVerdict:
    one = Verdict((), outcome, reason, None, None)  # type: ignore[arg-type]
    return CallVerdict((one,), outcome, reason, one)  # type: ignore[arg-type]


VALID = verdict("valid", None)


@pytest.mark.parametrize("policy", ["require", "mark"])
def test_a_valid_call_goes_on_with_its_mark(policy: str) -> None:
    decision = decide(VALID, policy)  # type: ignore[arg-type]
    assert (decision.status, decision.verstat) == (None, "TN-Validation-Passed")


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: reason.code)
def test_a_strict_policy_refuses_with_the_status_and_reason_of_the_failure(reason: Reason) -> None:
    decision = decide(verdict("invalid", reason), "require")
    assert (decision.status, decision.phrase) == (reason.sip_status, reason.phrase)
    assert decision.reason_headers
    assert decision.verstat is None


def test_a_call_without_identity_is_428() -> None:
    assert decide(CallVerdict((), "absent", None, None), "require").status == 428


@pytest.mark.parametrize(
    ("outcome", "mark"),
    [("invalid", "TN-Validation-Failed"), ("unavailable", "No-TN-Validation")],
)
def test_a_marking_policy_says_what_was_found(outcome: str, mark: str) -> None:
    decision = decide(verdict(outcome, Reason.SIGNATURE_INVALID), "mark")
    assert (decision.status, decision.verstat) == (None, mark)


@pytest.mark.parametrize("found", [VALID, verdict("invalid", Reason.SIGNATURE_INVALID)])
def test_an_observing_policy_neither_marks_nor_refuses(found: CallVerdict) -> None:
    decision = decide(found, "observe")
    assert (decision.status, decision.verstat) == (None, None)
