"""The base claims of a PASSporT: what must be there and in what form (RFC 8225 section 5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from stir.certificates.certificate import Problem
from stir.media_keys import read_media_keys
from stir.reason import Reason
from stir.telephone_number import canonical_uri, canonicalise, number_in_uri

MAX_DESTINATIONS: Final = 256


def identities(claim: object) -> frozenset[str]:
    """The canonical numbers and URIs of an `orig` or `dest` claim, numbers as bare digits."""
    if not isinstance(claim, dict):
        return frozenset()
    only = claim.get("tn") if len(claim) == 1 else None
    if isinstance(only, list) and len(only) == 1:
        (only,) = only
    if isinstance(only, str):  # one number: nearly every orig and dest
        number = canonicalise(only)
        return frozenset() if number is None else frozenset((number,))
    found = [canonicalise(text) for text in _texts(claim.get("tn"))]
    found += [canonical_uri(text) or text for text in _texts(claim.get("uri"))]
    return frozenset(text for text in found if text is not None)


def identity_of(text: str) -> frozenset[str]:
    """What a URI or number of a request may appear as in a claim: its number, and its URI."""
    number, uri = number_in_uri(text), canonical_uri(text)
    bare = canonicalise(text) if uri is None else None
    # an emergency call goes to urn:service:sos (RFC 9027 section 3)
    urn = text if uri is None and text[:4].lower() == "urn:" else None
    return frozenset(found for found in (number, uri, bare, urn) if found is not None)


def base_problem(payload: Mapping[str, object]) -> Problem | None:
    """Return what is wrong with the claims every PASSporT has (RFC 8225 section 5), or None."""
    for name in ("iat", "orig", "dest"):
        if name not in payload:
            return missing(name)
    if type(payload["iat"]) is not int or payload["iat"] < 0:
        return malformed("iat", payload["iat"], "iat: an integer of epoch seconds")
    orig = payload["orig"]
    if not isinstance(orig, dict) or len(orig) != 1 or not _one_identity(orig):
        return malformed("orig", orig, 'orig: {"tn":"12155550112"} or {"uri":"sip:..."}')
    if not _destinations(payload["dest"]):
        return malformed("dest", payload["dest"], 'dest: {"tn":["12155550113"]}, arrays')
    if "mky" in payload and read_media_keys(payload["mky"]) is None:
        return malformed("mky", payload["mky"], 'mky: [{"alg":"sha-256","dig":"<upper-case hex>"}]')
    return None


def _texts(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [text for text in values if isinstance(text, str)]


def _one_identity(claim: Mapping[str, object]) -> bool:
    number, uri = claim.get("tn"), claim.get("uri")
    if isinstance(number, str):
        return canonicalise(number) is not None
    return isinstance(uri, str) and _is_uri(uri)


def _destinations(claim: object) -> bool:
    if not isinstance(claim, dict) or not claim or not claim.keys() <= {"tn", "uri"}:
        return False
    for name, values in claim.items():
        if not isinstance(values, list) or not 0 < len(values) <= MAX_DESTINATIONS:
            return False
        for value in values:
            if not isinstance(value, str):
                return False
            if canonicalise(value) is None if name == "tn" else not _is_uri(value):
                return False
    return True


def _is_uri(text: str) -> bool:
    scheme, colon, rest = text.partition(":")
    return bool(colon and rest) and scheme.isascii() and scheme[:1].isalpha()


def missing(name: str) -> Problem:
    """The Problem of a claim that has to be there."""
    return Problem(Reason.CLAIM_MISSING, f"no {name} claim", f"the {name} claim")


def malformed(name: str, value: object, expected: str) -> Problem:
    """The Problem of a claim that does not fit what is `expected`; its value is not quoted."""
    kind = {str: "text", dict: "an object", list: "an array", int: "an integer", bool: "a boolean"}
    shown = kind.get(type(value), "null")
    return Problem(Reason.CLAIM_MALFORMED, f"{name}: {shown} that does not fit", expected)
