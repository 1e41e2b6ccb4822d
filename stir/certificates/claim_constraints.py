"""Which claims a certificate lets its holder sign: JWTClaimConstraints and the enhanced form.

RFC 8226 section 8 (`mustInclude`, `permittedValues`) and RFC 9118 section 4 (`mustExclude` too).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509

from stir.certificates.certificate import (
    ENHANCED_JWT_CLAIM_CONSTRAINTS_OID,
    JWT_CLAIM_CONSTRAINTS_OID,
    Problem,
)
from stir.certificates.der import (
    IA5_STRING,
    SEQUENCE,
    UTF8_STRING,
    NotDer,
    element,
    elements,
    explicit,
    only,
    read_ia5,
    read_utf8,
)
from stir.reason import Reason, printable
from stir.strict_json import MalformedJson, canonical, parse_object

MAX_DER: Final = 16_384
# What every PASSporT has (RFC 8225 section 5): excluding one would leave nothing to sign.
BASELINE: Final = frozenset({"iat", "orig", "dest"})
_INCLUDE, _PERMITTED, _EXCLUDE = explicit(0), explicit(1), explicit(2)


class MalformedConstraints(ValueError):
    """The octets are no claim constraints; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class ClaimConstraints:
    """What a certificate demands of the claims signed with it, in the order of the extension.

    `permitted_values` are the texts that each claim may have, if it is there at all.
    """

    must_include: tuple[str, ...] = ()
    permitted_values: tuple[tuple[str, tuple[str, ...]], ...] = ()
    must_exclude: tuple[str, ...] = ()
    _allowed: dict[str, frozenset[str | bytes]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        allowed: dict[str, frozenset[str | bytes]] = {}
        for claim, texts in self.permitted_values:
            values: set[str | bytes] = set(texts)
            values.update(form for text in texts if (form := _canonical_text(text)) is not None)
            allowed[claim] = frozenset(values)
        object.__setattr__(self, "_allowed", allowed)

    def problem(self, payload: Mapping[str, object]) -> Problem | None:
        """Return the first way in which a payload breaks the constraints, or None."""
        for claim in self.must_include:
            if claim not in payload:
                return _not_permitted(f"no {claim} claim", f"the {claim} claim")
        for claim in self.must_exclude:
            if claim in payload:
                return _not_permitted(f"a {claim} claim", f"no {claim} claim")
        for claim, texts in self.permitted_values:
            if claim in payload and not self._permits(claim, payload[claim]):
                value = payload[claim]
                shown = printable(value, 64) if isinstance(value, str) else "another value"
                return _not_permitted(f"{claim}: {shown}", f"{claim}: {' or '.join(texts[:8])}")
        return None

    def _permits(self, claim: str, value: object) -> bool:
        """A text is compared as it is, any other value in its canonical JSON (RFC 8225 9)."""
        form = value if isinstance(value, str) else _canonical(value)
        return form in self._allowed[claim]


def constraint_problem(
    constraints: Iterable[ClaimConstraints], payload: Mapping[str, object]
) -> Problem | None:
    """Return how a payload breaks the first of several constraints it breaks, or None.

    All of them hold: those of a certificate and of each authority above it, so that what is added
    further down can only narrow.
    """
    for constraint in constraints:
        problem = constraint.problem(payload)
        if problem is not None:
            return problem
    return None


def constraints_of(certificate: x509.Certificate) -> tuple[ClaimConstraints, ...]:
    """Return a certificate's constraints, mostly none; raises MalformedConstraints."""
    found = []
    for extension in certificate.extensions:
        if extension.oid in (JWT_CLAIM_CONSTRAINTS_OID, ENHANCED_JWT_CLAIM_CONSTRAINTS_OID):
            value = extension.value
            assert isinstance(value, x509.UnrecognizedExtension)
            enhanced = extension.oid == ENHANCED_JWT_CLAIM_CONSTRAINTS_OID
            found.append(parse_claim_constraints(value.value, enhanced=enhanced))
    return tuple(found)


def parse_claim_constraints(der: bytes, *, enhanced: bool) -> ClaimConstraints:
    """Parse an extension's octets, at most 16,384; raises MalformedConstraints only.

    `enhanced` is RFC 9118's form, which alone may exclude claims. Strict: DER, no empty list, no
    claim twice in one list, and the claims every PASSporT has are not excluded.
    """
    if len(der) > MAX_DER:
        raise MalformedConstraints(f"longer than {MAX_DER} octets")
    try:
        parts = list(elements(only(der, SEQUENCE)))
        tags = [tag for tag, _ in parts]
        known = (_INCLUDE, _PERMITTED, _EXCLUDE) if enhanced else (_INCLUDE, _PERMITTED)
        if not tags or tags != sorted(set(tags)) or not set(tags) <= set(known):
            raise NotDer("other parts than the constraints have")
        found = dict(parts)
        constraints = ClaimConstraints(
            must_include=_names(found[_INCLUDE]) if _INCLUDE in found else (),
            permitted_values=_values_list(found[_PERMITTED]) if _PERMITTED in found else (),
            must_exclude=_names(found[_EXCLUDE]) if _EXCLUDE in found else (),
        )
    except NotDer as error:
        raise MalformedConstraints(f"not the DER of claim constraints: {error}") from None
    _check_baseline(constraints)
    return constraints


def build_claim_constraints(constraints: ClaimConstraints, *, enhanced: bool) -> bytes:
    """Encode constraints as an extension's DER; raises MalformedConstraints for impossible ones."""
    parts = []
    try:
        if constraints.must_include:
            names = (_name(name) for name in constraints.must_include)
            parts.append(element(_INCLUDE, element(SEQUENCE, *names)))
        if constraints.permitted_values:
            values = (_values(claim, texts) for claim, texts in constraints.permitted_values)
            parts.append(element(_PERMITTED, element(SEQUENCE, *values)))
        if constraints.must_exclude:
            names = (_name(name) for name in constraints.must_exclude)
            parts.append(element(_EXCLUDE, element(SEQUENCE, *names)))
    except UnicodeEncodeError:
        raise MalformedConstraints("a claim name that is not ASCII") from None
    der = element(SEQUENCE, *parts)
    parse_claim_constraints(der, enhanced=enhanced)
    return der


def _check_baseline(constraints: ClaimConstraints) -> None:
    if BASELINE.intersection(constraints.must_exclude):
        raise MalformedConstraints("excludes a claim that every PASSporT has")


def _names(data: bytes) -> tuple[str, ...]:
    return _distinct([_read_name(tag, value) for tag, value in elements(only(data, SEQUENCE))])


def _values_list(data: bytes) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found = []
    for tag, value in elements(only(data, SEQUENCE)):
        parts = list(elements(value))
        if tag != SEQUENCE or [part for part, _ in parts] != [IA5_STRING, SEQUENCE]:
            raise NotDer("a claim without its values")
        texts = list(elements(parts[1][1]))
        if not texts or any(kind != UTF8_STRING for kind, _ in texts):
            raise NotDer("values that are no UTF8Strings")
        found.append((_read_name(*parts[0]), tuple(read_utf8(text) for _, text in texts)))
    _distinct([claim for claim, _ in found])
    return tuple(found)


def _read_name(tag: int, value: bytes) -> str:
    if tag != IA5_STRING or not value:
        raise NotDer("a claim name that is no IA5String")
    return read_ia5(value)


def _distinct(names: list[str]) -> tuple[str, ...]:
    if not names:
        raise NotDer("an empty list")
    if len(set(names)) != len(names):
        raise NotDer("a claim named twice")
    return tuple(names)


def _name(name: str) -> bytes:
    return element(IA5_STRING, name.encode("ascii"))


def _values(claim: str, texts: tuple[str, ...]) -> bytes:
    values = (element(UTF8_STRING, text.encode("utf-8")) for text in texts)
    return element(SEQUENCE, _name(claim), element(SEQUENCE, *values))


def _canonical_text(text: str) -> bytes | None:
    """The canonical form of a permitted value that is JSON, such as an array or a number."""
    try:
        wrapped = parse_object(b'{"":' + text.encode("utf-8") + b"}")
    except (MalformedJson, UnicodeEncodeError):
        return None
    # a text with a comma in it could have put a second member into our wrapping
    if len(wrapped) != 1 or isinstance(wrapped[""], str):
        return None
    return _canonical(wrapped[""])


def _canonical(value: object) -> bytes:
    return canonical({"": value})


def _not_permitted(got: str, expected: str) -> Problem:
    return Problem(Reason.CLAIM_NOT_PERMITTED, got, expected)
