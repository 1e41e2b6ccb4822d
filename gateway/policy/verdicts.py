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
    `reason_headers` are the Reason values of RFC 9410 that a refusal carries. `would_refuse` is the
    status a policy of `require` would have given where this one let the call pass.
    """

    status: int | None
    phrase: str
    verstat: str | None
    reason_headers: tuple[str, ...] = ()
    would_refuse: int | None = None


def decide(verdict: CallVerdict, policy: IdentityPolicy) -> Decision:
    """Apply a peer's policy to the verdict on its call (RFC 8224 section 6.2.2, RFC 9410)."""
    if verdict.outcome == "valid":
        return Decision(None, "", None if policy == "observe" else verdict.verstat)
    reason = verdict.reason or Reason.IDENTITY_MISSING
    if policy == "require":
        return Decision(reason.sip_status, reason.phrase, None, verdict.reason_headers)
    verstat = verdict.verstat if policy == "mark" else None
    return Decision(None, "", verstat, would_refuse=reason.sip_status)


def decide_stated(verstat: str, policy: IdentityPolicy) -> Decision:
    """Apply a peer's policy to the verdict a trusted peer states instead of an Identity."""
    shown = None if policy == "observe" else verstat
    if verstat == "TN-Validation-Passed":
        return Decision(None, "", shown)
    failed = verstat == "TN-Validation-Failed"
    reason = Reason.IDENTITY_MALFORMED if failed else Reason.IDENTITY_MISSING
    if policy == "require":
        return Decision(reason.sip_status, reason.phrase, None)
    return Decision(None, "", shown, would_refuse=reason.sip_status)
