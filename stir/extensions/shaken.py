"""``shaken``: who attests what about the caller (RFC 8588)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from stir.certificates.certificate import Problem
from stir.claims import malformed, missing
from stir.extensions.extension import Extension

_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def _claims(payload: Mapping[str, object]) -> Problem | None:
    """RFC 8588 sections 4 and 5: attest A, B or C; origid a UUID; the originator a number."""
    for name in ("attest", "origid"):
        if name not in payload:
            return missing(name)
    if payload["attest"] not in ("A", "B", "C"):
        return malformed("attest", payload["attest"], "attest: A, B or C")
    origid = payload["origid"]
    if not isinstance(origid, str) or _UUID.fullmatch(origid) is None:
        return malformed("origid", origid, "origid: a UUID")
    orig = payload["orig"]
    if isinstance(orig, dict) and "tn" not in orig:
        return malformed("orig", orig, "orig: a telephone number, in shaken")
    return None


# No request method is excluded by RFC 8588; messages are signed with it as well.
SHAKEN: Final = Extension(
    ppt="shaken",
    claims_problem=_claims,
    proves_caller=True,
    methods=frozenset({"INVITE", "MESSAGE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"}),
)
