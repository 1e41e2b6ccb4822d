"""The checks that need nothing but the request: the token's form, type, claims and age.

In the order of RFC 8224 section 6.2, one function a step; none of them does any I/O, so that a bad
token is refused before a certificate is fetched for it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from stir.certificates.certificate import Problem
from stir.certificates.x5u import UrlRefused, check_url
from stir.checks.inspection import Inspection
from stir.checks.outcomes import failed, passed, skipped
from stir.claims import base_problem
from stir.compact import CannotRebuild, rebuild
from stir.extensions.rcd import has_rich_call_data, rich_call_data_problem
from stir.extensions.registry import EXTENSIONS, SUPPORTED_TYPES, is_supported
from stir.identity import MalformedIdentity, parse_identity
from stir.passport import MalformedPassport, Passport, read_octets, split_token
from stir.reason import Reason, printable
from stir.verdict import Check

# A key that travels with the token proves nothing; none of these is ever looked into.
EMBEDDED_KEYS: Final = ("jwk", "jku", "kid", "x5c", "x5t", "x5t#S256")


def syntax(inspection: Inspection) -> Check:
    """(1) The Identity grammar and the token's three parts; a compact form is rebuilt here."""
    problem = None
    token = inspection.value.strip(" \t")
    if inspection.form == "header":
        try:
            inspection.identity = parse_identity(inspection.value)
            token = inspection.identity.token
        except MalformedIdentity as error:
            # what stands in the token's place is still read, to explain more than the first fault
            token = error.token
            problem = Problem(
                Reason.IDENTITY_MALFORMED, error.problem, "token;info=<uri>;alg=ES256;ppt=type"
            )
    found = _read_token(inspection, token)
    problem = problem or found
    return failed("syntax", problem) if problem else passed("syntax")


def _read_token(inspection: Inspection, token: str) -> Problem | None:
    identity = inspection.identity
    try:
        if identity is not None and identity.is_compact:
            token = rebuild(identity, inspection.facts)
        elif token.startswith(".."):
            raise CannotRebuild("a compact PASSporT without its Identity header field")
        inspection.octets = split_token(token)
        inspection.passport = read_octets(inspection.octets)
    except CannotRebuild as error:
        return Problem(Reason.COMPACT_FORM_UNUSABLE, str(error), "a full-form PASSporT")
    except MalformedPassport as error:
        return Problem(
            Reason.PASSPORT_MALFORMED, error.problem, "header.payload.signature in base64url"
        )
    return None


def type_(inspection: Inspection) -> Check:
    """(2) typ, ppt, and header parameters that have no place in a PASSporT."""
    passport = inspection.passport
    if passport is None:
        return skipped("type", "the token could not be read")
    problem = (
        _header_problem(inspection, passport)
        or _ppt_problem(inspection, passport)
        or _method_problem(inspection, passport)
    )
    return failed("type", problem) if problem else passed("type", passport.ppt or "plain")


def _header_problem(inspection: Inspection, passport: Passport) -> Problem | None:
    header = passport.header
    if header.get("typ") != "passport":
        shown = _short(header["typ"]) if "typ" in header else "no typ"
        return Problem(Reason.WRONG_TYPE, shown, "passport")
    if "crit" in header:
        return Problem(Reason.CRITICAL_HEADER, "crit", "no crit parameter")
    for name in EMBEDDED_KEYS:
        if name in header and not (name == "x5c" and inspection.policy.accept_x5c):
            return Problem(Reason.EMBEDDED_KEY, name, "alg, ppt, typ and x5u only")
    if "ppt" in header and passport.ppt is None:
        return Problem(Reason.WRONG_TYPE, "a ppt that is not text", "a ppt such as shaken")
    return None


def _ppt_problem(inspection: Inspection, passport: Passport) -> Problem | None:
    identity, ppt = inspection.identity, passport.ppt
    # A header without ppt is common on the wire; the token, which is signed, says what it is.
    given = None if identity is None else identity.ppt
    if given is not None and given.lower() != (ppt or "").lower():
        expected = f"ppt={_short(ppt)}" if ppt else "no ppt"
        return Problem(Reason.PPT_MISMATCH, f"ppt={_short(given)}", expected)
    chosen = inspection.policy.supported_types
    if not is_supported(ppt, chosen):
        types = SUPPORTED_TYPES if chosen is None else chosen
        known = ", ".join(sorted(t or "plain" for t in types))
        return Problem(Reason.UNSUPPORTED_PPT, _short(ppt or "plain"), known)
    return None


def _method_problem(inspection: Inspection, passport: Passport) -> Problem | None:
    extension, method = EXTENSIONS.get(passport.ppt or ""), inspection.facts.method
    if extension is None or method is None or method in extension.methods:
        return None
    got = f"{passport.ppt} in {_short(method)}"
    return Problem(Reason.METHOD_MISMATCH, got, ", ".join(sorted(extension.methods)))


def algorithm(inspection: Inspection) -> Check:
    """(3) ES256 in the token and, where given, in the header field."""
    passport, identity = inspection.passport, inspection.identity
    if passport is None:
        return skipped("algorithm", "the token could not be read")
    given = [passport.header.get("alg")]
    if identity is not None and identity.alg is not None:
        given.append(identity.alg.upper())
    for alg in given:
        if alg != "ES256":
            got = "no alg" if alg is None else _short(alg)
            return failed("algorithm", Problem(Reason.UNSUPPORTED_ALGORITHM, got, "ES256"))
    return passed("algorithm", "ES256")


def info(inspection: Inspection) -> Check:
    """(4) x5u is a URL that may be fetched, and info is the same."""
    passport, identity = inspection.passport, inspection.identity
    if passport is None:
        return skipped("info", "the token could not be read")
    url = passport.x5u
    if inspection.policy.accept_x5c and "x5c" in passport.header:
        return passed("info", "x5c")
    if not url:
        return failed("info", Problem(Reason.INFO_MISSING, "no x5u", "an https URL"))
    if identity is not None and identity.info != url:
        return failed("info", Problem(Reason.INFO_MISMATCH, identity.info, url))
    try:
        check_url(url, extra_ports=inspection.policy.extra_ports)
    except UrlRefused as error:
        expected = "an https URL on port 443 or 8443, without user, query or fragment"
        return failed("info", Problem(Reason.INFO_REFUSED, f"the URL {error}", expected))
    return passed("info", url)


def claims(inspection: Inspection) -> Check:
    """(5) The claims that the PASSporT's type must have, each in its form."""
    passport = inspection.passport
    if passport is None:
        return skipped("claims", "the token could not be read")
    problem = base_problem(passport.payload)
    extension = EXTENSIONS.get(passport.ppt or "")
    if problem is None and extension is not None:
        problem = extension.claims_problem(passport.payload)
    if problem is None and has_rich_call_data(passport.payload):
        problem = rich_call_data_problem(passport.payload)
    return failed("claims", problem) if problem else passed("claims")


def freshness(inspection: Inspection) -> Check:
    """(6) iat within the freshness of now, either way; a passed `exp` is stale too.

    A call may ring long before it is forwarded, so that policy may let an original be older than
    the div PASSporT on top of it (RFC 8946 section 4.2); never newer, and the last one is fresh.
    """
    passport = inspection.passport
    iat = None if passport is None else passport.iat
    if passport is None or iat is None:
        return skipped("freshness", "no iat to judge by")
    future = limit = inspection.policy.freshness
    if inspection.diverted_later:
        limit = max(limit, inspection.policy.diverted_freshness or 0)
    age = inspection.now - iat
    if not -future <= age <= limit:
        got = _age(round(age))
        return failed("freshness", Problem(Reason.STALE_DATE, got, f"at most {limit:g} s"))
    expiry = passport.payload.get("exp")
    if type(expiry) is int and inspection.now > expiry:
        late = f"expired {inspection.now - expiry:.0f} s ago"
        return failed("freshness", Problem(Reason.STALE_DATE, late, "before exp"))
    return passed("freshness", _age(round(age)))


@lru_cache(maxsize=256)
def _age(age: int) -> str:
    seconds = abs(age)
    shown = f"{seconds} s" if seconds < 7200 else f"{seconds} s ({seconds / 86400:.1f} days)"
    return f"{shown} {'old' if age >= 0 else 'in the future'}"


def _short(value: object) -> str:
    return printable(value, 64) if isinstance(value, str) else type(value).__name__
