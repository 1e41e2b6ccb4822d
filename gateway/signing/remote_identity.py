"""The identity services with an existing STI-AS/VS in front of, or instead of, our own.

Where nobody answers, calls leave unsigned or are refused, and what comes in is not verified: its
verdict is *unavailable*, never a wrong one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Literal

import structlog

from gateway.call_facts import call_facts, identity_values, live_facts
from gateway.caller_data import SignedBeside
from gateway.http.credentials import CertificateSource
from gateway.http.signing_client import RemoteSti, RemoteUnavailable, RemoteVerdict
from gateway.identity import IdentityServices, dated, signed_record
from gateway.refusal import CallRefused
from gateway.signing.messages import MAX_IDENTITIES, SigningOrder, VerificationOrder
from sip.message import Request
from stir.authentication import Attestation, AuthenticationService
from stir.claims import identities, identity_of
from stir.extensions.registry import EXTENSIONS
from stir.extensions.shaken import SHAKEN
from stir.identity import MAX_VALUE, Identity, MalformedIdentity, parse_identity
from stir.passport import MalformedPassport, Passport, parse_passport
from stir.reason import Reason, printable
from stir.telephone_number import canonicalise, number_of
from stir.verdict import CallVerdict, Check, Verdict, decide
from stir.verification import VerificationService

_Outcome = Literal["invalid", "unavailable"]
_log = structlog.get_logger("remote-sti")
_REASONS: Final = {
    403: Reason.STALE_DATE,
    428: Reason.IDENTITY_MISSING,
    436: Reason.CREDENTIAL_UNAVAILABLE,
    437: Reason.REMOTE_CREDENTIAL,
}


class RemoteIdentityServices(IdentityServices):
    """Signs and verifies calls at a remote STI-AS/VS, each where it is told to, else here."""

    def __init__(
        self,
        authentication: AuthenticationService | None,
        verification: VerificationService | None,
        certificates: CertificateSource,
        clock: Callable[[], float],
        *,
        remote: RemoteSti,
        signs: bool,
        verifies: bool,
        unsigned: Literal["send", "refuse"],
        dialect: Literal["atis", "3gpp"] = "atis",
        accept_asserted: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(
            authentication,
            verification,
            certificates,
            clock,
            accept_asserted=accept_asserted,
            **more,
        )
        self._remote = remote
        self._signs = signs
        self._verifies = verifies
        self._unsigned = unsigned
        self._dialect = dialect

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
        """Return the request with Date and Identity; unsigned or CallRefused 503 by policy."""
        if not self._signs:
            return await super().signed(
                request, orig=orig, dest=dest, attest=attest, origid=origid, beside=beside
            )
        now = self._clock()
        headers = dated(request.headers, call_facts(request).date, now)
        caller, called = canonicalise(orig), canonicalise(dest)
        if caller is None or called is None:
            raise CallRefused(500, "The call cannot be signed: a number is none")
        order = SigningOrder(caller, (called,), attest, origid, int(now))
        try:
            value = await self._remote.sign(order)
        except RemoteUnavailable as error:
            _log.warning("call not signed", policy=self._unsigned, detail=str(error))
            if self._unsigned == "refuse":
                raise CallRefused(503, "The call cannot be signed at present") from None
            return request, None
        signed = request.with_headers(headers.append("Identity", value))
        return signed, signed_record(value.partition(";")[0])

    async def verify(
        self, request: Request, *, identities: tuple[str, ...] | None = None
    ) -> CallVerdict:
        """Return what the remote STI-VS makes of the Identity header fields, or *unavailable*."""
        if not self._verifies:
            return await super().verify(request, identities=identities)
        values = identity_values(request) if identities is None else identities
        if not values:
            return decide(())
        if len(values) > MAX_IDENTITIES or any(len(value) > MAX_VALUE for value in values):
            return CallVerdict((), "invalid", Reason.TOO_MANY_IDENTITIES, None)
        facts = live_facts(request, accept_asserted=self._accept_asserted)
        orig = _numbers(facts.orig_candidates)[:1] or (facts.orig_candidates or ())[:1]
        dest = _numbers(facts.dest_candidates) or facts.dest_candidates or ()
        if not orig or not dest:
            return _unavailable(values, "the request shows nobody to verify")
        time = facts.date if facts.date is not None else int(self._clock())
        order = VerificationOrder(orig[0], dest, values, time, self._dialect)
        try:
            said = await self._remote.verify(order)
        except RemoteUnavailable as error:
            return _unavailable(values, str(error))
        return _call_verdict(values, said, orig[0])


def _numbers(candidates: tuple[str, ...] | None) -> tuple[str, ...]:
    found = (number_of(uri) for uri in candidates or ())
    return tuple(dict.fromkeys(number for number in found if number is not None))


def _unavailable(values: tuple[str, ...], detail: str) -> CallVerdict:
    reason = Reason.REMOTE_UNAVAILABLE
    check = Check("remote", "unavailable", reason, printable(detail, 200), "an answer in time")
    return _decided(values, "unavailable", reason, check)


def _call_verdict(values: tuple[str, ...], said: RemoteVerdict, orig: str) -> CallVerdict:
    if said.verstat == "TN-Validation-Passed":
        check = Check("remote", "passed", got=f"by {said.host}")
        passport = _verified(values, orig)
        best = Verdict((check,), "valid", None, passport, None)
        return CallVerdict((best,), "valid", None, best)
    shown = printable(f"{said.host}: {said.code or ''} {said.text}".strip(), 200)
    if said.verstat == "No-TN-Validation":
        reason = Reason.REMOTE_UNAVAILABLE
        check = Check("remote", "unavailable", reason, shown, "a validation")
        return _decided(values, "unavailable", reason, check)
    reason = _REASONS.get(said.code or 0, Reason.REMOTE_INVALID)
    check = Check("remote", "failed", reason, shown, "TN-Validation-Passed")
    return _decided(values, "invalid", reason, check)


def _verified(values: tuple[str, ...], orig: str) -> Passport | None:
    """The PASSporT that the remote STI-VS must have found valid for `orig`, where it is certain.

    Its answer is about the call: beside a valid PASSporT a forged one may stand, and nothing of
    that may be shown.
    """
    proving = [passport for _, passport in _read(values) if _may_prove(passport)]
    passport = proving[0] if len(proving) == 1 else None
    if passport is None or passport.ppt not in (None, SHAKEN.ppt):
        return None
    return passport if identity_of(orig) & identities(passport.payload.get("orig")) else None


def _may_prove(passport: Passport | None) -> bool:
    extension = EXTENSIONS.get(passport.ppt or "") if passport is not None else None
    return extension is None or extension.proves_caller


def _read(values: tuple[str, ...]) -> Iterator[tuple[Identity | None, Passport | None]]:
    for value in values:
        identity: Identity | None = None
        try:
            identity = parse_identity(value)
            yield identity, parse_passport(identity.token)
        except (MalformedIdentity, MalformedPassport):
            yield identity, None


def _decided(
    values: tuple[str, ...], outcome: _Outcome, reason: Reason, check: Check
) -> CallVerdict:
    """One verdict for the whole request; it shows the first PASSporT that can be read."""
    read = next((each for each in _read(values) if each[1] is not None), (None, None))
    identity, passport = read
    best = Verdict((check,), outcome, reason, passport, identity)
    return CallVerdict((best,), outcome, reason, best)
