"""Judging what `spingate stir` was given: with which credentials, roots, time and policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from cryptography import x509

from gateway.cli.output import usage_error
from gateway.cli.stir_input import Subject
from stir.checks.inspection import AnyCredential
from stir.telephone_number import canonicalise
from stir.verdict import CallVerdict, decide
from stir.verification import VerificationPolicy, verify_values


@dataclass(frozen=True, slots=True)
class Judge:
    """What stays the same for every request judged in one run of the command.

    `credential` stands for whatever x5u says; without it `fetched` is asked, by URL. `anchors`
    None leaves the chain unchecked.
    """

    policy: VerificationPolicy
    anchors: Sequence[x509.Certificate] | None = None
    credential: AnyCredential | None = None
    fetched: Mapping[str, AnyCredential] = field(default_factory=dict)

    def verdict(self, subject: Subject, now: float) -> CallVerdict:
        """Judge every Identity value of a subject at a time in epoch seconds."""
        call = verify_values(
            subject.values,
            form=subject.form,
            now=now,
            facts=subject.facts,
            policy=self.policy,
            credential=self.credential if self.credential is not None else self.fetched,
            anchors=self.anchors,
        )
        if not call.verdicts or any(verdict.proves_caller for verdict in call.verdicts):
            return call
        # nobody asks here who calls: a token of such a type is looked at for its own sake
        return decide(tuple(replace(verdict, proves_caller=True) for verdict in call.verdicts))

    def credential_at(self, url: str | None) -> AnyCredential | None:
        """Return the credential that stands for a URL, None where none was given or fetched."""
        if self.credential is not None or url is None:
            return self.credential
        return self.fetched.get(url)


def urls(subject: Subject, policy: VerificationPolicy) -> tuple[str | None, ...]:
    """Return for each value, and each that a div-o holds, the x5u that may be fetched.

    None stands for one that names no URL, or none that may be.
    """
    call = verify_values(
        subject.values,
        form=subject.form,
        now=0.0,
        facts=subject.facts,
        policy=policy,
        credential=None,
        anchors=None,
    )
    found: list[str | None] = []
    for verdict in chain.from_iterable((each, *each.nested) for each in call.verdicts):
        named = verdict.passport is not None and verdict.check("info").outcome == "passed"
        found.append(verdict.passport.x5u if named and verdict.passport else None)
    return tuple(found)


def make_policy(
    freshness: float, codes: list[str] | None, numbers: list[str] | None
) -> VerificationPolicy:
    """Make the policy of a run from its options; wrong ones are wrong usage."""
    if not 0 <= freshness < 1e12:
        usage_error("--freshness: seconds, not negative")
    known: dict[str, frozenset[str]] = {}
    for text in numbers or ():
        code, equals, number = text.partition("=")
        digits = canonicalise(number)
        if not equals or digits is None:
            usage_error(f"--spc-number {text}: write CODE=TN")
        known[code] = known.get(code, frozenset()) | {digits}
    return VerificationPolicy(
        freshness=freshness,
        accept_service_provider_codes=None if codes is None else frozenset(codes),
        service_provider_numbers=known,
        exhaustive=True,
    )
