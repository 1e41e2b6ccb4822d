"""What a verdict means for a call: accept, mark or refuse."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.policy.peers import IdentityPolicy
from stir.reason import Reason
from stir.verdict import CallVerdict


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a call.

    `status` is None where the call goes on; `verstat` is None where it stays unmarked;
    `reason_headers` are the Reason values of RFC 9410 that a refusal carries.
    """

    status: int | None
    phrase: str
    verstat: str | None
    reason_headers: tuple[str, ...] = ()


def decide(verdict: CallVerdict, policy: IdentityPolicy) -> Decision:
    """Apply a peer's policy to the verdict on its call (RFC 8224 section 6.2.2, RFC 9410)."""
    if policy == "observe":
        return Decision(None, "", None)
    if verdict.outcome == "valid" or policy == "mark":
        return Decision(None, "", verdict.verstat)
    reason = verdict.reason or Reason.IDENTITY_MISSING
    return Decision(reason.sip_status, reason.phrase, None, verdict.reason_headers)
