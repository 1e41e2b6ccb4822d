"""How div PASSporTs lead from an original to the called number (RFC 8946 section 4.2).

Each div PASSporT is a leg away from the number in `div` to those in `dest`, with the `orig` of the
original. From an original, legs are followed breadth first: every PASSporT is looked at once, and
the shortest trail to the called number counts. Legs that did not verify are followed only to say
what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from stir.certificates.certificate import Problem
from stir.claims import identities
from stir.passport import Passport
from stir.reason import Reason

DIV: Final = "div"
DIV_O: Final = "div-o"
MAX_SHOWN: Final = 4
Soundness = Literal["sound", "failed", "unavailable"]


@dataclass(frozen=True, slots=True)
class Leg:
    """One PASSporT: who calls (`orig`), whom the call leaves (`div`, empty: an original), whom it
    goes to (`dest`), all canonical; and whether its signature and credential were found good."""

    passport: Passport
    orig: frozenset[str]
    div: frozenset[str]
    dest: frozenset[str]
    soundness: Soundness = "sound"
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Trail:
    """What became of an original's diversions.

    `passports`: the original, then the div PASSporTs in the order of the diversions up to the
    called number; only the original where it is not diverted. `problem` says why there is no such
    trail; with `unavailable`, that something could not be checked.
    """

    passports: tuple[Passport, ...] = ()
    problem: Problem | None = None
    unavailable: bool = False

    @property
    def holds(self) -> bool:
        """Whether the trail leads to the called number and every PASSporT on it is good."""
        return self.problem is None

    def later(self, passport: Passport) -> tuple[Passport, ...]:
        """The PASSporTs after one of the trail; none for one that is not on it."""
        for place, each in enumerate(self.passports):
            if each is passport:
                return self.passports[place + 1 :]
        return ()


def leg_of(passport: Passport, soundness: Soundness = "sound", reason: Reason | None = None) -> Leg:
    """Read a PASSporT of any type as a leg; what cannot be read is empty and fits nothing."""
    payload = passport.payload
    diverted = passport.ppt in (DIV, DIV_O)
    return Leg(
        passport,
        identities(payload.get("orig")),
        identities(payload.get("div")) if diverted else frozenset(),
        identities(payload.get("dest")),
        soundness,
        reason,
    )


class Legs:
    """The div PASSporTs of one request, found by caller and by the number they lead away from."""

    def __init__(self, legs: Sequence[Leg]) -> None:
        """`legs`: those of type div, in any order."""
        self._by_number: dict[tuple[frozenset[str], str], list[Leg]] = {}
        for leg in legs:
            for number in leg.div:
                self._by_number.setdefault((leg.orig, number), []).append(leg)
        self._any = bool(legs)

    def follow(self, original: Leg, called: frozenset[str] | None, limit: int) -> Trail:
        """Return the trail from an original to the `called` identities, over `limit` legs at most.

        `called` is None where it is not known: then any end of the legs will do. An original that
        was not diverted needs no leg, and its trail is itself.
        """
        trails = list(self._trails(original, sound_only=True))
        ends = _ending(trails, called)
        looped = _circle([trail[-1] for trail in trails])
        if looped:
            return _loop(looped)
        # Where nobody says who is called, the call is taken to have gone the whole way.
        if not ends if called is None else original.dest & called:
            return Trail((original.passport,))
        if ends:
            return _ended(ends[-1] if called is None else ends[0], original, limit)
        return self._why_not(original, called, limit)

    def reached(self, original: Leg) -> Iterator[Leg]:
        """The legs that an original leads to, directly or over others, sound or not."""
        for trail in self._trails(original, sound_only=False):
            yield trail[-1]

    def _why_not(self, original: Leg, called: frozenset[str] | None, limit: int) -> Trail:
        if not self._any:
            return Trail((original.passport,))
        trails = list(self._trails(original, sound_only=False))
        looped = _circle([trail[-1] for trail in trails])
        if looped:
            return _loop(looped)
        ends = _ending(trails, called)
        if not ends:
            got = f"diversions from {shown(original.dest)} that do not lead there"
            return _broken(Reason.DIVERSION_BROKEN, got, shown(called or frozenset()))
        return _ended(ends[0], original, limit)

    def _trails(self, original: Leg, *, sound_only: bool) -> Iterator[tuple[Leg, ...]]:
        """Every leg once, each with those before it, nearest to the original first."""
        seen: set[int] = set()
        waiting: list[tuple[Leg, ...]] = [(original,)]
        for trail in waiting:
            if trail[-1] is not original:
                yield trail
            before = () if trail[-1] is original else trail
            for number in sorted(trail[-1].dest):
                for leg in self._by_number.get((original.orig, number), ()):
                    if id(leg) in seen or (sound_only and leg.soundness != "sound"):
                        continue
                    seen.add(id(leg))
                    waiting.append((*before, leg))


def _ending(
    trails: Sequence[tuple[Leg, ...]], called: frozenset[str] | None
) -> list[tuple[Leg, ...]]:
    return [trail for trail in trails if called is None or trail[-1].dest & called]


def _circle(legs: Sequence[Leg]) -> frozenset[str]:
    """The numbers that the legs come back to, or from which they do; empty without a circle.

    Numbers that no leg leads to any more are taken away until none is left, or only circles and
    what lies behind them: each leg is looked at twice.
    """
    leaving: dict[str, list[Leg]] = {}
    for leg in legs:
        for number in leg.div:
            leaving.setdefault(number, []).append(leg)
    coming = dict.fromkeys(leaving, 0)
    for leg in legs:
        for number in leg.dest & leaving.keys():
            coming[number] += 1
    free = [number for number, count in coming.items() if not count]
    for number in free:
        for leg in leaving[number]:
            for onward in leg.dest & leaving.keys():
                coming[onward] -= 1
                if not coming[onward]:
                    free.append(onward)
    return frozenset(leaving.keys() - set(free))


def _loop(numbers: frozenset[str]) -> Trail:
    got = f"diversions in a circle: {shown(numbers)}"
    return _broken(Reason.DIVERSION_LOOP, got, "numbers the call has not left yet")


def _ended(legs: tuple[Leg, ...], original: Leg, limit: int) -> Trail:
    if len(legs) > limit:
        return _broken(
            Reason.DIVERSION_TOO_LONG, f"{len(legs)} diversions", f"at most {limit} diversions"
        )
    for leg in legs:
        if leg.soundness == "failed":
            code = leg.reason.code if leg.reason is not None else "not valid"
            got = f"the diversion of {shown(leg.div)}: {code}"
            return _broken(Reason.DIVERSION_BROKEN, got, "valid div PASSporTs")
    for leg in legs:
        if leg.soundness == "unavailable":
            reason = leg.reason or Reason.CREDENTIAL_UNAVAILABLE
            got = f"the diversion of {shown(leg.div)}: {reason.code}"
            return Trail((), Problem(reason, got, "valid div PASSporTs"), unavailable=True)
    return Trail((original.passport, *(leg.passport for leg in legs)))


def _broken(reason: Reason, got: str, expected: str) -> Trail:
    return Trail((), Problem(reason, got, expected))


def shown(names: frozenset[str]) -> str:
    """A few of the identities, for a person."""
    return ", ".join(sorted(names)[:MAX_SHOWN]) or "nobody"


def nested_trail(legs: Sequence[Leg], limit: int) -> Trail:
    """Return the trail of a ``div-o`` PASSporT (RFC 8946 section 5): each is about what it holds.

    `legs`: the div-o, what its `opt` holds, what that one's holds, and so on. Each `div` has to be
    a `dest` of what it holds, and all have the same `orig`.
    """
    *diversions, original = legs
    if original.passport.ppt == DIV_O or len(diversions) > limit:
        return _broken(
            Reason.DIVERSION_TOO_LONG, f"more than {limit} nested", f"at most {limit} diversions"
        )
    if original.passport.ppt == DIV:
        return _broken(Reason.DIVERSION_WITHOUT_ORIGINAL, "a div in opt", "an original or a div-o")
    failed = _first_unsound(legs)
    if failed is not None:
        return failed
    left: frozenset[str] = frozenset()
    for outer, inner in reversed(list(pairwise(legs))):
        if outer.orig != inner.orig or not outer.div & inner.dest:
            got = f"from {shown(outer.orig)}, leaving {shown(outer.div)}"
            expected = f"from {shown(inner.orig)}, leaving {shown(inner.dest)}"
            return _broken(Reason.DIVERSION_BROKEN, got, expected)
        left |= outer.div
        if outer.dest & left:
            got = f"a diversion back to {shown(outer.dest & left)}"
            return _broken(Reason.DIVERSION_LOOP, got, "numbers the call has not left yet")
    return Trail(tuple(leg.passport for leg in reversed(legs)))


def _first_unsound(legs: Sequence[Leg]) -> Trail | None:
    """What is wrong with what a div-o holds; a stale original is named as such, for its 403."""
    expected = "a valid PASSporT in opt"
    for leg in reversed(legs[1:]):
        if leg.soundness == "failed":
            reason = leg.reason or Reason.PASSPORT_MALFORMED
            kept = reason if reason is Reason.STALE_DATE else Reason.DIVERSION_ORIGINAL_FAILED
            return _broken(kept, f"in opt: {reason.code}", expected)
    for leg in reversed(legs[1:]):
        if leg.soundness == "unavailable":
            reason = leg.reason or Reason.CREDENTIAL_UNAVAILABLE
            problem = Problem(reason, f"in opt: {reason.code}", expected)
            return Trail((), problem, unavailable=True)
    return None


def is_diverted_later(leg: Leg, others: Mapping[int, Leg]) -> bool:
    """Whether another PASSporT says that it diverts this one; by its claims, not yet verified."""
    return any(
        other is not leg and other.orig == leg.orig and other.div & leg.dest
        for other in others.values()
    )
