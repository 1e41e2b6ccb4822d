"""The verification service of RFC 8224 section 6.2, without I/O and in two halves.

`begin` does every check that needs no certificate and says which URLs to fetch; the caller fetches
them as it likes; `conclude` does the rest. The steps stand in `stir.checks.order`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from cryptography import x509

from stir.certificates.certificate import Credential, CredentialUnavailable
from stir.certificates.chain import Path, PathBuilder
from stir.certificates.revocation import RevocationRecords
from stir.certificates.transparency import Transparency
from stir.checks.diversion_step import (
    is_diverted,
    lay_out_nested,
    mark_aged,
    trace_diversions,
    trace_originals,
)
from stir.checks.inspection import (
    AnyCredential,
    CallFacts,
    Form,
    Inspection,
    VerificationPolicy,
)
from stir.checks.order import (
    AGE_STEPS,
    CREDENTIAL_STEPS,
    DIVERSION_STEPS,
    LAST_STEPS,
    TOKEN_STEPS,
    nested_steps,
    request_steps,
)
from stir.diversion import DIV, DIV_O
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
    "verify_values",
]

MAX_PATHS: Final = 4_096
_NOT_FETCHED: Final = CredentialUnavailable("it was not fetched in time", "this gateway")
# Which URLs need no fetch: none are known where nobody says.
Known = Callable[[str], bool]
_TOO_MANY: Final = CredentialUnavailable("too many different x5u in one request", "the caller")


class Verification(NamedTuple):
    """A verification half done; `needed` are the URLs whose credentials are wanted.

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
        transparency: Transparency | None = None,
    ) -> None:
        """`anchors` are the trusted roots; with none of them every chain is untrusted.

        `replay` may be shared between services; None leaves the replay check out, and None for
        `revocation` or `transparency` that check.
        """
        self._policy = policy
        self._builder = PathBuilder(anchors, p256_issuers=policy.p256_issuers)
        self._replay = replay
        self._revocation = revocation
        self._transparency = transparency
        # A path's signatures hold for ever; only its validity periods are checked at each call.
        self._paths: OrderedDict[bytes, Path] = OrderedDict()

    def replace_anchors(self, anchors: Sequence[x509.Certificate]) -> None:
        """Trust these roots from now on and no others; calls under way see the change as well."""
        self._builder.replace_anchors(anchors)
        self._paths.clear()

    def begin(
        self,
        identities: Sequence[str],
        facts: CallFacts,
        now: float,
        known: Known = lambda _url: False,
    ) -> Verification:
        """Do the first six checks on each Identity value; `now` is in epoch seconds.

        `known` tells which URLs cost no fetch, because their credential is at hand. Only the others
        count towards the policy's `max_credentials`: five providers may have diverted a call, each
        with its own certificate, while a request full of URLs that nobody has seen before makes us
        fetch no more than those. What a div-o holds counts like an Identity of its own.
        """
        policy = self._policy
        if _is_too_much(identities, policy):
            return Verification((), (), Reason.TOO_MANY_IDENTITIES)
        inspections = _read(identities, "header", facts, policy, now)
        needed: dict[str, None] = {}
        fetches = 0
        for inspection in _with_nested(inspections):
            url = inspection.url
            if url is None or inspection.stopped or url in needed:
                continue
            if not known(url):
                fetches += 1
                if fetches > policy.max_credentials:
                    continue
            needed[url] = None
        return Verification(inspections, tuple(needed))

    def conclude(
        self,
        verification: Verification,
        credentials: Mapping[str, AnyCredential],
        now: float,
        *,
        remember: bool = True,
    ) -> CallVerdict:
        """Do the remaining checks with what was fetched, and decide; `now` is in epoch seconds.

        To be called once for each `begin`. A needed URL that is missing from `credentials` counts
        as unavailable. Without `remember` the replay check is left out: for a call that an own PBX
        diverts, whose PASSporTs were seen when it came in.
        """
        if verification.refused is not None:
            return CallVerdict((), "invalid", verification.refused, None)
        for inspection in _with_nested(verification.inspections):
            url = inspection.url
            if url is not None and not inspection.stopped:
                missing = _NOT_FETCHED if url in verification.needed else _TOO_MANY
                inspection.credential = credentials.get(url, missing)
            inspection.find_path = self.path_of
            inspection.revocation = self._revocation
            inspection.transparency = self._transparency
            inspection.replay = self._replay if remember else None
            inspection.now = now
        return _concluded(verification.inspections)

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


def verify_values(
    values: Sequence[str],
    *,
    now: float,
    credential: AnyCredential | Mapping[str, AnyCredential] | None,
    anchors: Sequence[x509.Certificate] | None,
    form: Form = "header",
    facts: CallFacts | None = None,
    policy: VerificationPolicy | None = None,
    replay: ReplayCache | None = None,
    revocation: RevocationRecords | None = None,
) -> CallVerdict:
    """Verify the Identity values of one request together, outside a call, and decide.

    As `verify_token`, with one `credential` for all, or those that there are by x5u URL. More or
    longer values than the policy allows are refused as a live call's are.
    """
    chosen = policy or VerificationPolicy()
    if _is_too_much(values, chosen):
        return CallVerdict((), "invalid", Reason.TOO_MANY_IDENTITIES, None)
    inspections = _read(values, form, facts or CallFacts(), chosen, now)
    find_path = (
        None if anchors is None else PathBuilder(anchors, p256_issuers=chosen.p256_issuers).find
    )
    for inspection in _with_nested(inspections):
        found = credential
        if isinstance(credential, Mapping):
            found = credential.get(inspection.url or "")
        inspection.credential = None if isinstance(found, Mapping) else found
        inspection.replay = replay
        inspection.revocation = revocation
        inspection.find_path = find_path
    return _concluded(inspections)


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
    revocation: RevocationRecords | None = None,
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
    call = verify_values(
        (value,),
        now=now,
        credential=credential,
        anchors=anchors,
        form=form,
        facts=facts,
        policy=replace(chosen, max_header=max(chosen.max_header, len(value))),
        replay=replay,
        revocation=revocation,
    )
    return call.verdicts[0]


def _is_too_much(values: Sequence[str], policy: VerificationPolicy) -> bool:
    return len(values) > policy.max_identities or any(
        len(value) > policy.max_header for value in values
    )


def _read(
    values: Sequence[str], form: Form, facts: CallFacts, policy: VerificationPolicy, now: float
) -> tuple[Inspection, ...]:
    """Do the checks that need no credential, on each value and on what a div-o holds."""
    inspections = tuple(Inspection(value, form, facts, policy, now) for value in values)
    for inspection in inspections:
        inspection.run(TOKEN_STEPS)
        if inspection.ppt == DIV_O and not inspection.stopped:
            inspection.nested = _unwrap(inspection)
    mark_aged(inspections)
    for inspection in _with_nested(inspections):
        inspection.run(AGE_STEPS)
    return inspections


def _unwrap(outer: Inspection) -> tuple[Inspection, ...]:
    """Read what a div-o holds, and what that holds: at most one more than may be diversions.

    Each is shorter than what holds it by a quarter, so that all of them together are read in a time
    that is linear in the length of the Identity header field.
    """
    found: list[Inspection] = []
    inner = outer
    while inner.ppt == DIV_O and not inner.stopped and len(found) < outer.policy.max_diversions:
        assert inner.passport is not None
        inner = Inspection(
            str(inner.passport.payload["opt"]), "token", outer.facts, outer.policy, outer.now
        )
        inner.diverted_later = True
        inner.run(TOKEN_STEPS)
        found.append(inner)
    return tuple(found)


def _with_nested(inspections: Sequence[Inspection]) -> Sequence[Inspection]:
    if not any([each.nested for each in inspections]):  # noqa: C419 - a list is half the cost here
        return inspections
    return [each for outer in inspections for each in (outer, *outer.nested)]


def _concluded(inspections: Sequence[Inspection]) -> CallVerdict:
    """Do the checks that need the credentials, group by group, and decide."""
    for inspection in _with_nested(inspections):
        inspection.run(CREDENTIAL_STEPS)
    diverted = is_diverted(inspections)
    if diverted:
        _conclude_nested(inspections)
    for inspection in inspections:
        if inspection.ppt != DIV:
            inspection.run(request_steps(inspection))
            if diverted and inspection.ppt != DIV_O:
                inspection.run(DIVERSION_STEPS)
    if diverted:
        trace_diversions(inspections)
        for inspection in inspections:
            if inspection.ppt == DIV:
                inspection.run(request_steps(inspection))
    for inspection in inspections:
        inspection.run(LAST_STEPS)
    return decide(tuple([_verdict(each) for each in inspections]))


def _conclude_nested(inspections: Sequence[Inspection]) -> None:
    lay_out_nested(inspections)
    for outer in inspections:
        for inner in outer.nested:
            inner.run(nested_steps(inner))
    trace_originals(inspections)


def _verdict(inspection: Inspection) -> Verdict:
    outcome: Outcome = "valid"
    reason: Reason | None = None
    for check in inspection.checks:
        if check.outcome == "passed":
            continue
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
    nested = tuple(map(_verdict, inspection.nested)) if inspection.nested else ()
    return Verdict(
        tuple(inspection.checks),
        outcome,
        reason,
        inspection.passport,
        inspection.identity,
        # a div-o proves what it holds proves: who signs a priority may have no right to the number
        all(
            (extension is None or extension.proves_caller, *(e.proves_caller for e in nested[-1:]))
        ),
        nested,
    )
