"""What a source of mappings is: a cache, SPIN, a directory, ENUM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from discovery.model import FoundUri, Outcome, Service


@dataclass(frozen=True, slots=True)
class SourceAnswer:
    """What a source says about a number; `detail` holds no number and no token.

    `final`: no other source may be used instead, since the number's owner has opted out, or two
    claim to be the owner.
    """

    outcome: Outcome
    detail: str = ""
    uris: tuple[FoundUri, ...] = ()
    final: bool = False


class Source(Protocol):
    """A source of mappings; it answers or is cancelled when its time is over."""

    @property
    def name(self) -> str:
        """The word under which it appears in configuration, logs and Reason headers."""
        ...

    async def find(self, number: str, service: Service, *, caller: str) -> SourceAnswer:
        """Ask for a number (digits) on behalf of a caller (digits). Raises nothing of its own."""
        ...
