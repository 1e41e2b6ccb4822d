"""What discovery is about: services, the URIs found for a number, and how they were found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Service(StrEnum):
    """A way to communicate, by its name in SPIN's `svc`."""

    VOICE = "voice"
    VIDEO = "video"
    IM = "im"


class Assurance(StrEnum):
    """Why a URI is believed to belong to its number, weakest first.

    SMS: somebody who saw a text message said so; never cached, never enough for a call.
    SIGNED: a credential with the right to use the number signed it.
    DNSSEC, LOGGED: a validated DNS answer; a record in a transparency log.
    """

    SMS = "sms"
    SIGNED = "signed"
    DNSSEC = "dnssec"
    LOGGED = "logged"

    @property
    def strength(self) -> int:
        """How much it is worth: higher is better, equal only for the same."""
        return _STRENGTHS[self]


_STRENGTHS = {assurance: place for place, assurance in enumerate(Assurance)}


@dataclass(frozen=True, slots=True)
class FoundUri:
    """One URI under which a number can be reached for a service.

    `msp` is the domain of the provider that serves it; `prio` orders several, lower first;
    `expires_at` is in epoch seconds.
    """

    service: Service
    uri: str
    msp: str
    prio: int
    assurance: Assurance
    expires_at: float


class Outcome(StrEnum):
    """How one source answered."""

    FOUND = "found"
    NOT_FOUND = "not found"
    DECLINED = "declined"
    NO_ANSWER = "no answer"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class SourceOutcome:
    """What one source said, for the Reason header, the log and the person at the screen.

    `detail` names the culprit where something failed and holds no number or token;
    `seconds` is the time the source took.
    """

    name: str
    outcome: Outcome
    detail: str
    seconds: float

    def __str__(self) -> str:
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.name}: {self.outcome}{detail}"


@dataclass(frozen=True, slots=True)
class Resolution:
    """All that was learnt about a number: URIs, best first, and which sources were asked."""

    number: str
    service: Service
    uris: tuple[FoundUri, ...]
    asked: tuple[SourceOutcome, ...]

    @property
    def found(self) -> bool:
        return bool(self.uris)

    def asked_text(self) -> str:
        """Return which sources were asked, as text for a Reason header (RFC 3326)."""
        return "; ".join(str(source) for source in self.asked) or "no source configured"
