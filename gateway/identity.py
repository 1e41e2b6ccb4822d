"""Between SIP messages and the STIR services: what is signed, what is held against the Identity
header fields, and what an own device is told of the result."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any, Final

from gateway.call_facts import call_facts, identity_values, live_facts
from gateway.http.credentials import CertificateSource
from gateway.refusal import CallRefused
from sip.digest_fields import MalformedDigest, parse_digest
from sip.fields import format_date
from sip.headers import Headers
from sip.host import write_host
from sip.message import Request
from sip.uri import SipUri, Uri, telephone_number
from stir.authentication import Attestation, AuthenticationService, CannotSign, SigningRequest
from stir.passport import MalformedPassport, Passport, parse_passport
from stir.telephone_number import canonicalise
from stir.verdict import CallVerdict
from stir.verification import VerificationService

# The last one was never standardised, but PBXs believe it.
_ASSERTED: Final = ("P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID")
_CREDENTIALS: Final = ("Proxy-Authorization", "Authorization")
_MAX_CREDENTIALS: Final = 8
_MAX_DATE_SKEW: Final = 60
# A parameter, its name perhaps written with escapes, its value perhaps quoted.
_VERSTAT: Final = re.compile(
    r";\s*"
    + "".join(rf"(?:{letter}|%{ord(letter):x}|%{ord(letter) - 32:x})" for letter in "verstat")
    + r"(?=[\s;=@:?>,]|\Z)(?:\s*=\s*(?:\"(?:[^\"\\]|\\.)*\"|[^\s;@:?>,]*))?",
    re.IGNORECASE,
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
        accept_asserted: bool = False,
    ) -> None:
        self._accept_asserted = accept_asserted
        self._authentication = authentication
        self._verification = verification
        self._certificates = certificates
        self._clock = clock

    def sign(
        self, request: Request, *, orig: str, dest: str, attest: Attestation
    ) -> tuple[Request, dict[str, Any] | None]:
        """Return the request with Date and Identity (RFC 8224 section 6.1), and what was signed.

        Raises CallRefused with 403 where the caller's Date is wrong by more than a minute.
        """
        if self._authentication is None:
            return request, None
        now = self._clock()
        facts = call_facts(request)
        headers = _dated(request.headers, facts.date, now)
        asked = SigningRequest(
            orig_tn=orig,
            dest_tns=(dest,),
            iat=int(now),
            attest=attest,
            origid=str(uuid.uuid4()),
            fingerprints=facts.fingerprints or (),
        )
        try:
            value = self._authentication.sign(asked)
        except CannotSign as error:
            raise CallRefused(500, f"The call cannot be signed: {error}") from None
        token = value.partition(";")[0]
        return request.with_headers(headers.append("Identity", value)), _clear(token)

    async def verify(self, request: Request) -> CallVerdict:
        """Return the verdict on all Identity header fields of a request (RFC 8224 section 6.2)."""
        if self._verification is None:
            raise CallRefused(501, "No verification service is configured")
        identities = identity_values(request)
        facts = live_facts(request, accept_asserted=self._accept_asserted)
        begun = self._verification.begin(identities, facts, self._clock())
        credentials = await self._certificates.get_all(begun.needed)
        return self._verification.conclude(begun, credentials, self._clock())


def called_number(uri: Uri) -> str | None:
    """Return the E.164 number a URI calls, or None."""
    number = telephone_number(uri)
    if number is not None:
        return number if number.startswith("+") else None
    user = uri.user if isinstance(uri, SipUri) else None
    digits = canonicalise(user) if user and user.startswith("+") else None
    return f"+{digits}" if digits else None


def own_headers(headers: Headers, number: str, domain: str) -> Headers:
    """Return the header fields of an own user's request as they leave.

    Who calls is asserted by us (RFC 3325 section 5); what else only we may say is taken out, and
    so are credentials for our realm. Those for another one are for whoever challenged the user
    (RFC 3261 section 22.3).
    """
    kept = _without_verstat(headers.without(*_ASSERTED, *_CREDENTIALS, "Identity"))
    for value in headers.all("Proxy-Authorization")[:_MAX_CREDENTIALS]:
        if _is_for_another_realm(value, domain):
            kept = kept.append("Proxy-Authorization", value)
    return kept.append("P-Asserted-Identity", f"<sip:{number}@{domain};user=phone>")


def _is_for_another_realm(value: str, realm: str) -> bool:
    try:
        fields = parse_digest(value)
    except MalformedDigest:
        return False
    return fields is not None and fields.realm != realm


def marked_headers(request: Request, verstat: str | None, orig: str | None) -> Headers:
    """Return the header fields an own device sees: nobody's verstat but ours.

    The mark stands in P-Asserted-Identity, in the user part, as 3GPP TS 24.229 section 7.2A.20
    has it. What an untrusted peer asserted is removed (RFC 3325 section 5). `orig` is the number
    that was verified; where none was, the From number is what the mark speaks of.

    Between providers the number of a caller who asked for privacy travels all the same, in the
    PASSporT; the device of the called user gets neither it nor the PASSporT (RFC 3323, RFC 3325
    section 7, RFC 8224 section 11).
    """
    kept = _without_verstat(request.headers.without(*_ASSERTED))
    if _wants_privacy(request.headers):
        return kept.without("Identity")
    if verstat is None:
        return kept
    uri = request.from_.uri
    number = orig or called_number(uri)
    if number is None:
        return kept
    host = write_host(uri.host) if isinstance(uri, SipUri) else "anonymous.invalid"
    asserted = f"<sip:{number};verstat={verstat}@{host};user=phone>"
    return kept.append("P-Asserted-Identity", asserted)


def dialog_headers(headers: Headers) -> Headers:
    """Return the header fields of a request within a dialog as they go on.

    Credentials for us stay here: the ACK to an INVITE repeats them (RFC 3261 section 13.2.2.4).
    Nobody verifies who sends such a request, so that it asserts nothing.
    """
    return _without_verstat(headers.without(*_ASSERTED, *_CREDENTIALS))


def _wants_privacy(headers: Headers) -> bool:
    """Whether the caller's identity is not to be shown (RFC 3323 section 4.2, RFC 3325 9.3)."""
    asked = {priv.strip().lower() for value in headers.all("Privacy") for priv in value.split(";")}
    return bool(asked & {"id", "user"}) and "none" not in asked


def _without_verstat(headers: Headers) -> Headers:
    """Take every verstat parameter off From and To: of user part, URI and field alike."""
    for name in ("From", "To"):
        value = shorter = headers.get(name) or ""
        while _VERSTAT.search(shorter):
            shorter = _VERSTAT.sub("", shorter)
        if shorter != value:
            headers = headers.replace(name, shorter)
    return headers


def verdict_record(verdict: CallVerdict) -> dict[str, Any]:
    """Return a verdict as the call record and `--json` show it, with every check."""
    best = verdict.best
    passport = best.passport if best is not None else None
    return {
        "outcome": verdict.outcome,
        "verstat": verdict.verstat,
        "sip_status": verdict.sip_status,
        "reason": verdict.reason.code if verdict.reason is not None else None,
        "orig": _orig(passport),
        "passport": _as_record(passport) if passport is not None else None,
        "checks": [
            {
                "step": check.step,
                "outcome": check.outcome,
                "reason": check.reason.code if check.reason is not None else None,
                "got": check.got,
                "expected": check.expected,
            }
            for check in (best.checks if best is not None else ())
        ],
    }


def _orig(passport: Passport | None) -> str | None:
    orig = passport.payload.get("orig") if passport is not None else None
    number = orig.get("tn") if isinstance(orig, dict) else None
    return f"+{number}" if isinstance(number, str) else None


def _as_record(passport: Passport) -> dict[str, Any]:
    return {"header": dict(passport.header), "payload": dict(passport.payload)}


def _clear(token: str) -> dict[str, Any] | None:
    try:
        return _as_record(parse_passport(token))
    except MalformedPassport:
        return None


def _dated(headers: Headers, date: int | None, now: float) -> Headers:
    """Add the Date the PASSporT goes with; an own user's wrong Date is refused (RFC 8224 4.1)."""
    if "Date" not in headers:
        return headers.append("Date", format_date(now))
    if date is None or abs(date - now) > _MAX_DATE_SKEW:
        raise CallRefused(403, phrase="Stale Date", text="The Date of the request is not now")
    return headers
