"""What a verification found out: every check, and the one outcome they come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from stir.identity import Identity
from stir.passport import Passport
from stir.reason import Reason, reason_header_value

CheckOutcome = Literal["passed", "failed", "skipped", "unavailable"]
Outcome = Literal["valid", "invalid", "unavailable", "ignored"]
CallOutcome = Literal["valid", "invalid", "unavailable", "absent"]
Verstat = Literal["TN-Validation-Passed", "TN-Validation-Failed", "No-TN-Validation"]

_VERSTAT: Final[dict[CallOutcome, Verstat]] = {
    "valid": "TN-Validation-Passed",
    "invalid": "TN-Validation-Failed",
    "unavailable": "No-TN-Validation",
    "absent": "No-TN-Validation",
}


class Check(NamedTuple):
    """One step of a verification; `reason` is set where it failed or could not be done.

    A named tuple: fourteen are made for every call, at a third of a frozen dataclass's cost.
    """

    step: str
    outcome: CheckOutcome
    reason: Reason | None = None
    got: str | None = None
    expected: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result for one Identity header field.

    `outcome`: *valid*; *invalid* (a check failed, `reason` is the first); *unavailable* (nothing
    failed, but not everything could be checked); *ignored* (its type is not supported, RFC 8224
    section 6.2 step 1). `passport` is None where the token could not be read. `proves_caller`:
    whether its type shows by itself who calls; others only add to one that does, as a div.
    `nested`: the verdicts on what a div-o holds, the original last.
    """

    checks: tuple[Check, ...]
    outcome: Outcome
    reason: Reason | None
    passport: Passport | None
    identity: Identity | None
    proves_caller: bool = True
    nested: tuple[Verdict, ...] = ()

    @property
    def original(self) -> Passport | None:
        """The PASSporT of the call as it was first made: what a div-o holds, else this one."""
        return self.nested[-1].passport if self.nested else self.passport

    @property
    def sip_status(self) -> int | None:
        """The response a strict policy gives, None where nothing is wrong."""
        return None if self.reason is None else self.reason.sip_status

    @property
    def reason_header(self) -> str | None:
        """The Reason header field value for this Identity (RFC 9410), None where all is well."""
        if self.reason is None:
            return None
        token = None if self.identity is None else self.identity.token
        return reason_header_value(self.reason, token=token)

    def check(self, step: str) -> Check:
        """Return the check of that step; raises KeyError for a step this verdict does not have."""
        for check in self.checks:
            if check.step == step:
                return check
        raise KeyError(step)


@dataclass(frozen=True, slots=True)
class CallVerdict:
    """The result for a request: one Verdict an Identity header field, and what they come to.

    Of those that prove who calls the best one decides: valid before unavailable before invalid, so
    that a forged header field beside a valid one does no harm. Others, such as a div, only make a
    call worse than *absent* where nothing proves the caller. Ignored ones do not count.
    `out_of_band` where the PASSporTs did not come with the request (RFC 8816).
    """

    verdicts: tuple[Verdict, ...]
    outcome: CallOutcome
    reason: Reason | None
    best: Verdict | None
    out_of_band: bool = False

    @property
    def verstat(self) -> Verstat:
        """The verstat parameter's value (3GPP TS 24.229, ATIS-1000074 section 5.3)."""
        return _VERSTAT[self.outcome]

    @property
    def sip_status(self) -> int | None:
        """The response a strict policy gives, None where the call is verified."""
        return None if self.reason is None else self.reason.sip_status

    @property
    def attest(self) -> str | None:
        """The attestation of the original call's PASSporT, only where that is valid."""
        attesting = self._attesting()
        return None if attesting is None else attesting.attest

    @property
    def origid(self) -> str | None:
        """The origination identifier beside that attestation."""
        attesting = self._attesting()
        value = None if attesting is None else attesting.payload.get("origid")
        return value if isinstance(value, str) else None

    def _attesting(self) -> Passport | None:
        if self.outcome != "valid":
            return None
        for verdict in self.verdicts:
            original = verdict.original if verdict.proves_caller else None
            if verdict.outcome == "valid" and original is not None and original.attest is not None:
                return original
        return None

    @property
    def reason_headers(self) -> tuple[str, ...]:
        """A Reason value for each Identity that failed, each naming its own (RFC 9410)."""
        values = [v.reason_header for v in self.verdicts if v.outcome in ("invalid", "unavailable")]
        if not values and self.reason is not None:
            return (reason_header_value(self.reason),)
        return tuple(value for value in values if value is not None)


def decide(verdicts: tuple[Verdict, ...]) -> CallVerdict:
    """Combine the verdicts of one request's Identity header fields."""
    proving = [verdict for verdict in verdicts if verdict.proves_caller]
    for outcome in ("valid", "unavailable", "invalid"):
        for verdict in proving:
            if verdict.outcome == outcome:
                return CallVerdict(verdicts, verdict.outcome, verdict.reason, verdict)
    others = [verdict for verdict in verdicts if not verdict.proves_caller]
    for worse in ("unavailable", "invalid"):
        for verdict in others:
            if verdict.outcome == worse:
                return CallVerdict(verdicts, verdict.outcome, verdict.reason, verdict)
    reason = next((each.reason for each in verdicts if each.reason), Reason.IDENTITY_MISSING)
    return CallVerdict(verdicts, "absent", reason, verdicts[0] if verdicts else None)
