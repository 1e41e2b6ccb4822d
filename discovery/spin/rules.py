"""Per-sender rules: whom a user answers with which application, the first rule that fits deciding.

    [{"if": {"from": ["+14155550123"]}, "svc": ["im"], "use": "wire"},
     {"if": {"group": "soccer"}, "use": "whatsapp"}, {"if": {"omsp": "same"}, "use": "same"},
     {"if": {"contact": false}, "use": "silent"}, {"use": "default"}]

`use` names a handler (its id or its app_id), several in the order they are to be tried, or one of
`same` (the handler at the caller's own provider), `default`, `silent`, `declined`, `later`,
`directory`. Rules stay with the agent: what leaves it is one answer, never the rules.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from discovery.model import Service
from discovery.number import canonical_number
from discovery.spin.handlers import Handler, choose_handler
from discovery.spin.label import is_label

MAX_RULES: Final = 100
MAX_NUMBERS: Final = 200
MAX_USED: Final = 4
MAX_LABELS: Final = 16
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_RULE_MEMBERS: Final = frozenset({"if", "svc", "use"})
_CONDITIONS: Final = frozenset({"from", "group", "contact", "omsp", "tag"})


class Use(StrEnum):
    """What a rule says instead of naming handlers; no application may be called so."""

    SAME = "same"
    DEFAULT = "default"
    SILENT = "silent"
    DECLINED = "declined"
    LATER = "later"
    DIRECTORY = "directory"


class MalformedRules(ValueError):
    """The document is no list of rules; the message says which rule and why."""


@dataclass(frozen=True, slots=True)
class Contact:
    """One entry of a user's address book: number (digits), the groups it is in, and its tags."""

    number: str
    groups: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Condition:
    """What has to be true of a caller; what is None or empty is not asked. All of it together.

    numbers: digits; same_provider: the user has a handler at the caller's provider.
    """

    numbers: frozenset[str] = frozenset()
    group: str | None = None
    contact: bool | None = None
    same_provider: bool = False
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: condition, services (all where empty) and what is used."""

    condition: Condition
    services: tuple[Service, ...]
    use: Use | tuple[str, ...]

    def document(self) -> dict[str, object]:
        """Return the rule as JSON has it."""
        condition, tested = self.condition, dict[str, object]()
        if condition.numbers:
            tested["from"] = [f"+{number}" for number in sorted(condition.numbers)]
        if condition.group is not None:
            tested["group"] = condition.group
        if condition.contact is not None:
            tested["contact"] = condition.contact
        if condition.same_provider:
            tested["omsp"] = "same"
        if condition.tag is not None:
            tested["tag"] = condition.tag
        used: object = str(self.use) if isinstance(self.use, Use) else list(self.use)
        if isinstance(used, list) and len(used) == 1:
            used = used[0]
        services = [str(service) for service in self.services]
        return {
            **({"if": tested} if tested else {}),
            **({"svc": services} if services else {}),
            "use": used,
        }


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as far as it is proven.

    contact: the user's entry of this number. provider: the `omsp` of the invitation, where the
    signer's certificate speaks for it. tag: what the invitation says it is about; anybody may say
    so, which is what a group that is open to everybody means.
    """

    number: str
    contact: Contact | None = None
    provider: str | None = None
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """What a user's rules come to for one service.

    handlers: in the order they are to be tried; ruled: whether a rule of the user said so, which
    goes before what the agent does with unknown callers; outcome: why there are no handlers.
    """

    handlers: tuple[Handler, ...] = ()
    ruled: bool = False
    outcome: Use | None = None


def parse_rules(document: object) -> tuple[Rule, ...]:
    """Read a list of rules as a user sends it; raises MalformedRules."""
    if not isinstance(document, list) or len(document) > MAX_RULES:
        raise MalformedRules(f"rules is not a list of at most {MAX_RULES}")
    rules: list[Rule] = []
    for place, item in enumerate(document, start=1):
        try:
            rules.append(_rule(item))
        except ValueError as error:
            raise MalformedRules(f"rule {place}: {error}") from None
    return tuple(rules)


def parse_contact(document: object) -> Contact:
    """Read `{"number", "groups", "tags"}`; raises MalformedRules."""
    if not isinstance(document, dict) or not set(document) <= {"number", "groups", "tags"}:
        raise MalformedRules("a contact has number, groups and tags")
    number = document.get("number")
    digits = canonical_number(number) if isinstance(number, str) else None
    if digits is None:
        raise MalformedRules("number of a contact is not a telephone number")
    return Contact(digits, _labels(document, "groups"), _labels(document, "tags"))


def choose(
    rules: Sequence[Rule],
    caller: Caller,
    service: Service,
    handlers: Sequence[Handler],
    *,
    number: str,
    default_id: str | None,
) -> Choice:
    """Decide who answers for one number and service; `handlers` are those that serve it.

    Without a rule that fits, the default answers and `ruled` is false. A rule whose handler is
    gone chooses nobody: another application must not get what was meant for that one.
    """
    able = [handler for handler in handlers if handler.active]
    same = tuple(handler for handler in able if handler.msp == caller.provider)
    fitting = next((rule for rule in rules if _fits(rule, caller, service, bool(same))), _ANYBODY)
    use = fitting.use
    if use is Use.DEFAULT:
        chosen = choose_handler(able, number, service, default_id)
        return Choice((chosen,) if chosen else ())
    if use is Use.SAME:
        chosen = choose_handler(same, number, service, default_id)
        return Choice((chosen,) if chosen else (), ruled=True)
    if isinstance(use, Use):
        return Choice(ruled=True, outcome=use)
    found = tuple(next((h for h in able if name in (h.handler_id, h.app_id)), None) for name in use)
    return Choice(tuple(h for h in found if h is not None), ruled=True)


def _fits(rule: Rule, caller: Caller, service: Service, same_provider: bool) -> bool:
    condition, contact = rule.condition, caller.contact
    if rule.services and service not in rule.services:
        return False
    if condition.numbers and caller.number not in condition.numbers:
        return False
    if condition.contact is not None and condition.contact != (contact is not None):
        return False
    if condition.group is not None and (contact is None or condition.group not in contact.groups):
        return False
    if condition.tag is not None:
        given = {caller.tag, *(contact.tags if contact else ())}
        if condition.tag not in given:
            return False
    return same_provider or not condition.same_provider


_ANYBODY: Final = Rule(Condition(), (), Use.DEFAULT)


def _rule(item: object) -> Rule:
    if not isinstance(item, dict) or not set(item) <= _RULE_MEMBERS or "use" not in item:
        raise ValueError("members are if, svc and use, and use is needed")
    condition = item.get("if", {})
    if not isinstance(condition, dict) or not set(condition) <= _CONDITIONS:
        raise ValueError("if knows from, group, contact, omsp and tag")
    return Rule(_condition(condition), _services(item), _use(item["use"]))


def _condition(tested: Mapping[str, object]) -> Condition:
    contact = tested.get("contact")
    if contact is not None and not isinstance(contact, bool):
        raise ValueError("contact is true or false")
    if tested.get("omsp", "same") != "same":
        raise ValueError("omsp can only be 'same'")
    for name in ("group", "tag"):
        if name in tested and not is_label(tested[name]):
            raise ValueError(f"{name} is not 1 to 32 letters, digits, dots, dashes, underscores")
    return Condition(
        _numbers(tested["from"]) if "from" in tested else frozenset(),
        str(tested["group"]) if "group" in tested else None,
        contact,
        "omsp" in tested,
        str(tested["tag"]) if "tag" in tested else None,
    )


def _numbers(value: object) -> frozenset[str]:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_NUMBERS:
        raise ValueError(f"from is not a list of 1 to {MAX_NUMBERS} numbers")
    digits = [canonical_number(item) if isinstance(item, str) else None for item in value]
    if None in digits:
        raise ValueError("from holds something that is not a telephone number")
    return frozenset(number for number in digits if number is not None)


def _services(item: Mapping[str, object]) -> tuple[Service, ...]:
    value = item.get("svc", [])
    if not isinstance(value, list) or len(value) > len(Service):
        raise ValueError("svc is not a list of services")
    try:
        return tuple(Service(service) for service in value)
    except ValueError:
        raise ValueError("a service is not voice, video or im") from None


def _use(value: object) -> Use | tuple[str, ...]:
    if isinstance(value, str) and value in set(Use):
        return Use(value)
    names = value if isinstance(value, list) else [value]
    if not 0 < len(names) <= MAX_USED or len({str(name) for name in names}) != len(names):
        raise ValueError(f"use names 1 to {MAX_USED} different handlers")
    for name in names:
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in set(Use):
            raise ValueError("use names something that is no handler")
    return tuple(str(name) for name in names)


def _labels(document: Mapping[str, object], member: str) -> tuple[str, ...]:
    value = document.get(member, [])
    if not isinstance(value, list) or len(value) > MAX_LABELS:
        raise MalformedRules(f"{member} is not a list of at most {MAX_LABELS}")
    if not all(is_label(item) for item in value):
        raise MalformedRules(f"{member} holds what is no label")
    return tuple(dict.fromkeys(str(item) for item in value))
