"""The checks of the signed claims against the request they came in.

In the order of RFC 8224 section 6.2, one function a step.
"""

from __future__ import annotations

from stir.certificates.certificate import Problem
from stir.checks.inspection import Inspection
from stir.checks.outcomes import failed, passed, skipped
from stir.claims import identities, identity_of
from stir.media_keys import canonical_fingerprint, read_media_keys
from stir.passport import Passport
from stir.reason import Reason
from stir.telephone_number import number_of
from stir.verdict import Check


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
