"""The checks that need the credential: its fitness, chain and authority, the signature, and then
whether the signed claims are those of this request.

In the order of RFC 8224 section 6.2, one function a step.
"""

from __future__ import annotations

from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from stir.certificates.certificate import ES256, BareKey, Credential, CredentialUnavailable, Problem
from stir.certificates.chain import validity_of_issuers
from stir.certificates.tn_auth_list import Entry, Range, Spc, TnAuthList
from stir.checks.inspection import Inspection, Step
from stir.checks.token_steps import failed, passed, skipped
from stir.claims import identities, identity_of
from stir.media_keys import canonical_fingerprint, read_media_keys
from stir.passport import SIGNATURE_SIZE, Passport
from stir.reason import Reason
from stir.telephone_number import canonical_uri, canonicalise, number_of
from stir.verdict import Check


def credential(inspection: Inspection) -> Check:
    """(7) The certificate could be had and its leaf may sign PASSporTs at this time."""
    found = inspection.credential
    if found is None:
        return skipped("credential", "no certificate or key given")
    if isinstance(found, BareKey):
        return skipped("credential", "a bare public key, no certificate")
    if isinstance(found, CredentialUnavailable):
        expected = "a certificate chain at the x5u URL"
        got = f"{found.detail} ({found.culprit})"
        if found.reason is Reason.CREDENTIAL_UNAVAILABLE:
            return Check("credential", "unavailable", found.reason, got, expected)
        return failed("credential", Problem(found.reason, got, expected))
    problem = found.problem or found.validity_problem(inspection.now)
    if problem is not None:
        return failed("credential", problem)
    return passed("credential", found.subject)


def chain(inspection: Inspection) -> Check:
    """(8) A path leads to a trust anchor, and every issuer on it is valid now."""
    found = inspection.credential
    if not isinstance(found, Credential):
        return skipped("chain", "no certificate to build a path from")
    if inspection.find_path is None:
        return skipped("chain", "no trust anchor given")
    path = inspection.path = inspection.find_path(found)
    problem = path.problem or validity_of_issuers(path, inspection.now)
    if problem is not None:
        return failed("chain", problem)
    return passed("chain", f"{len(path.certificates)} certificates to a trust anchor")


def authority(inspection: Inspection) -> Check:
    """(9) The TNAuthList gives its holder the right to the originating number (RFC 8226)."""
    found, passport = inspection.credential, inspection.passport
    if not isinstance(found, Credential):
        return skipped("authority", "no certificate with a TNAuthList given")
    if passport is None:
        return skipped("authority", "the token could not be read")
    if inspection.path is not None and inspection.path.delegation_problem is not None:
        return failed("authority", inspection.path.delegation_problem)
    orig = passport.payload.get("orig")
    uri = orig.get("uri") if isinstance(orig, dict) else None
    if isinstance(uri, str):
        return _domain_authority(found.leaf, uri)
    if found.tn_auth_list is None:
        assert found.authority_problem is not None
        return failed("authority", found.authority_problem)
    number = canonicalise(passport.orig_number or "")
    if number is None:
        return skipped("authority", "no originating number to look up")
    return _number_authority(inspection, found.tn_auth_list, number, passport.attest)


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


def _domain_authority(leaf: x509.Certificate, uri: str) -> Check:
    """A URI originator is covered by a dNSName of its domain (RFC 8224 section 7.2)."""
    domain = (canonical_uri(uri) or "").rpartition("@")[2].rpartition(":")[2]
    names: list[str] = []
    for extension in leaf.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            names = extension.value.get_values_for_type(x509.DNSName)
    if domain and domain in (name.lower() for name in names):
        return passed("authority", f"the certificate is for {domain}")
    got = ", ".join(names[:4]) or "no dNSName"
    return failed("authority", Problem(Reason.AUTHORITY_NOT_COVERED, got, domain or "a domain"))


def signature(inspection: Inspection) -> Check:
    """(10) The ES256 signature over the octets as received (RFC 7515 section 5.2)."""
    octets, found = inspection.octets, inspection.credential
    if octets is None:
        return skipped("signature", "the token could not be read")
    key = found.public_key if isinstance(found, Credential | BareKey) else None
    if key is None:
        return skipped("signature", "no key to verify with")
    raw, expected = octets.signature, "an ES256 signature by the credential's key"
    if len(raw) != SIGNATURE_SIZE:
        got = f"{len(raw)} octets"
        return failed("signature", Problem(Reason.SIGNATURE_INVALID, got, "64 octets"))
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    try:
        key.verify(der, octets.signing_input, ES256)
    except InvalidSignature:
        got = "a signature that does not verify"
        return failed("signature", Problem(Reason.SIGNATURE_INVALID, got, expected))
    return passed("signature")


def originator(inspection: Inspection) -> Check:
    """(11) orig is the P-Asserted-Identity or From of this request."""
    return _compare(
        inspection,
        "originator",
        "orig",
        inspection.facts.orig_candidates,
        Reason.ORIGINATOR_MISMATCH,
    )


def destination(inspection: Inspection) -> Check:
    """(12) dest holds the To or Request-URI of this request."""
    return _compare(
        inspection,
        "destination",
        "dest",
        inspection.facts.dest_candidates,
        Reason.DESTINATION_MISMATCH,
    )


def _compare(
    inspection: Inspection,
    step: str,
    claim: str,
    candidates: tuple[str, ...] | None,
    reason: Reason,
) -> Check:
    if inspection.passport is None:
        return skipped(step, "the token could not be read")
    if candidates is None:
        return skipped(step, "no request or number given to compare with")
    signed = identities(inspection.passport.payload.get(claim))
    for text in candidates:
        number = number_of(text)
        if number in signed:
            return passed(step, number)
    present = frozenset[str]().union(*map(identity_of, candidates))
    if signed & present:
        return passed(step, ", ".join(sorted(signed & present)))
    got = ", ".join(sorted(signed)[:4]) or "no identity"
    expected = ", ".join(sorted(present)[:4]) or "an identity in the request, and there is none"
    return failed(step, Problem(reason, got, expected))


def media_keys(inspection: Inspection) -> Check:
    """(13) Every fingerprint of the SDP is in mky: no key was exchanged on the way."""
    passport, offered = inspection.passport, inspection.facts.fingerprints
    if passport is None:
        return skipped("media_keys", "the token could not be read")
    if "mky" not in passport.payload:
        if offered and inspection.policy.require_media_keys:
            return failed(
                "media_keys", Problem(Reason.MEDIA_KEYS_MISSING, "no mky claim", "mky required")
            )
        return skipped("media_keys", "no mky claim")
    if offered is None:
        return skipped("media_keys", "no SDP given to compare with")
    signed = read_media_keys(passport.payload["mky"]) or frozenset()
    present = {canonical_fingerprint(*fingerprint) for fingerprint in offered}
    if present and present <= signed:
        return passed("media_keys", f"{len(present)} of {len(signed)} fingerprints")
    got = f"{len(present - signed)} fingerprints not signed" if present else "no fingerprint in SDP"
    expected = ", ".join(f"{alg} {dig[:8]}..." for alg, dig in sorted(signed)[:2])
    return failed("media_keys", Problem(Reason.MEDIA_KEYS_MISMATCH, got, expected))


def replay(inspection: Inspection) -> Check:
    """(14) No other call used this PASSporT; only an otherwise valid one is remembered."""
    passport, cache = inspection.passport, inspection.replay
    if passport is None or cache is None:
        return skipped("replay", "no memory of earlier calls here")
    if inspection.stopped:
        return skipped("replay", "an earlier check did not pass")
    keep = _remaining(inspection, passport)
    if cache.admit(passport.digest, inspection.facts.call_id, inspection.now, keep):
        return passed("replay")
    return failed(
        "replay", Problem(Reason.REPLAYED, "a PASSporT seen in another call", "a fresh PASSporT")
    )


def _remaining(inspection: Inspection, passport: Passport) -> float:
    """Seconds until the PASSporT is stale anyway, one more for the clock's fraction."""
    iat = passport.iat if passport.iat is not None else inspection.now
    return max(0.0, iat + inspection.policy.freshness - inspection.now) + 1.0


CREDENTIAL_STEPS: Final[tuple[tuple[str, Step], ...]] = (
    ("credential", credential),
    ("chain", chain),
    ("authority", authority),
    ("signature", signature),
    ("originator", originator),
    ("destination", destination),
    ("media_keys", media_keys),
    ("replay", replay),
)
