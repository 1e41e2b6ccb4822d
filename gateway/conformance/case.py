"""What a case of the suite is, what a target did with it, and whether that conforms."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from gateway.conformance.credentials import GOOD, Credentials, Signer

FINGERPRINT: Final = "sha-256 " + ":".join(["AB"] * 32)

Expected = Literal["accepted", "refused", "either"]
Conduct = Literal["accepted", "refused", "silent", "unclear", "untried"]
Result = Literal["pass", "fail", "info", "skipped"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call to be made: its Identity values; `sdp` where media keys are to be offered.

    `again` sends the same values in a second call, which is the one that counts.
    """

    identities: tuple[str, ...] = field(repr=False)
    sdp: bool = False
    again: bool = False


@dataclass(frozen=True, slots=True)
class Workshop:
    """What cases are built with: certificates, numbers in digits, the time in epoch seconds."""

    credentials: Credentials
    orig: str
    dest: str
    now: int

    @property
    def good(self) -> Signer:
        """The signer whose certificate is good for the originating number."""
        return self.credentials[GOOD]

    def token(self, signer: Signer, header: dict[str, Any] | None = None, **changes: Any) -> str:
        """A SHAKEN PASSporT by a signer, with claims changed, or left out by giving None."""
        claims = {
            "attest": "A",
            "dest": {"tn": [self.dest]},
            "iat": self.now,
            "orig": {"tn": self.orig},
            "origid": str(uuid.uuid4()),  # else one case would be the replay of another
            **changes,
        }
        head = {"alg": "ES256", "ppt": "shaken", "typ": "passport", "x5u": signer.x5u}
        return signer.sign(
            head if header is None else {**head, **header},
            {name: value for name, value in claims.items() if value is not None},
        )

    def identity(
        self,
        signer: Signer,
        header: dict[str, Any] | None = None,
        parameters: str = ";alg=ES256;ppt=shaken",
        **changes: Any,
    ) -> str:
        """An Identity header field value around `token`."""
        return f"{self.token(signer, header, **changes)};info=<{signer.x5u}>{parameters}"


@dataclass(frozen=True, slots=True)
class Case:
    """One thing a verification service has to get right.

    `statuses` are the responses by which it may refuse. A `lenient` case is one where deployed
    services differ or the rule is advice: what does not conform is told, and fails nobody.
    """

    name: str
    title: str
    clause: str
    expected: Expected
    build: Callable[[Workshop], Attempt]
    statuses: frozenset[int] = frozenset()
    lenient: bool = False


@dataclass(frozen=True, slots=True)
class Observation:
    """What a target did: its final status and Reasons, and the verstat somebody behind it saw."""

    conduct: Conduct
    status: int | None = None
    phrase: str = ""
    reasons: tuple[str, ...] = ()
    verstat: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A case, what was seen, whether it conforms, and a remark for people."""

    case: Case
    seen: Observation
    result: Result
    remark: str = ""


def assess(case: Case, seen: Observation) -> Outcome:
    """Hold what was seen against what the case expects."""
    if seen.conduct == "untried":
        return Outcome(case, seen, "skipped", seen.detail)
    if seen.conduct == "silent":
        return Outcome(case, seen, "fail", "no final answer: a verifier must not hang or die")
    if seen.conduct == "unclear":
        return Outcome(case, seen, "info", "the answer does not tell what it thought of Identity")
    if case.expected == "either":
        return Outcome(case, seen, "info")
    failed: Result = "info" if case.lenient else "fail"
    marked = seen.verstat is not None and seen.verstat != "TN-Validation-Passed"
    if seen.conduct == "accepted" and marked:  # delivered, and marked as not verified
        if case.expected == "refused":
            return Outcome(case, seen, "pass", f"delivered as {seen.verstat}")
        return Outcome(case, seen, failed, f"delivered as {seen.verstat}")
    if seen.conduct != case.expected:
        return Outcome(case, seen, failed, _difference(case, seen))
    if seen.conduct == "refused" and seen.status not in case.statuses:
        wanted = " or ".join(map(str, sorted(case.statuses)))
        return Outcome(case, seen, "info", f"refused, with {seen.status} instead of {wanted}")
    return Outcome(case, seen, "pass")


def _difference(case: Case, seen: Observation) -> str:
    if case.expected == "accepted":
        return "a good PASSporT was refused"
    if seen.detail:
        return seen.detail
    if seen.verstat is None:
        return "passed on; if it is marked only, --receiver shows the mark"
    return "passed on as verified"
