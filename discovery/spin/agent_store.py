"""What the agent keeps: handlers, defaults, rules, contacts, credentials and the audit trail.

Every method of these protocols raises StoreUnavailable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from discovery.model import Service
from discovery.spin.handlers import AuditEntry, Handler
from discovery.spin.rules import Contact, Rule


@dataclass(frozen=True, slots=True)
class Preferences:
    """All that a user has chosen which bears on one caller and one service."""

    handlers: tuple[Handler, ...]
    default_id: str | None
    rules: tuple[Rule, ...]
    contact: Contact | None


class PreferenceStore(Protocol):
    """What answering an invitation needs."""

    async def preferences(self, number: str, service: Service, caller: str) -> Preferences: ...

    async def record(self, entry: AuditEntry) -> None: ...


class AgentStore(PreferenceStore, Protocol):
    """What the agent's interface needs besides."""

    async def add_handler(self, handler: Handler) -> None: ...

    async def handler(self, handler_id: str) -> Handler | None: ...

    async def handlers(
        self, *, limit: int, app_id: str | None = None, within: str = ""
    ) -> list[Handler]: ...

    async def handlers_for(self, number: str, service: Service | None) -> list[Handler]: ...

    async def count_handlers(self) -> int: ...

    async def activate_handler(self, handler_id: str) -> bool: ...

    async def remove_handler(self, handler_id: str) -> bool: ...

    async def set_default(self, number: str, service: Service, handler_id: str) -> None: ...

    async def default(self, number: str, service: Service) -> str | None: ...

    async def remove_default(self, number: str, service: Service) -> bool: ...

    async def rules(self, number: str) -> tuple[Rule, ...]: ...

    async def set_rules(self, number: str, rules: Sequence[Rule]) -> None: ...

    async def contacts(self, number: str, *, limit: int) -> list[Contact]: ...

    async def set_contacts(self, number: str, contacts: Sequence[Contact]) -> None: ...

    async def audit(self, *, limit: int, number: str | None = None) -> list[AuditEntry]: ...
