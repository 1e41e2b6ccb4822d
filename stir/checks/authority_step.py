"""The check of the right to use a number: TNAuthList, provider codes by policy, domains."""

from __future__ import annotations

from cryptography import x509

from stir.certificates.certificate import Credential, Problem
from stir.certificates.tn_auth_list import Entry, Range, Spc, TnAuthList
from stir.checks.inspection import Inspection
from stir.checks.outcomes import failed, passed, skipped
from stir.diversion import DIV, DIV_O
from stir.extensions.extension import originating_number
from stir.extensions.registry import EXTENSIONS
from stir.reason import Reason, printable
from stir.telephone_number import canonical_uri, canonicalise
from stir.verdict import Check


def authority(inspection: Inspection) -> Check:
    """(9) The TNAuthList gives its holder the right to the originating number (RFC 8226)."""
    found, passport = inspection.credential, inspection.passport
    if not isinstance(found, Credential):
        return skipped("authority", "no certificate with a TNAuthList given")
    if passport is None:
        return skipped("authority", "the token could not be read")
    if inspection.path is not None and inspection.path.delegation_problem is not None:
        return _refused(inspection.path.delegation_problem)
    # Who diverts a call signs for its number or URI, not for the caller's (RFC 8946 section 3).
    signer = passport.payload.get("div" if passport.ppt in (DIV, DIV_O) else "orig")
    uri = signer.get("uri") if isinstance(signer, dict) else None
    extension = EXTENSIONS.get(passport.ppt or "")
    written = extension.signer_number(passport) if extension else originating_number(passport)
    if isinstance(uri, str) and written is None:
        return _domain_authority(inspection, found.leaf, uri)
    problem, granted = found.authority_problem, found.tn_auth_list
    if granted is None:
        assert problem is not None
        return _refused(problem)
    number = canonicalise(written or "")
    if number is None:
        return skipped("authority", "no originating number to look up")
    if problem is not None and not granted.covers(number):
        return _refused(problem)
    # In no other type does attest say how much is claimed, whatever stands there.
    attest = passport.attest if passport.ppt == "shaken" else None
    check = _number_authority(inspection, granted, number, attest)
    for above in inspection.path.tn_auth_lists if inspection.path is not None else ():
        if check.outcome == "passed":
            # a delegate has no more than each authority above it would be believed (RFC 9060)
            held = _number_authority(inspection, above, number, attest)
            check = check if held.outcome == "passed" else held
    return check


def _refused(problem: Problem) -> Check:
    """A list that could not be fetched is nothing against the peer: unavailable, not failed."""
    if problem.reason is Reason.AUTHORITY_UNAVAILABLE:
        got, expected = printable(problem.got, 400), printable(problem.expected, 400)
        return Check("authority", "unavailable", problem.reason, got, expected)
    return failed("authority", problem)


def _number_authority(
    inspection: Inspection, granted: TnAuthList, number: str, attest: str | None
) -> Check:
    """Numbers and ranges decide; provider codes by policy.

    A list that names numbers is held to them: a code beside them adds none unless policy names
    the code. B and C attestations claim no right to the number (RFC 8588 section 4), so for those
    an accepted code suffices.
    """
    policy = inspection.policy
    if granted.covers(number):
        return passed("authority", f"the TNAuthList covers {number}")
    codes, accepted = granted.codes, policy.accept_service_provider_codes
    known = codes & policy.service_provider_numbers.keys()
    if any(number in policy.service_provider_numbers[code] for code in known):
        return passed("authority", f"{number} belongs to provider {', '.join(sorted(known))}")
    usable = codes if accepted is None else codes & accepted
    claims_number = attest not in ("B", "C")
    if usable and not claims_number:
        shown = ", ".join(sorted(usable))
        return passed("authority", f"provider {shown}; attestation {attest} claims no number")
    usable -= known
    if usable and (accepted is not None or not granted.names_numbers):
        return passed("authority", f"provider code {', '.join(sorted(usable))} accepted by policy")
    shown = _describe(granted)
    if codes and not granted.names_numbers and not known:
        return failed(
            "authority",
            Problem(Reason.AUTHORITY_CODE_REFUSED, shown, "a provider code accepted by policy"),
        )
    return failed(
        "authority", Problem(Reason.AUTHORITY_NOT_COVERED, shown, f"an entry for {number}")
    )


def _describe(granted: TnAuthList) -> str:
    shown = [_describe_entry(entry) for entry in granted.entries[:4]]
    more = len(granted.entries) - len(shown)
    return "; ".join(shown) + (f"; {more} more" if more else "")


def _describe_entry(entry: Entry) -> str:
    if isinstance(entry, Spc):
        return f"provider {entry.code}"
    if isinstance(entry, Range):
        return f"{entry.start} and {entry.count - 1} following"
    return entry.number


def _domain_authority(inspection: Inspection, leaf: x509.Certificate, uri: str) -> Check:
    """A URI originator is covered by a dNSName of its domain (RFC 8224 section 7.2).

    An authority with a TNAuthList of its own was granted numbers to delegate; domains only where
    its name constraints permit them.
    """
    domain = (canonical_uri(uri) or "").rpartition("@")[2].rpartition(":")[2]
    names: list[str] = []
    for extension in leaf.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            names = extension.value.get_values_for_type(x509.DNSName)
    got = ", ".join(names[:4]) or "no dNSName"
    if domain and domain in (name.lower() for name in names):
        if inspection.path is None or inspection.path.delegates_domains:
            return passed("authority", f"the certificate is for {domain}")
        got = "a certificate by a delegate that was granted numbers only"
    return failed("authority", Problem(Reason.AUTHORITY_NOT_COVERED, got, domain or "a domain"))
