"""The checks of the signed claims against the request they came in.

In the order of RFC 8224 section 6.2, one function a step.
"""

from __future__ import annotations

import hashlib

from stir.certificates.certificate import Problem
from stir.checks.diversion_step import broken_trail, called_identities
from stir.checks.inspection import Inspection
from stir.checks.outcomes import failed, passed, skipped
from stir.claims import identities, identity_of
from stir.diversion import DIV, DIV_O, leg_of
from stir.media_keys import canonical_fingerprint, read_media_keys
from stir.passport import Passport
from stir.reason import Reason
from stir.strict_json import canonical
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
    """(12) dest holds the To or Request-URI of this request, or a trail of diversions leads there.

    Where the request is diverted, only the Request-URI counts (RFC 8946 section 4.2). A div
    PASSporT that does not name it may be one on the way: its own step tells.
    """
    step, trail = "destination", inspection.trail
    diverted = trail is not None or inspection.ppt in (DIV, DIV_O)
    candidates = called_identities(inspection.facts, diverted=diverted)
    check = _compare(inspection, step, "dest", candidates, Reason.DESTINATION_MISMATCH)
    if inspection.ppt == DIV:
        here = check.outcome == "passed"
        return check if here else skipped(step, "the step div follows the diversions")
    if trail is None or inspection.passport is None or check.outcome == "skipped":
        return check
    broken = broken_trail(step, trail)
    if broken is not None:
        return broken
    if len(trail.passports) > 1:
        return passed(step, f"diverted {len(trail.passports) - 1} times to the called number")
    if inspection.diverted_later and _is_aged(inspection):
        expected = "a diversion that leads to the called number, for a PASSporT this old"
        return failed(step, Problem(Reason.DIVERSION_BROKEN, "no such diversion", expected))
    return check


def _is_aged(inspection: Inspection) -> bool:
    iat = None if inspection.passport is None else inspection.passport.iat
    return iat is not None and inspection.now - iat > inspection.policy.freshness


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
    """(13) Every fingerprint of the SDP is in mky: no key was exchanged on the way.

    Who diverts a call stands in the callee's place and may take the media with it: of a valid
    trail, the last PASSporT with mky says which keys are offered here.
    """
    passport, offered = inspection.passport, inspection.facts.fingerprints
    if passport is None:
        return skipped("media_keys", "the token could not be read")
    later = inspection.trail.later(passport) if inspection.trail is not None else ()
    signer = next((each for each in reversed(later) if "mky" in each.payload), passport)
    if "mky" not in signer.payload:
        diverts = inspection.ppt in (DIV, DIV_O)
        if offered and inspection.policy.require_media_keys and not diverts:
            return failed(
                "media_keys", Problem(Reason.MEDIA_KEYS_MISSING, "no mky claim", "mky required")
            )
        return skipped("media_keys", "no mky claim")
    if offered is None:
        return skipped("media_keys", "no SDP given to compare with")
    signed = read_media_keys(signer.payload["mky"]) or frozenset()
    present = {canonical_fingerprint(*fingerprint) for fingerprint in offered}
    if present and present <= signed:
        return passed("media_keys", f"{len(present)} of {len(signed)} fingerprints")
    got = f"{len(present - signed)} fingerprints not signed" if present else "no fingerprint in SDP"
    expected = ", ".join(f"{alg} {dig[:8]}..." for alg, dig in sorted(signed)[:2])
    return failed("media_keys", Problem(Reason.MEDIA_KEYS_MISMATCH, got, expected))


def replay(inspection: Inspection) -> Check:
    """(14) No other call used this PASSporT; only an otherwise valid one is remembered.

    A call may be forwarded to several numbers at once (RFC 8946 section 4.1): a diverted PASSporT
    is remembered with the trail it came on, so that each of them may show the same original once.
    """
    passport, cache = inspection.passport, inspection.replay
    if passport is None or cache is None:
        return skipped("replay", "no memory of earlier calls here")
    if inspection.stopped:
        return skipped("replay", "an earlier check did not pass")
    keep = _remaining(inspection, passport)
    if cache.admit(
        _replay_key(inspection, passport), inspection.facts.call_id, inspection.now, keep
    ):
        return passed("replay")
    return failed(
        "replay", Problem(Reason.REPLAYED, "a PASSporT seen in another call", "a fresh PASSporT")
    )


def _replay_key(inspection: Inspection, passport: Passport) -> bytes:
    trail = inspection.trail.passports if inspection.trail is not None else ()
    if inspection.ppt == DIV_O and inspection.nested_trail is not None:
        trail = (*inspection.nested_trail.passports[:-1], *trail)
    if len(trail) < 2:
        return passport.digest
    # by its numbers: who diverts could sign the same way anew at every call
    legs = [leg_of(each) for each in trail[1:]]
    way = canonical([[sorted(leg.div), sorted(leg.dest)] for leg in legs])
    own = passport.digest if inspection.ppt == DIV else b""
    return hashlib.sha256(own + trail[0].digest + way).digest()


def _remaining(inspection: Inspection, passport: Passport) -> float:
    """Seconds until the PASSporT is stale anyway, one more for the clock's fraction."""
    policy = inspection.policy
    iat = passport.iat if passport.iat is not None else inspection.now
    keep = max(policy.freshness, policy.diverted_freshness or 0)
    return max(0.0, iat + keep - inspection.now) + 1.0
