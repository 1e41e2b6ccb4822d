"""Handlers: who answers for a number and a service, and which of several is chosen."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from discovery.model import Service
from discovery.service_uri import check_template, is_domain

_PREFIX: Final = re.compile(r"[0-9]{1,15}")
_APP: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
MAX_TEMPLATE: Final = 255


@dataclass(frozen=True, slots=True)
class Handler:
    """An application that answers for the numbers that begin with `prefix` (digits).

    `template` is a URI with `{number}` (or `{tn}`), at the provider's domain `msp`;
    `registered_at` is in epoch seconds.
    """

    handler_id: str
    app_id: str
    prefix: str
    services: tuple[Service, ...]
    template: str
    msp: str
    registered_at: float

    def serves(self, number: str, service: Service) -> bool:
        return service in self.services and number.startswith(self.prefix)


def check_handler(handler: Handler, domains: frozenset[str] = frozenset()) -> None:
    """Check what an application registers; `domains`, if any, are those it may speak for.

    Raises ValueError (MalformedServiceUri among them) saying what is wrong.
    """
    if not _APP.fullmatch(handler.app_id):
        raise ValueError("app_id is not 1 to 64 letters, digits, dots, dashes, underscores")
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
    """One thing the agent did: when (epoch seconds), what, with which outcome; numbers masked."""

    at: float
    event: str
    outcome: str
    caller: str
    number: str
    services: str
    handler_id: str | None = None


class AgentStore(Protocol):
    """Where handlers, defaults and the audit trail live. All methods raise StoreUnavailable."""

    async def add_handler(self, handler: Handler) -> None: ...

    async def handler(self, handler_id: str) -> Handler | None: ...

    async def handlers(self, *, limit: int) -> list[Handler]: ...

    async def handlers_for(self, number: str, service: Service) -> list[Handler]: ...

    async def count_handlers(self) -> int: ...

    async def remove_handler(self, handler_id: str) -> bool: ...

    async def set_default(self, number: str, service: Service, handler_id: str) -> None: ...

    async def default(self, number: str, service: Service) -> str | None: ...

    async def remove_default(self, number: str, service: Service) -> bool: ...

    async def record(self, entry: AuditEntry) -> None: ...

    async def audit(self, *, limit: int) -> list[AuditEntry]: ...


class StoreUnavailable(Exception):
    """The store could not be read or written; the message names the culprit."""
