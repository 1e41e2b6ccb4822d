"""The conformance suite against our own verification service, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from gateway.conformance.case import (
    FINGERPRINT,
    Attempt,
    Case,
    Observation,
    Outcome,
    Workshop,
    assess,
)
from gateway.conformance.cases import CASES
from gateway.conformance.credentials import Credentials
from gateway.conformance.suite import run
from stir.certificates.certificate import (
    Credential,
    CredentialUnavailable,
    MalformedCredential,
    load_certificates,
    load_credential,
)
from stir.reason import Reason
from stir.replay import ReplayCache
from stir.verification import CallFacts, VerificationPolicy, VerificationService

ORIG, DEST = "14155550100", "12125550123"
BASE = "https://conformance.example:8443"
MEDIA_KEY = FINGERPRINT.split(" ")


@dataclass
class OwnService:
    """Our verification service as target; certificates come from the suite's pages."""

    credentials: Credentials
    calls: int = 0
    service: VerificationService = field(init=False)

    def __post_init__(self) -> None:
        roots = load_certificates(self.credentials.root_pem)
        self.service = VerificationService(VerificationPolicy(), roots, ReplayCache())

    async def learn(self, attempt: Attempt, now: float) -> None:
        await self.attempt(attempt, now)

    async def attempt(self, attempt: Attempt, now: float) -> Observation:
        for _ in range(1 + attempt.again):
            self.calls += 1
            facts = CallFacts(
                orig_candidates=(f"sip:+{ORIG}@a.example",),
                dest_candidates=(f"sip:+{DEST}@b.example",),
                date=int(now),
                fingerprints=((MEDIA_KEY[0], MEDIA_KEY[1]),) if attempt.sdp else (),
                call_id=str(self.calls),
            )
            begun = self.service.begin(attempt.identities, facts, now)
            found = {url: self.fetch(url) for url in begun.needed}
            verdict = self.service.conclude(begun, found, now)
        if verdict.outcome == "valid":
            return Observation("accepted", 486)
        return Observation("refused", verdict.sip_status)

    def fetch(self, url: str) -> Credential | CredentialUnavailable:
        name = url.removeprefix(f"{BASE}/").removesuffix(".pem")
        page = self.credentials.pages.get(name)
        if page is None:
            return CredentialUnavailable("HTTP status 404", "conformance.example")
        try:
            return load_credential(page)
        except MalformedCredential as error:
            return CredentialUnavailable(str(error), BASE, Reason.CREDENTIAL_MALFORMED)


async def outcomes(*, served: bool = True, chosen: tuple[str, ...] = ()) -> dict[str, Outcome]:
    credentials = Credentials(BASE, ORIG)
    shop = Workshop(credentials, ORIG, DEST, 0)
    found = run(OwnService(credentials), shop, served=served, pause=0, chosen=chosen)
    return {outcome.case.name: outcome async for outcome in found}


async def test_our_own_service_conforms_in_every_case() -> None:
    found = await outcomes()
    assert len(found) == len(CASES)
    wrong = {name: each for name, each in found.items() if each.result != "pass"}
    assert wrong == {}


async def test_what_needs_our_certificates_is_skipped_where_they_are_not_served() -> None:
    found = await outcomes(served=False, chosen=("valid", "none", "garbage", "unreachable"))
    assert [each.result for each in found.values()] == ["skipped", "pass", "pass", "pass"]
    assert "--serve" in found["valid"].remark


def test_every_case_has_a_name_of_its_own_and_fits_eighty_columns() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    for case in CASES:
        assert len(case.name) <= 17, case.name
        assert len(case.title) <= 45, case.title
        assert (case.expected == "refused") == bool(case.statuses)


BAD = Case("x", "x", "RFC", "refused", lambda _: Attempt(()), frozenset({437}))
GOOD = Case("x", "x", "RFC", "accepted", lambda _: Attempt(()))
LENIENT = Case("x", "x", "RFC", "accepted", lambda _: Attempt(()), lenient=True)


@pytest.mark.parametrize(
    ("case", "seen", "result"),
    [
        (GOOD, Observation("accepted", 200), "pass"),
        (GOOD, Observation("accepted", verstat="TN-Validation-Passed"), "pass"),
        (GOOD, Observation("accepted", verstat="TN-Validation-Failed"), "fail"),
        (GOOD, Observation("refused", 437), "fail"),
        (LENIENT, Observation("refused", 437), "info"),
        (BAD, Observation("refused", 437), "pass"),
        (BAD, Observation("refused", 438), "info"),
        (BAD, Observation("accepted", 486), "fail"),
        (BAD, Observation("accepted", verstat="TN-Validation-Passed"), "fail"),
        (BAD, Observation("accepted", verstat="No-TN-Validation"), "pass"),
        (BAD, Observation("silent"), "fail"),
        (GOOD, Observation("unclear", 503), "info"),
        (GOOD, Observation("untried"), "skipped"),
    ],
)
def test_what_was_seen_is_held_against_what_is_expected(
    case: Case, seen: Observation, result: str
) -> None:
    assert assess(case, seen).result == result
