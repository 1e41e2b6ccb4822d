"""Handlers: who answers for a number and a service, and which of several is chosen."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from discovery.model import Service
from discovery.service_uri import check_template, is_domain

_PREFIX: Final = re.compile(r"[0-9]{1,15}")
_APP: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
MAX_TEMPLATE: Final = 255
# What a rule's `use` may say beside the name of a handler.
_RESERVED: Final = frozenset({"same", "default", "silent", "declined", "later", "directory"})


@dataclass(frozen=True, slots=True)
class Handler:
    """An application that answers for the numbers that begin with `prefix` (digits).

    `template` is a URI with `{number}` (or `{tn}`), at the provider's domain `msp`;
    `registered_at` is in epoch seconds. Until the user has agreed to it, a handler is not `active`
    and answers nothing.
    """

    handler_id: str
    app_id: str
    prefix: str
    services: tuple[Service, ...]
    template: str
    msp: str
    registered_at: float
    active: bool = True

    def serves(self, number: str, service: Service) -> bool:
        return service in self.services and number.startswith(self.prefix)


def check_app_id(app_id: str) -> None:
    """Check an application's name, which rules use beside words of their own; raises ValueError."""
    if not _APP.fullmatch(app_id):
        raise ValueError("app_id is not 1 to 64 letters, digits, dots, dashes, underscores")
    if app_id in _RESERVED:
        raise ValueError(f"app_id may not be '{app_id}', which means something in rules")


def check_handler(handler: Handler, domains: frozenset[str] = frozenset()) -> None:
    """Check what an application registers; `domains`, if any, are those it may speak for.

    Raises ValueError (MalformedServiceUri among them) saying what is wrong.
    """
    check_app_id(handler.app_id)
    if not _PREFIX.fullmatch(handler.prefix):
        raise ValueError("number is not a number or prefix of 1 to 15 digits")
    if not handler.services or len(set(handler.services)) != len(handler.services):
        raise ValueError("svc is not a list of different services")
    if not is_domain(handler.msp):
        raise ValueError("msp is not a domain in lower case")
    if domains and handler.msp not in domains:
        raise ValueError("msp is not a domain of this agent")
    if len(handler.template) > MAX_TEMPLATE:
        raise ValueError(f"uri is longer than {MAX_TEMPLATE} characters")
    check_template(handler.template, handler.msp)


def choose_handler(
    handlers: Sequence[Handler], number: str, service: Service, default_id: str | None
) -> Handler | None:
    """Return the handler that answers: the user's default, else the most specific, else the first.

    Among equally specific ones the first registered stays: installing a second application must
    not take calls away from the first against the user's wish.
    """
    able = [handler for handler in handlers if handler.serves(number, service)]
    for handler in able:
        if handler.handler_id == default_id:
            return handler
    return min(
        able,
        key=lambda handler: (-len(handler.prefix), handler.registered_at, handler.handler_id),
        default=None,
    )


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing the agent did: when (epoch seconds), what, with which outcome; numbers masked.

    `owner` is the number (digits) whose user may read it; empty for what concerns several.
    """

    at: float
    event: str
    outcome: str
    caller: str
    number: str
    services: str
    handler_id: str | None = None
    owner: str = field(default="", repr=False)


class StoreUnavailable(Exception):
    """The store could not be read or written; the message names the culprit."""
