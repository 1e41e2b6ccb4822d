"""``div`` and ``div-o``: a call was diverted from one number to another (RFC 8946)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from stir.certificates.certificate import Problem
from stir.checks.diversion_step import diversion
from stir.claims import identities, malformed, missing
from stir.diversion import DIV, DIV_O
from stir.extensions.extension import Extension, claimed_number
from stir.passport import MAX_TOKEN, Passport

_METHODS: Final = frozenset({"INVITE", "MESSAGE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"})


def _div_problem(payload: Mapping[str, object]) -> Problem | None:
    """RFC 8946 sections 3 and 8: one identity, and perhaps `hi`, its History-Info index."""
    if "div" not in payload:
        return missing("div")
    claim, expected = payload["div"], 'div: {"tn":"12125550123"} or {"uri":"sip:..."}'
    if not isinstance(claim, dict) or ("tn" in claim) == ("uri" in claim):
        return malformed("div", claim, expected)
    if not isinstance(claim.get("tn", claim.get("uri")), str) or len(identities(claim)) != 1:
        return malformed("div", claim, expected)
    if not isinstance(claim.get("hi", ""), str):
        return malformed("div", claim["hi"], "hi: the index of a History-Info value, as text")
    return None


def _div(payload: Mapping[str, object]) -> Problem | None:
    if "opt" in payload:
        return malformed("opt", payload["opt"], "no opt: it belongs to div-o (RFC 8946 section 3)")
    return _div_problem(payload)


def _div_o(payload: Mapping[str, object]) -> Problem | None:
    """RFC 8946 section 6: a whole PASSporT in `opt`, in full form."""
    problem = _div_problem(payload)
    if problem is not None:
        return problem
    if "opt" not in payload:
        return missing("opt")
    opt = payload["opt"]
    if not isinstance(opt, str) or opt.startswith("..") or not 0 < len(opt) <= MAX_TOKEN:
        return malformed("opt", opt, "opt: a PASSporT in full form")
    return None


def diverting_number(passport: Passport) -> str | None:
    """The number in `div`: who signs has to have authority over it, not over `orig`."""
    return claimed_number(passport.payload.get("div"))


# A div proves who forwarded, never who calls; a div-o holds the original that does.
DIVERTED: Final = Extension(
    ppt=DIV,
    claims_problem=_div,
    signer_number=diverting_number,
    methods=_METHODS,
    steps=(("div", diversion),),
)
DIVERTED_WITH_ORIGINAL: Final = Extension(
    ppt=DIV_O,
    claims_problem=_div_o,
    signer_number=diverting_number,
    proves_caller=True,
    methods=_METHODS,
    steps=(("div", diversion),),
)
