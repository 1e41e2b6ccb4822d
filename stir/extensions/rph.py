"""``rph``: who may ask for priority (RFC 8443), and emergency callbacks with ``sph`` (RFC 9027)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from stir.certificates.certificate import Credential, Problem
from stir.checks.inspection import Inspection
from stir.checks.outcomes import failed, passed, skipped
from stir.claims import malformed, missing
from stir.extensions.extension import Extension
from stir.passport import Passport
from stir.reason import Reason
from stir.verdict import Check

# What is asserted: a right to the priority; the origin of an emergency call; a callback to one.
ASSERTIONS: Final = ("auth", "ESorig", "EScallback")
CALLBACK: Final = "psap-callback"
MAX_VALUES: Final = 32
_R_VALUE: Final = re.compile(r"[A-Za-z0-9\-!%*_+`'~]+\.[A-Za-z0-9\-!%*_+`'~]+")


def resource_priorities(payload: Mapping[str, object]) -> frozenset[str]:
    """Return the Resource-Priority values an rph claim asserts, in lower case."""
    claim = payload.get("rph")
    if not isinstance(claim, dict):
        return frozenset()
    lists = (values for values in claim.values() if isinstance(values, list))
    return frozenset(text.lower() for values in lists for text in values if isinstance(text, str))


def namespaces(values: frozenset[str]) -> frozenset[str]:
    """Return the namespaces of Resource-Priority values: what stands before the dot."""
    return frozenset(value.partition(".")[0] for value in values)


def is_resource_priority(text: str) -> bool:
    """Whether a text is a Resource-Priority value, ``namespace.priority`` (RFC 4412 section 3)."""
    return _R_VALUE.fullmatch(text) is not None


def _claims(payload: Mapping[str, object]) -> Problem | None:
    """RFC 8443 section 3, RFC 9027 sections 3 and 4."""
    if "rph" not in payload:
        return missing("rph")
    claim = payload["rph"]
    expected = 'rph: {"auth":["ets.0"]}, or ESorig, or EScallback'
    if not isinstance(claim, dict) or not claim or not claim.keys() <= set(ASSERTIONS):
        return malformed("rph", claim, expected)
    for values in claim.values():
        if not isinstance(values, list) or not 0 < len(values) <= MAX_VALUES:
            return malformed("rph", claim, expected)
        if not all(isinstance(text, str) and is_resource_priority(text) for text in values):
            return malformed("rph", claim, expected)
    if "sph" in payload and payload["sph"] != CALLBACK:
        return malformed("sph", payload["sph"], f"sph: {CALLBACK}")
    return None


def _priority_authority(inspection: Inspection) -> Check:
    """The signer may speak for each namespace: by policy, since no certificate says so."""
    step, passport = "priority_authority", inspection.passport
    granted, found = inspection.policy.priority_authorities, inspection.credential
    if passport is None:
        return skipped(step, "the token could not be read")
    if granted is None:
        return skipped(step, "no authorities of priority namespaces given")
    if not isinstance(found, Credential):
        return skipped(step, "no certificate given")
    codes = found.tn_auth_list.codes if found.tn_auth_list is not None else frozenset[str]()
    names = codes | {found.fingerprint.hex()}
    for namespace in sorted(namespaces(resource_priorities(passport.payload))):
        if not names & granted.get(namespace, frozenset()):
            shown = f"provider {', '.join(sorted(codes)[:4])}" if codes else "no provider code"
            wanted = f"an authority for the namespace {namespace}"
            return failed(step, Problem(Reason.PRIORITY_AUTHORITY, shown, wanted))
    return passed(step)


def _resource_priority(inspection: Inspection) -> Check:
    """The header field's values are those of the claim, in each namespace the claim speaks of.

    A header field with several namespaces has a PASSporT of each authority (RFC 8443 section 3).
    """
    step, passport = "resource_priority", inspection.passport
    sent = inspection.facts.resource_priority
    if passport is None:
        return skipped(step, "the token could not be read")
    if sent is None:
        return skipped(step, "no request given to compare with")
    signed = resource_priorities(passport.payload)
    known = namespaces(signed)
    present = frozenset(text for text in map(str.lower, sent) if text.partition(".")[0] in known)
    if present == signed:
        return passed(step, ", ".join(sorted(signed)[:4]))
    got = ", ".join(sorted(present)[:4]) or "no such Resource-Priority value"
    expected = ", ".join(sorted(signed)[:4])
    return failed(step, Problem(Reason.RESOURCE_PRIORITY_MISMATCH, got, expected))


def _priority(inspection: Inspection) -> Check:
    """The Priority header field is the one that sph signs (RFC 9027 section 4)."""
    step, passport, sent = "priority", inspection.passport, inspection.facts.priority
    if passport is None:
        return skipped(step, "the token could not be read")
    signed = passport.payload.get("sph")
    if not isinstance(signed, str):
        return skipped(step, "no sph claim")
    if sent is None:
        return skipped(step, "no request given to compare with")
    if sent.lower() == signed:
        return passed(step, signed)
    return failed(step, Problem(Reason.PRIORITY_MISMATCH, sent or "no Priority", signed))


def _no_number(_passport: Passport) -> str | None:
    """The credential has authority over a namespace, not over the number (RFC 8443 section 3)."""
    return None


RPH: Final = Extension(
    ppt="rph",
    claims_problem=_claims,
    signer_number=_no_number,
    methods=frozenset({"INVITE", "MESSAGE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER", "INFO"}),
    steps=(
        ("priority_authority", _priority_authority),
        ("resource_priority", _resource_priority),
        ("priority", _priority),
    ),
)
