"""What a source of mappings is: a cache, SPIN, a directory, ENUM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

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


@dataclass(frozen=True, slots=True)
class About:
    """What a question says of itself, beyond who asks.

    provider: domain of the application that asks, for whoever is to be found in the same one only;
    tag: what it is about, such as `business` (a label of discovery.spin.label).
    """

    provider: str | None = None
    tag: str | None = None

    def __bool__(self) -> bool:
        return self.provider is not None or self.tag is not None


class Source(Protocol):
    """A source of mappings; it answers or is cancelled when its time is over."""

    @property
    def name(self) -> str:
        """The word under which it appears in configuration, logs and Reason headers."""
        ...

    async def find(self, number: str, service: Service, *, caller: str) -> SourceAnswer:
        """Ask for a number (digits) on behalf of a caller (digits). Raises nothing of its own."""
        ...


@runtime_checkable
class Describable(Protocol):
    """A source whose answers depend on what a question is about."""

    def describing(self, about: About) -> Source:
        """Return this source for questions about that; what it finds is for nobody else."""
        ...
