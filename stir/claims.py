"""The claims of each PASSporT type: what must be there and in what form."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from stir.certificates.certificate import Problem
from stir.media_keys import read_media_keys
from stir.reason import Reason
from stir.telephone_number import canonical_uri, canonicalise, number_in_uri

MAX_DESTINATIONS: Final = 256
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")

ClaimsCheck = Callable[[Mapping[str, object]], Problem | None]


def claims_problem(payload: Mapping[str, object], ppt: str | None) -> Problem | None:
    """Return what is wrong with a payload of type `ppt`, or None.

    Base claims first (RFC 8225 section 5), then the extension's own; a type without checks of its
    own here gets the base ones.
    """
    base = _base(payload)
    extension = None if ppt is None else EXTENSIONS.get(ppt)
    return base if base is not None or extension is None else extension(payload)


def identities(claim: object) -> frozenset[str]:
    """The canonical numbers and URIs of an `orig` or `dest` claim, numbers as bare digits."""
    if not isinstance(claim, dict):
        return frozenset()
    found = [canonicalise(text) for text in _texts(claim.get("tn"))]
    found += [canonical_uri(text) or text for text in _texts(claim.get("uri"))]
    return frozenset(text for text in found if text is not None)


def identity_of(text: str) -> frozenset[str]:
    """What a URI or number of a request may appear as in a claim: its number, and its URI."""
    number, uri = number_in_uri(text), canonical_uri(text)
    bare = canonicalise(text) if uri is None else None
    return frozenset(found for found in (number, uri, bare) if found is not None)


def _base(payload: Mapping[str, object]) -> Problem | None:
    for name in ("iat", "orig", "dest"):
        if name not in payload:
            return _missing(name)
    if type(payload["iat"]) is not int or payload["iat"] < 0:
        return _malformed("iat", payload["iat"], "iat: an integer of epoch seconds")
    orig = payload["orig"]
    if not isinstance(orig, dict) or len(orig) != 1 or not _one_identity(orig):
        return _malformed("orig", orig, 'orig: {"tn":"12155550112"} or {"uri":"sip:..."}')
    if not _destinations(payload["dest"]):
        return _malformed("dest", payload["dest"], 'dest: {"tn":["12155550113"]}, arrays')
    if "mky" in payload and read_media_keys(payload["mky"]) is None:
        return _malformed(
            "mky", payload["mky"], 'mky: [{"alg":"sha-256","dig":"<upper-case hex>"}]'
        )
    return None


def _shaken(payload: Mapping[str, object]) -> Problem | None:
    """RFC 8588 sections 4 and 5: attest A, B or C; origid a UUID; the originator a number."""
    for name in ("attest", "origid"):
        if name not in payload:
            return _missing(name)
    if payload["attest"] not in ("A", "B", "C"):
        return _malformed("attest", payload["attest"], "attest: A, B or C")
    origid = payload["origid"]
    if not isinstance(origid, str) or _UUID.fullmatch(origid) is None:
        return _malformed("origid", origid, "origid: a UUID")
    orig = payload["orig"]
    if isinstance(orig, dict) and "tn" not in orig:
        return _malformed("orig", orig, "orig: a telephone number, in shaken")
    return None


EXTENSIONS: Final[Mapping[str, ClaimsCheck]] = MappingProxyType({"shaken": _shaken})


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


def _missing(name: str) -> Problem:
    return Problem(Reason.CLAIM_MISSING, f"no {name} claim", f"the {name} claim")


def _malformed(name: str, value: object, expected: str) -> Problem:
    kind = {str: "text", dict: "an object", list: "an array", int: "an integer", bool: "a boolean"}
    shown = kind.get(type(value), "null")
    return Problem(Reason.CLAIM_MALFORMED, f"{name}: {shown} that does not fit", expected)
