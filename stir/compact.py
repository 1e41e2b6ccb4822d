"""The compact form: a PASSporT whose header and payload the verifier rebuilds (RFC 8225 7)."""

from __future__ import annotations

from stir.checks.inspection import CallFacts
from stir.identity import Identity
from stir.media_keys import media_keys_claim
from stir.passport import MalformedPassport, signing_input
from stir.telephone_number import canonical_uri, number_of


class CannotRebuild(ValueError):
    """The request does not hold what the compact form left out; the message says what."""


def rebuild(identity: Identity, facts: CallFacts) -> str:
    """Return the full form of a compact Identity; raises CannotRebuild (RFC 8224 section 4.1).

    Header from ``info``, `orig` from From, `dest` from To, `iat` from Date, `mky` from the SDP.
    Only plain PASSporTs can be compact: no header field carries the claims of an extension, and
    SHAKEN forbids it (RFC 8588 section 7).
    """
    if identity.ppt is not None:
        raise CannotRebuild(f"a compact PASSporT of type {identity.ppt[:32]}")
    if facts.date is None:
        raise CannotRebuild("a compact PASSporT without a Date header field")
    if not facts.orig_candidates or not facts.dest_candidates:
        raise CannotRebuild("a compact PASSporT without From or To")
    header: dict[str, object] = {"alg": "ES256", "typ": "passport", "x5u": identity.info}
    name, orig = _identity(facts.orig_candidates[-1])
    dest_name, dest = _identity(facts.dest_candidates[0])
    payload: dict[str, object] = {
        "dest": {dest_name: [dest]},
        "iat": facts.date,
        "orig": {name: orig},
    }
    try:
        if facts.fingerprints:
            payload["mky"] = media_keys_claim(facts.fingerprints)
        octets = signing_input(header, payload)
    except (ValueError, MalformedPassport) as error:
        raise CannotRebuild(str(error)) from None
    return f"{octets.decode('ascii')}.{identity.token[2:]}"


def _identity(text: str) -> tuple[str, str]:
    number = number_of(text)
    if number is not None:
        return "tn", number
    uri = canonical_uri(text)
    if uri is None:
        raise CannotRebuild("a compact PASSporT for something that is no number or SIP URI")
    return "uri", uri
