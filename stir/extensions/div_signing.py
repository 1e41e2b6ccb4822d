"""Signing diversions: div and div-o on top of what was received and verified (RFC 8946)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from stir.authentication import AuthenticationService, CannotSign
from stir.claims import identities
from stir.diversion import DIV, DIV_O, Leg, Legs, Trail, leg_of
from stir.identity import MAX_VALUE
from stir.media_keys import Fingerprint, media_keys_claim
from stir.passport import MalformedPassport, Passport
from stir.telephone_number import canonicalise
from stir.verdict import CallVerdict, Verdict

MAX_DIVERSIONS: Final = 5


@dataclass(frozen=True, slots=True)
class DiversionRequest:
    """The facts to sign: the number the call leaves and the one it goes to, as written.

    `iat`: the Date of the request as it leaves, in epoch seconds; None keeps the original's, for a
    request whose Date is not changed (RFC 8946 section 3). `hi`: the index of the History-Info
    value this is (RFC 8946 section 8). `fingerprints`: of the SDP sent, where it is not the
    original's any more.
    """

    div_tn: str
    dest_tn: str
    iat: int | None = None
    hi: str | None = None
    fingerprints: tuple[Fingerprint, ...] = ()


def sign_diversion(
    service: AuthenticationService,
    received: CallVerdict,
    request: DiversionRequest,
    *,
    limit: int = MAX_DIVERSIONS,
) -> str:
    """Return the Identity value of a ``div`` to be added to those received (RFC 8946 section 4.1).

    One is enough however many originals there are, since it names one caller and one number left.
    Raises CannotSign where the received call is not valid, did not come for the number it is to
    leave, was already diverted `limit` times, or has been at the new number before.
    """
    _, trail = _extendable(received, request, limit)
    return _signed(service, DIV, _claims(trail.passports[0], request))


def sign_diversion_with_original(
    service: AuthenticationService,
    received: CallVerdict,
    request: DiversionRequest,
    *,
    limit: int = MAX_DIVERSIONS,
) -> str:
    """Return the Identity value of a ``div-o`` that holds the one received (RFC 8946 section 5).

    For where only one PASSporT can be carried. What was received is an original or a div-o in full
    form, without div beside it. Raises CannotSign as `sign_diversion` does, and where the result is
    longer than an Identity may be.
    """
    verdict, trail = _extendable(received, request, limit)
    if len(trail.passports) > 1:
        raise CannotSign("a div-o holds one PASSporT, and the call came with div PASSporTs")
    if verdict.identity is None or verdict.identity.is_compact:
        raise CannotSign("a div-o holds a PASSporT in full form")
    claims = _claims(trail.passports[0], request)
    claims["opt"] = verdict.identity.token
    return _signed(service, DIV_O, claims)


def _extendable(
    received: CallVerdict, request: DiversionRequest, limit: int
) -> tuple[Verdict, Trail]:
    """The original and its trail to the number that is left, when one leg may be added to it."""
    div, dest = canonicalise(request.div_tn), canonicalise(request.dest_tn)
    if div is None or dest is None:
        raise CannotSign("what a call leaves and where it goes are telephone numbers")
    if received.outcome != "valid":
        why = received.reason.prose if received.reason is not None else "It was not verified."
        raise CannotSign(f"the received call is not valid: {why}")
    verdict, trail = _trail_to(received, div, limit)
    left = {div}.union(*map(_left, trail.passports), *(_left(each) for each in _held(verdict)))
    if dest in left:
        raise CannotSign("the call has been at that number before, and would go round in a circle")
    if len(trail.passports) + len(verdict.nested) > limit:
        raise CannotSign(f"the call was already diverted {limit} times")
    return verdict, trail


def _trail_to(received: CallVerdict, div: str, limit: int) -> tuple[Verdict, Trail]:
    valid = [each for each in received.verdicts if each.outcome == "valid"]
    legs = Legs([leg for leg in map(_leg, valid) if leg is not None and leg.passport.ppt == DIV])
    for verdict in valid:
        original = _leg(verdict)
        if original is None or original.passport.ppt == DIV or not verdict.proves_caller:
            continue
        trail = legs.follow(original, frozenset({div}), limit)
        last = leg_of(trail.passports[-1]) if trail.passports else None
        if last is not None and div in last.dest:
            return verdict, trail
    raise CannotSign("no valid PASSporT of the received call is for the number that it is to leave")


def _leg(verdict: Verdict) -> Leg | None:
    return None if verdict.passport is None else leg_of(verdict.passport)


def _held(verdict: Verdict) -> list[Passport]:
    return [each.passport for each in verdict.nested if each.passport is not None]


def _left(passport: Passport) -> frozenset[str]:
    return leg_of(passport).div


def _claims(original: Passport, request: DiversionRequest) -> dict[str, object]:
    """Only orig is copied, and iat where the request keeps its Date (RFC 8946 section 3)."""
    div: dict[str, object] = {"tn": canonicalise(request.div_tn)}
    if request.hi is not None:
        div["hi"] = request.hi
    claims: dict[str, object] = {
        "dest": {"tn": [canonicalise(request.dest_tn)]},
        "div": div,
        "iat": original.iat if request.iat is None else request.iat,
        "orig": original.payload["orig"],
    }
    if request.fingerprints:
        try:
            claims["mky"] = media_keys_claim(request.fingerprints)
        except ValueError as error:
            raise CannotSign(str(error)) from None
    return claims


def _signed(service: AuthenticationService, ppt: str, claims: dict[str, object]) -> str:
    try:
        token = service.sign_passport({"ppt": ppt}, claims)
    except MalformedPassport as error:
        raise CannotSign(str(error)) from None
    value = f"{token};info=<{service.x5u}>;alg=ES256;ppt={ppt}"
    if len(value) > MAX_VALUE:
        raise CannotSign(f"the Identity would be longer than {MAX_VALUE} characters")
    return value


def open_ends(passports: list[Passport]) -> frozenset[str]:
    """The identities that the PASSporTs of a request lead to, as they say; none of it verified."""
    legs = [leg_of(passport) for passport in passports]
    left = frozenset[str]().union(*(leg.div for leg in legs if leg.passport.ppt == DIV))
    ends = frozenset[str]().union(*(identities(each.payload.get("dest")) for each in passports))
    return ends - left
