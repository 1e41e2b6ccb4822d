"""What a PASSporT type is made of (RFC 8225 section 8)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from stir.certificates.certificate import Problem
from stir.checks.inspection import Step
from stir.passport import Passport
from stir.telephone_number import number_in_uri

ClaimsCheck = Callable[[Mapping[str, object]], Problem | None]


def originating_number(passport: Passport) -> str | None:
    """The number of the `orig` claim as written, also where a URI names it, or None.

    Devices show the number of a URI whatever its domain, so that to sign it takes a TNAuthList.
    """
    return claimed_number(passport.payload.get("orig"))


def claimed_number(claim: object) -> str | None:
    """The number of a claim: `tn` as written, or the one its `uri` names; None without one."""
    if not isinstance(claim, dict):
        return None
    number, uri = claim.get("tn"), claim.get("uri")
    if isinstance(number, str):
        return number
    return number_in_uri(uri) if isinstance(uri, str) else None


@dataclass(frozen=True, slots=True)
class Extension:
    """One PASSporT type beyond the base.

    `ppt`: its name. `claims_problem`: what is wrong with the claims it adds. `signer_number`: the
    number, as written, that the signing certificate must cover; the originating one where the
    type does not say otherwise. `proves_caller`: whether a valid one shows by itself who calls,
    so that it can decide about the request. `methods`: SIP methods it has a meaning in. `steps`:
    its own checks, after the media keys and before replay.
    """

    ppt: str
    claims_problem: ClaimsCheck
    signer_number: Callable[[Passport], str | None] = originating_number
    proves_caller: bool = False
    methods: frozenset[str] = frozenset({"INVITE"})
    steps: tuple[tuple[str, Step], ...] = ()
