"""The checks across the Identity header fields of one request: diversions (RFC 8946 section 4.2).

Three passes, because each original depends on its diversions and they on it. Once signatures and
credentials are judged, `trace_originals` follows the div PASSporTs from every original to the
called number; when the originals' own checks are done, `trace_diversions` tells each div PASSporT
what it belongs to; the step ``div`` then says what was found.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from stir.certificates.certificate import Problem
from stir.checks.inspection import CallFacts, Inspection
from stir.checks.outcomes import failed, passed, skipped
from stir.claims import identity_of
from stir.diversion import (
    DIV,
    DIV_O,
    Leg,
    Legs,
    Soundness,
    Trail,
    is_diverted_later,
    leg_of,
    nested_trail,
    shown,
)
from stir.reason import Reason
from stir.telephone_number import number_of
from stir.verdict import Check

_DIVERTING: Final = frozenset({DIV, DIV_O})


def diversion(inspection: Inspection) -> Check:
    """(div) The diversions of this request lead from a valid original to the called number."""
    trail = inspection.trail
    if inspection.passport is None:
        return skipped("div", "the token could not be read")
    if inspection.ppt == DIV and inspection.form == "token":
        return skipped("div", "a token without the request it came in")
    if inspection.ppt == DIV_O and inspection.nested_trail is not None:
        trail = inspection.nested_trail
    if trail is None:
        return skipped("div", "no other Identity header field given that it could belong to")
    if trail.problem is not None and inspection.ppt not in (DIV, DIV_O):
        return skipped("div", "the step destination says why there is no trail")
    return broken_trail("div", trail) or passed("div", _described(trail))


def broken_trail(step: str, trail: Trail) -> Check | None:
    """The check of a trail that does not hold or could not be followed; None where it holds."""
    problem = trail.problem
    if problem is not None and trail.unavailable:
        return Check(step, "unavailable", problem.reason, problem.got, problem.expected)
    return None if problem is None else failed(step, problem)


def _described(trail: Trail) -> str:
    legs = [leg_of(passport) for passport in trail.passports[1:]]
    if not legs:
        return "not diverted"
    return " -> ".join([shown(legs[0].div), *(shown(leg.dest) for leg in legs)])


def called_identities(facts: CallFacts, *, diverted: bool) -> tuple[str, ...] | None:
    """What `dest` is held against: To or the Request-URI; in a diverted call the Request-URI.

    To still names whom the caller dialled there (RFC 8946 section 4.2); it counts only where the
    Request-URI shows no number. None where nothing is known.
    """
    candidates = facts.dest_candidates
    if candidates and diverted and number_of(candidates[-1]) is not None:
        return candidates[-1:]
    return candidates


def is_diverted(inspections: Iterable[Inspection]) -> bool:
    """Whether a readable PASSporT among them is a diversion."""
    for each in inspections:
        passport = each.passport
        if passport is not None and passport.ppt in _DIVERTING:
            return True
    return False


def lay_out_nested(inspections: Sequence[Inspection]) -> None:
    """Line up what every div-o holds, before the checks of what is nested."""
    for outer in inspections:
        line = [each.passport for each in (outer, *outer.nested) if each.passport is not None]
        for each in outer.nested:
            each.trail = Trail(tuple(reversed(line)))


def trace_originals(inspections: Sequence[Inspection]) -> None:
    """Give every original the trail of its diversions; nothing to do in an undiverted request."""
    if not is_diverted(inspections):
        return
    for outer in inspections:
        _trace_nested(outer)
    legs = Legs([_leg(each) for each in inspections if each.ppt == DIV])
    for original in inspections:
        if original.passport is not None and original.ppt != DIV:
            limit = original.policy.max_diversions
            trail = legs.follow(leg_of(original.passport), _called(original), limit)
            original.trail = _last_is_fresh(original, trail)


def _last_is_fresh(original: Inspection, trail: Trail) -> Trail:
    """The last diversion is held to the freshness of any PASSporT (RFC 8946 section 4.2)."""
    if len(trail.passports) < 2:
        return trail
    limit = original.policy.freshness
    age = original.now - (trail.passports[-1].iat or 0)
    if age <= limit:
        return trail
    problem = Problem(Reason.STALE_DATE, f"a last diversion {age:.0f} s old", f"{limit:g} s")
    return Trail((), problem)


def trace_diversions(inspections: Sequence[Inspection]) -> None:
    """Give every div PASSporT the trail of an original that it belongs to, or what is wrong."""
    diversions = {id(each.passport): each for each in inspections if each.ppt == DIV}
    if not diversions:
        return
    originals = [each for each in inspections if each.passport and each.ppt != DIV]
    legs = Legs([_leg(each) for each in diversions.values()])
    for each in diversions.values():
        each.trail = _orphan(each, originals)
    settled: set[int] = set()
    for original in originals:
        assert original.passport is not None
        for leg in legs.reached(leg_of(original.passport)):
            if id(leg.passport) not in settled:
                each = diversions[id(leg.passport)]
                each.trail = _belonging(leg, original)
                if each.trail.holds:
                    settled.add(id(leg.passport))


def _called(inspection: Inspection) -> frozenset[str] | None:
    candidates = called_identities(inspection.facts, diverted=True)
    return None if candidates is None else frozenset[str]().union(*map(identity_of, candidates))


def _leg(inspection: Inspection) -> Leg:
    assert inspection.passport is not None
    soundness, reason = _soundness(inspection)
    return leg_of(inspection.passport, soundness, reason)


def _soundness(inspection: Inspection) -> tuple[Soundness, Reason | None]:
    found: tuple[Soundness, Reason | None] = ("sound", None)
    for check in inspection.checks:
        if check.outcome == "failed":
            return "failed", check.reason
        if check.outcome == "unavailable" and found[0] == "sound":
            found = "unavailable", check.reason
    return found


def _trace_nested(outer: Inspection) -> None:
    if outer.ppt != DIV_O or outer.passport is None:
        return
    if any(each.passport is None for each in outer.nested) or not outer.nested:
        reason = Reason.DIVERSION_ORIGINAL_FAILED
        problem = Problem(reason, "an opt that is no PASSporT", "a full-form PASSporT in opt")
        outer.nested_trail = Trail((), problem)
        return
    limit = outer.policy.max_diversions
    outer.nested_trail = nested_trail([_leg(each) for each in (outer, *outer.nested)], limit)


def _orphan(inspection: Inspection, originals: Sequence[Inspection]) -> Trail:
    leg = _leg(inspection)
    if not originals:
        problem = Problem(
            Reason.DIVERSION_WITHOUT_ORIGINAL, "no PASSporT that is not a div", "the original's too"
        )
    else:
        got = f"a diversion of {shown(leg.div)}, with orig {shown(leg.orig)}"
        problem = Problem(Reason.DIVERSION_BROKEN, got, "one from a dest of another PASSporT")
    return Trail((), problem)


def _belonging(leg: Leg, original: Inspection) -> Trail:
    """What a div PASSporT is worth that is reached from this original."""
    if original.ignored:
        # RFC 8946 section 4.2: the chain of an original of unknown type is ignored with it
        return Trail((), Problem(Reason.UNSUPPORTED_PPT, "an original of an unknown type", "known"))
    if original.nested_trail is not None and original.nested_trail.problem is not None:
        return original.nested_trail
    trail = original.trail or Trail()
    by_itself = next((c for c in original.checks if c.reason and c.step != "destination"), None)
    if by_itself is not None and by_itself.reason is not None:
        reason, expected = by_itself.reason, "a valid original"
        if by_itself.outcome == "unavailable":
            problem = Problem(reason, "the original could not be checked", expected)
            return Trail((), problem, unavailable=True)
        got = f"an original with {reason.code}"
        return Trail((), Problem(Reason.DIVERSION_ORIGINAL_FAILED, got, expected))
    if trail.holds and not any(each is leg.passport for each in trail.passports):
        got = f"a diversion to {shown(leg.dest)} that leads nowhere"
        return Trail((), Problem(Reason.DIVERSION_BROKEN, got, "a trail to the called number"))
    return trail


def mark_aged(inspections: Sequence[Inspection]) -> None:
    """Let PASSporTs be older that a later one of the request diverts (RFC 8946 section 4.2).

    The claims say so, unverified: the step ``destination`` holds who profits to a valid trail.
    """
    if not is_diverted(inspections):
        return
    legs = {
        place: leg_of(each.passport)
        for place, each in enumerate(inspections)
        if each.passport is not None
    }
    for place, leg in legs.items():
        inspections[place].diverted_later = is_diverted_later(leg, legs)
