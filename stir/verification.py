"""The verification service of RFC 8224 section 6.2, without I/O and in two halves.

`begin` does every check that needs no certificate and says which URLs to fetch; the caller fetches
them as it likes; `conclude` does the rest. The steps stand in `stir.checks.order`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from cryptography import x509

from stir.certificates.certificate import Credential, CredentialUnavailable
from stir.certificates.chain import Path, PathBuilder
from stir.certificates.revocation import RevocationRecords
from stir.checks.inspection import (
    AnyCredential,
    CallFacts,
    Form,
    Inspection,
    VerificationPolicy,
)
from stir.checks.order import TOKEN_STEPS, credential_steps
from stir.extensions.registry import EXTENSIONS
from stir.reason import Reason
from stir.replay import ReplayCache
from stir.verdict import CallVerdict, Check, Outcome, Verdict, decide

__all__ = [
    "AnyCredential",
    "CallFacts",
    "CallVerdict",
    "Check",
    "Verdict",
    "Verification",
    "VerificationPolicy",
    "VerificationService",
    "verify_token",
]

MAX_PATHS: Final = 4_096
_NOT_FETCHED: Final = CredentialUnavailable("it was not fetched in time", "this gateway")
_TOO_MANY: Final = CredentialUnavailable("too many different x5u in one request", "the caller")


@dataclass(frozen=True, slots=True)
class Verification:
    """A verification half done; `needed` are the URLs to fetch, at most policy's number.

    `refused` is set where the request has too many or too large Identity header fields: nothing
    was parsed, and `conclude` answers at once.
    """

    inspections: tuple[Inspection, ...]
    needed: tuple[str, ...]
    refused: Reason | None = None


class VerificationService:
    """Verifies requests against one policy and one set of trust anchors."""

    def __init__(
        self,
        policy: VerificationPolicy,
        anchors: Sequence[x509.Certificate],
        replay: ReplayCache | None,
        *,
        revocation: RevocationRecords | None = None,
    ) -> None:
        """`anchors` are the trusted roots; with none of them every chain is untrusted.

        `replay` may be shared between services; None leaves the replay check out, and None for
        `revocation` that check.
        """
        self._policy = policy
        self._builder = PathBuilder(anchors)
        self._replay = replay
        self._revocation = revocation
        # A path's signatures hold for ever; only its validity periods are checked at each call.
        self._paths: OrderedDict[bytes, Path] = OrderedDict()

    def begin(self, identities: Sequence[str], facts: CallFacts, now: float) -> Verification:
        """Do the first six checks on each Identity value; `now` is in epoch seconds."""
        policy = self._policy
        if len(identities) > policy.max_identities or any(
            len(value) > policy.max_header for value in identities
        ):
            return Verification((), (), Reason.TOO_MANY_IDENTITIES)
        inspections = []
        needed: dict[str, None] = {}
        for value in identities:
            inspection = Inspection(value, "header", facts, policy, now)
            inspection.run(TOKEN_STEPS)
            inspections.append(inspection)
            url = inspection.url
            if url is not None and not inspection.stopped and len(needed) < policy.max_credentials:
                needed[url] = None
        siblings = tuple(inspections)
        for inspection in siblings:
            inspection.siblings = siblings
        return Verification(siblings, tuple(needed))

    def conclude(
        self, verification: Verification, credentials: Mapping[str, AnyCredential], now: float
    ) -> CallVerdict:
        """Do the remaining checks with what was fetched, and decide; `now` is in epoch seconds.

        To be called once for each `begin`. A needed URL that is missing from `credentials` counts
        as unavailable.
        """
        if verification.refused is not None:
            return CallVerdict((), "invalid", verification.refused, None)
        verdicts = []
        for inspection in verification.inspections:
            url = inspection.url
            if url is not None and not inspection.stopped:
                missing = _NOT_FETCHED if url in verification.needed else _TOO_MANY
                inspection.credential = credentials.get(url, missing)
            inspection.find_path = self.path_of
            inspection.revocation = self._revocation
            inspection.replay = self._replay
            inspection.now = now
            inspection.run(credential_steps(inspection))
            verdicts.append(_verdict(inspection))
        return decide(tuple(verdicts))

    def path_of(self, credential: Credential) -> Path:
        """The path of a credential to a trust anchor, or why there is none; kept for the next."""
        known = self._paths.get(credential.fingerprint)
        if known is not None:
            self._paths.move_to_end(credential.fingerprint)
            return known
        path = self._builder.find(credential)
        if len(self._paths) >= MAX_PATHS:
            self._paths.popitem(last=False)
        self._paths[credential.fingerprint] = path
        return path


def verify_token(
    value: str,
    *,
    now: float,
    credential: AnyCredential | None,
    anchors: Sequence[x509.Certificate] | None,
    ppt: str | None = None,
    form: Form = "token",
    facts: CallFacts | None = None,
    policy: VerificationPolicy | None = None,
    replay: ReplayCache | None = None,
) -> Verdict:
    """Verify one token outside a call: a ``spin`` invitation, or a token on the command line.

    With `ppt`, only that type is accepted, and of its claims the base ones are checked. `form`
    ``header`` takes an Identity value instead. What is None (`credential`, `anchors`, a fact) is
    skipped, and without a checked signature the outcome is *unavailable* at best: pass an empty
    `anchors` to trust nobody. `now` is in epoch seconds.
    """
    chosen = policy or VerificationPolicy()
    if ppt is not None:
        chosen = replace(chosen, supported_types=frozenset({ppt}))
    inspection = Inspection(value, form, facts or CallFacts(), chosen, now)
    inspection.credential = credential
    inspection.replay = replay
    if anchors is not None:
        inspection.find_path = PathBuilder(anchors).find
    inspection.run(TOKEN_STEPS)
    inspection.run(credential_steps(inspection))
    return _verdict(inspection)


def _verdict(inspection: Inspection) -> Verdict:
    outcome: Outcome = "valid"
    reason: Reason | None = None
    for check in inspection.checks:
        if check.outcome == "failed":
            outcome, reason = "invalid", check.reason
            break
        if check.outcome == "unavailable":
            outcome, reason = "unavailable", reason or check.reason
        elif check.step == "signature" and check.outcome == "skipped" and outcome == "valid":
            outcome = "unavailable"
    if inspection.ignored and reason is Reason.UNSUPPORTED_PPT:
        outcome = "ignored"
    extension = EXTENSIONS.get(inspection.ppt or "")
    return Verdict(
        tuple(inspection.checks),
        outcome,
        reason,
        inspection.passport,
        inspection.identity,
        extension is None or extension.proves_caller,
    )
