"""The rules found at a number's domain, and the URIs they give (RFC 6116 sections 3 and 5)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from discovery.enum.enumservice import serves
from discovery.enum.regexp import Steps, TooManySteps
from discovery.enum.substitution import MalformedSubstitution, parse_substitution
from discovery.model import Service
from discovery.service_uri import MalformedServiceUri, ServiceUri, parse_service_uri

MAX_RULES: Final = 32
MAX_URIS: Final = 8


@dataclass(frozen=True, slots=True)
class Rule:
    """A NAPTR record (RFC 3403 section 4); `replacement` is a domain, "" for the root."""

    order: int
    preference: int
    flags: str
    services: str
    regexp: str
    replacement: str = ""


@dataclass(frozen=True, slots=True)
class Selection:
    """What the rules give: URIs, best first, or the domain to go on at, or neither.

    `refused` says why each rule that offered the service was left out; it quotes no record.
    """

    uris: tuple[ServiceUri, ...] = ()
    next_domain: str | None = None
    refused: tuple[str, ...] = ()


def select(rules: Iterable[Rule], number: str, service: Service) -> Selection:
    """Apply the rules at a number's domain (digits) for a service.

    Rules are taken by order, then preference. Those of a higher order are not looked at once one
    of a lower order gave something (RFC 3403 section 4.1), unusable ones do not count. At most 32
    rules are read and 8 URIs returned; all expressions share one count of steps.
    """
    held = sorted(list(rules)[:MAX_RULES], key=lambda rule: (rule.order, rule.preference))
    steps = Steps()
    uris: list[ServiceUri] = []
    refused: list[str] = []
    order: int | None = None
    for rule in held:
        if len(uris) >= MAX_URIS or (order is not None and rule.order > order):
            break
        if _goes_on(rule):
            if not uris:
                return Selection((), rule.replacement, tuple(refused))
            continue
        if not serves(rule.services, service):
            continue
        try:
            uri = _result(rule, number, steps)
        except _Refused as why:
            refused.append(str(why))
            continue
        order = rule.order
        if uri not in uris:
            uris.append(uri)
    return Selection(tuple(uris), None, tuple(refused))


class _Refused(Exception):
    """A rule gives nothing."""


def _goes_on(rule: Rule) -> bool:
    """A non-terminal rule of the only kind followed: no flag, no expression, another domain."""
    return rule.flags == "" and rule.regexp == "" and rule.replacement != ""


def _result(rule: Rule, number: str, steps: Steps) -> ServiceUri:
    if rule.flags not in ("u", "U"):
        raise _Refused("flags other than u")
    if rule.replacement:
        raise _Refused("a replacement beside the expression")
    try:
        result = parse_substitution(rule.regexp).apply(f"+{number}", steps)
    except MalformedSubstitution as error:
        raise _Refused(str(error)) from None
    except TooManySteps:
        raise _Refused("expressions too laborious") from None
    if result is None:
        raise _Refused("an expression that does not match the number")
    try:
        return parse_service_uri(_lower_host(result))
    except MalformedServiceUri as error:
        raise _Refused(f"URI: {error}") from None


def _lower_host(uri: str) -> str:
    """Scheme and host are written in any case in zone files; here they are lower case."""
    scheme, colon, rest = uri.partition(":")
    user, at, place = rest.rpartition("@")
    host, semicolon, parameters = place.partition(";")
    return f"{scheme.lower()}{colon}{user}{at}{host.lower() if at else host}{semicolon}{parameters}"
