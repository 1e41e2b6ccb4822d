"""Between SIP messages and the STIR services: what is signed, and what is held against the Identity
header fields of a request."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from gateway.call_facts import (
    answer_facts,
    answered_fingerprints,
    call_facts,
    identity_values,
    live_facts,
)
from gateway.caller_data import SignedBeside
from gateway.http.credentials import CertificateSource
from gateway.refusal import CallRefused
from gateway.revocation import RevocationService
from sip.fields import format_date
from sip.headers import Headers
from sip.message import Request, Response
from stir.authentication import (
    Attestation,
    AuthenticationService,
    CannotSign,
    SigningRequest,
    msg_claims,
)
from stir.extensions.div_signing import MAX_DIVERSIONS, DiversionRequest, sign_diversion
from stir.extensions.msg import MSG
from stir.extensions.rsp import RSP
from stir.passport import MalformedPassport, Passport, parse_passport
from stir.reason import Reason
from stir.telephone_number import canonicalise
from stir.verdict import CallVerdict, Check, Verdict
from stir.verification import CallFacts, VerificationService

_MAX_DATE_SKEW: Final = 60
_MAX_ANSWER_IDENTITIES: Final = 2
_OF_ANSWERS: Final = re.compile(r";\s*ppt\s*=\s*\"?rsp\"?\s*(?:;|$)", re.IGNORECASE)
_PERHAPS_REPLACED: Final = frozenset(
    {
        Reason.SIGNATURE_INVALID,
        Reason.CREDENTIAL_EXPIRED,
        Reason.CHAIN_EXPIRED,
        Reason.AUTHORITY_NOT_COVERED,
    }
)


class IdentityServices:
    """The authentication and the verification service with their fetcher and clock."""

    def __init__(
        self,
        authentication: AuthenticationService | None,
        verification: VerificationService | None,
        certificates: CertificateSource,
        clock: Callable[[], float],
        *,
        revocation: RevocationService | None = None,
        accept_asserted: bool = False,
        max_diversions: int = MAX_DIVERSIONS,
    ) -> None:
        self._accept_asserted = accept_asserted
        self._max_diversions = max_diversions
        self._revocation = revocation
        self._authentication = authentication
        self._verification = verification
        self._certificates = certificates
        self._clock = clock

    def sign(
        self,
        request: Request,
        *,
        orig: str,
        dest: str,
        attest: Attestation,
        origid: str,
        beside: SignedBeside | None = None,
    ) -> tuple[Request, dict[str, Any] | None]:
        """Return the request with Date and Identity (RFC 8224 section 6.1), and what was signed.

        `beside` is what else is signed of the caller: an Identity header field each, or within the
        first. Raises CallRefused with 403 where the caller's Date is wrong by more than a minute.
        """
        if self._authentication is None:
            return request, None
        now = self._clock()
        facts = call_facts(request)
        headers = dated(request.headers, facts.date, now)
        asked = SigningRequest(
            orig_tn=orig,
            dest_tns=(dest,),
            iat=int(now),
            attest=attest,
            origid=origid,
            fingerprints=facts.fingerprints or (),
            claims=None if beside is None else beside.within_shaken,
        )
        try:
            value = self._authentication.sign(asked)
            headers = headers.append("Identity", value)
            for ppt, claims in () if beside is None else beside.passports:
                more = replace(asked, attest=None, origid=None, ppt=ppt, claims=claims)
                headers = headers.append("Identity", self._authentication.sign(more))
        except CannotSign as error:
            raise CallRefused(500, f"The call cannot be signed: {error}") from None
        return request.with_headers(headers), signed_record(value.partition(";")[0])

    def sign_message(
        self, request: Request, *, orig: str, dest: str, beside: SignedBeside | None = None
    ) -> tuple[Request, dict[str, Any] | None]:
        """Return a MESSAGE with Date and an Identity of type msg, bound to its body (RFC 9475).

        `beside` and what is raised are as for `sign`.
        """
        if self._authentication is None:
            return request, None
        now, more = self._clock(), beside or SignedBeside()
        headers = dated(request.headers, call_facts(request).date, now)
        claims = {**msg_claims(request.body), **(more.within_shaken or {})}
        signed = []
        try:
            for ppt, added in ((MSG.ppt, claims), *more.passports):
                asked = SigningRequest(orig, (dest,), int(now), ppt=ppt, claims=added)
                signed.append(self._authentication.sign(asked))
        except CannotSign as error:
            raise CallRefused(500, f"The message cannot be signed: {error}") from None
        for value in signed:
            headers = headers.append("Identity", value)
        return request.with_headers(headers), signed_record(signed[0].partition(";")[0])

    async def signed(
        self,
        request: Request,
        *,
        orig: str,
        dest: str,
        attest: Attestation,
        origid: str,
        beside: SignedBeside | None = None,
    ) -> tuple[Request, dict[str, Any] | None]:
        """Do what `sign` does, wherever it is done."""
        return self.sign(request, orig=orig, dest=dest, attest=attest, origid=origid, beside=beside)

    def divert(
        self, request: Request, received: CallVerdict, *, div: str, dest: str
    ) -> tuple[Request, dict[str, Any] | None]:
        """Return the request with one more Identity, of type div (RFC 8946), and what was signed.

        Its `iat` is the Date the request leaves with. Raises CallRefused: 403 where nothing may be
        signed on top of what was received.
        """
        if self._authentication is None:
            return request, None
        now = self._clock()
        facts = call_facts(request)
        asked = DiversionRequest(div, dest, int(now), fingerprints=facts.fingerprints or ())
        try:
            value = sign_diversion(
                self._authentication, received, asked, limit=self._max_diversions
            )
        except CannotSign as error:
            raise CallRefused(403, f"The call cannot be diverted: {error}") from None
        headers = dated(request.headers, facts.date, now).append("Identity", value)
        return request.with_headers(headers), signed_record(value.partition(";")[0])

    def sign_response(self, response: Response, *, orig: str, dest: str) -> str | None:
        """Return an Identity value by which the holder of `dest` says that it answered `orig`.

        It binds the media keys of the answer as it leaves. None where nothing is signed here.
        """
        if self._authentication is None:
            return None
        keys = answered_fingerprints(response)
        asked = SigningRequest(
            orig, (dest,), int(self._clock()), ppt=RSP.ppt, claims={}, fingerprints=keys
        )
        try:
            return self._authentication.sign(asked)
        except CannotSign:
            return None

    async def verify_response(self, response: Response, *, orig: str, dest: str) -> Verdict | None:
        """Return the verdict on who says to have answered; None where nobody does.

        `response` is as it arrived. Two values of type rsp are looked at, the first that is valid
        or else the first counts. Two answers of one second between the same numbers are the same
        token, so that one seen before says nothing: age and media keys bind it to the call.
        """
        values = [value for value in response.headers.all("Identity") if _OF_ANSWERS.search(value)]
        if self._verification is None or not values:
            return None
        facts = answer_facts(response, orig=orig, dest=dest)
        kept = values[:_MAX_ANSWER_IDENTITIES]
        verdict = await self._verified(self._verification, kept, facts, remember=False)
        found = [each for each in verdict.verdicts if each.outcome == "valid"]
        return next(iter(found or verdict.verdicts), None)

    async def verify(
        self, request: Request, *, identities: tuple[str, ...] | None = None
    ) -> CallVerdict:
        """Return the verdict on all Identity header fields of a request (RFC 8224 section 6.2).

        `identities` stand for header fields that were lost on the way (RFC 8816 section 7.2).
        """
        if self._verification is None:
            raise CallRefused(501, "No verification service is configured")
        if identities is None:
            identities = identity_values(request)
        facts = live_facts(request, accept_asserted=self._accept_asserted)
        return await self._verified(self._verification, identities, facts)

    async def verify_diverted(self, request: Request, div: str) -> CallVerdict:
        """Return the verdict on a call that an own PBX forwards, for the number `div` it came to.

        The PASSporTs were seen when the call came in, and the SDP is the PBX's: neither replay nor
        media keys are judged.
        """
        if self._verification is None:
            raise CallRefused(501, "No verification service is configured")
        facts = live_facts(request, accept_asserted=self._accept_asserted)
        facts = replace(facts, dest_candidates=(div,), fingerprints=None)
        identities = identity_values(request)
        return await self._verified(self._verification, identities, facts, remember=False)

    async def _verified(
        self,
        service: VerificationService,
        identities: Sequence[str],
        facts: CallFacts,
        *,
        remember: bool = True,
    ) -> CallVerdict:
        verdict, urls = await self._verify_once(service, identities, facts, remember)
        # A provider may have put another certificate behind its URL since we fetched it.
        reasons = {each.reason for each in verdict.verdicts}
        if verdict.outcome == "valid" or not reasons & _PERHAPS_REPLACED:
            return verdict
        if await self._certificates.changed(urls):
            verdict, _ = await self._verify_once(service, identities, facts, remember)
        return verdict

    async def _verify_once(
        self,
        service: VerificationService,
        identities: Sequence[str],
        facts: CallFacts,
        remember: bool,
    ) -> tuple[CallVerdict, tuple[str, ...]]:
        begun = service.begin(identities, facts, self._clock(), self._certificates.knows)
        credentials = await self._certificates.get_all(begun.needed)
        if self._revocation is not None:
            await self._revocation.prepare(credentials.values())
        verdict = service.conclude(begun, credentials, self._clock(), remember=remember)
        return verdict, begun.needed


def verdict_record(verdict: CallVerdict) -> dict[str, Any]:
    """Return a verdict as the call record and `--json` show it, with every check."""
    best = verdict.best
    passport = best.passport if best is not None else None
    return {
        "outcome": verdict.outcome,
        "out_of_band": verdict.out_of_band,
        "verstat": verdict.verstat,
        "sip_status": verdict.sip_status,
        "reason": verdict.reason.code if verdict.reason is not None else None,
        "orig": _orig(passport),
        "passport": _as_record(passport) if passport is not None else None,
        "checks": check_records(best.checks if best is not None else ()),
    }


def check_records(checks: Iterable[Check]) -> list[dict[str, Any]]:
    """Return checks as the call record and `--json` show them."""
    return [
        {
            "step": check.step,
            "outcome": check.outcome,
            "reason": check.reason.code if check.reason is not None else None,
            "got": check.got,
            "expected": check.expected,
        }
        for check in checks
    ]


def _orig(passport: Passport | None) -> str | None:
    orig = passport.payload.get("orig") if passport is not None else None
    written = orig.get("tn") if isinstance(orig, dict) else None
    # Some signers write the plus sign that canonical numbers are without.
    number = canonicalise(written) if isinstance(written, str) else None
    return None if number is None else f"+{number}"


def _as_record(passport: Passport) -> dict[str, Any]:
    return {"header": dict(passport.header), "payload": dict(passport.payload)}


def signed_record(token: str) -> dict[str, Any] | None:
    """Return what was signed as the call record shows it."""
    try:
        return _as_record(parse_passport(token))
    except MalformedPassport:
        return None


def dated(headers: Headers, date: int | None, now: float) -> Headers:
    """Add the Date the PASSporT goes with; an own user's wrong Date is refused (RFC 8224 4.1)."""
    if "Date" not in headers:
        return headers.append("Date", format_date(now))
    if date is None or abs(date - now) > _MAX_DATE_SKEW:
        raise CallRefused(403, phrase="Stale Date", text="The Date of the request is not now")
    return headers
