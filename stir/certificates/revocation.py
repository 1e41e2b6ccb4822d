"""What is known about revoked certificates, and what it means for a path; pure, time an argument.

A list or answer is fresh until its nextUpdate. What it revokes stays revoked, however old it is;
that it does not revoke counts until then, and by policy for some time after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final, Literal

from stir.certificates.certificate import Credential, Problem
from stir.certificates.chain import Path
from stir.certificates.crl import RevocationList
from stir.certificates.revocation_records import Record, SourceTable
from stir.certificates.revocation_sources import (
    Choice,
    Found,
    PolicyAdministrator,
    Source,
    SourceFinder,
    Subject,
)
from stir.reason import Reason

Grade = Literal["good", "stale", "expired", "unknown", "revoked"]
# For one certificate the best of its sources counts, so that what was known beats what never was;
# of a path the worst certificate, where not knowing is not as bad as knowing only what is too old.
_BEST: Final[tuple[Grade, ...]] = ("good", "stale", "expired", "unknown")
_WORST: Final[tuple[Grade, ...]] = ("revoked", "expired", "unknown", "stale", "good")

# How long an answer about a path is kept at most, in seconds: it also tells what is in use.
_ANSWER_LIFETIME: Final = 60.0
MAX_PATHS: Final = 4_096
_NONE_REVOKED: Final = "no certificate of the path revoked"
_ALL_CURRENT: Final = "a current revocation list or OCSP answer for every certificate"


@dataclass(frozen=True, slots=True)
class RevocationPolicy:
    """What is asked for; times in seconds.

    `hard` wants current knowledge of every certificate. Without it a call passes whose
    certificates could not be checked at all, and a list is believed for `max_stale` after its
    nextUpdate. `refresh`: a list is fetched again after that time at the latest. `allow_http`:
    also without TLS. `max_lists`, `max_entries`: lists of distribution points kept, and revoked
    certificates on all of them together; `max_answers`: OCSP answers kept.
    """

    hard: bool = False
    max_stale: float = 86_400.0
    refresh: float = 3_600.0
    allow_http: bool = False
    max_lists: int = 256
    max_entries: int = 1_000_000
    max_answers: int = 4_096


@dataclass(frozen=True, slots=True)
class RevocationStatus:
    """What is known of a path until `until` (epoch seconds).

    `problem` is why the path is refused. `due` are sources to fetch (again); a call should wait
    for those that are `missing`, without which nothing can be said.
    """

    grade: Grade
    got: str
    problem: Problem | None
    due: tuple[Source, ...]
    missing: tuple[Source, ...]
    until: float

    @property
    def checked(self) -> bool:
        """Whether something is known of every certificate."""
        return self.grade != "unknown"


@dataclass(frozen=True, slots=True)
class _Part:
    """What is known of one certificate, until when."""

    grade: Grade
    detail: str = ""
    until: float = inf
    missing: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class _Known:
    path: Path
    subjects: tuple[Subject, ...]
    status: RevocationStatus
    generation: int


class RevocationRecords:
    """Lists and answers by source, and what they mean; given to a verification service."""

    def __init__(
        self,
        policy: RevocationPolicy,
        administrators: Sequence[PolicyAdministrator] = (),
        *,
        rand: Callable[[], float],
    ) -> None:
        """`rand` gives numbers from 0 to 1, to spread the times of fetching."""
        self._policy = policy
        self._finder = SourceFinder(administrators, allow_http=policy.allow_http)
        self.sources = SourceTable(
            self._finder.configured,
            refresh=policy.refresh,
            max_lists=policy.max_lists,
            max_entries=policy.max_entries,
            max_answers=policy.max_answers,
            rand=rand,
        )
        self._known: dict[bytes, _Known] = {}
        self.counts: dict[Grade, int] = dict.fromkeys(_WORST, 0)

    def status(self, credential: Credential, path: Path, now: float) -> RevocationStatus:
        """What is known of a path without problem, counted; `now` is in epoch seconds."""
        status = self.peek(credential, path, now)
        self.counts[status.grade] += 1
        return status

    def peek(self, credential: Credential, path: Path, now: float) -> RevocationStatus:
        """The same, not counted: for what is to be fetched before the call's own checks."""
        known = self._known.get(credential.fingerprint)
        same = known is not None and (known.path is path or known.path == path)
        if (
            known is not None
            and same
            and known.generation == self.sources.generation
            and now < known.status.until
        ):
            return known.status
        subjects = known.subjects if known and same else self._finder.subjects(path)
        status = self._judge(subjects, now)
        while len(self._known) >= MAX_PATHS and credential.fingerprint not in self._known:
            del self._known[next(iter(self._known))]
        generation = self.sources.generation
        self._known[credential.fingerprint] = _Known(path, subjects, status, generation)
        return status

    def store(self, source: Source, found: Found, now: float) -> None:
        """Take a list or answer that counts; an older one than is known changes nothing."""
        self.sources.store(source, found, now)

    def failed(self, source: Source, detail: str, now: float) -> None:
        """Remember that a fetch brought nothing that counts, and leave the source alone a while."""
        self.sources.failed(source, detail, now)

    # --- judging -----------------------------------------------------------------------------

    def _judge(self, subjects: Sequence[Subject], now: float) -> RevocationStatus:
        wanted = dict.fromkeys(s for subject in subjects for s in subject.sources)
        records = {source: self.sources.asked(source, now) for source in wanted}
        due = tuple(source for source, record in records.items() if record.due <= now)
        parts = [self._part(subject, records, now) for subject in subjects]
        times = [now + _ANSWER_LIFETIME, *(part.until for part in parts)]
        times += [record.due for record in records.values()]
        worst = min(parts, key=lambda part: _WORST.index(part.grade))
        got, problem = self._meaning(worst, len(parts))
        missing = tuple(dict.fromkeys(s for part in parts for s in part.missing))
        return RevocationStatus(worst.grade, got, problem, due, missing, min(times))

    def _meaning(self, worst: _Part, count: int) -> tuple[str, Problem | None]:
        if worst.grade == "revoked":
            return worst.detail, Problem(Reason.CREDENTIAL_REVOKED, worst.detail, _NONE_REVOKED)
        if worst.grade == "good":
            return f"{count} certificates, none revoked", None
        if self._policy.hard or worst.grade == "expired":
            unavailable = Reason.REVOCATION_UNAVAILABLE
            return worst.detail, Problem(unavailable, worst.detail, _ALL_CURRENT)
        if worst.grade == "stale":
            return f"none revoked as far as is known: {worst.detail}", None
        return f"not checked: {worst.detail}", None

    def _part(self, subject: Subject, records: dict[Source, Record], now: float) -> _Part:
        for source in subject.sources:
            reason = _revoked(records[source].found, subject)
            if reason is not None:
                return _Part("revoked", f"{subject.name} was revoked: {reason}")
        also = tuple(s for s in subject.also if not records[s].tried)
        if subject.anchor:
            return _Part("good", missing=also)
        if not subject.choices:
            return _Part("unknown", f"{subject.name} {subject.without}", missing=also)
        parts = [
            self._by(subject, choice, records[choice.source], now) for choice in subject.choices
        ]
        best = min(parts, key=lambda part: (_BEST.index(part.grade), -part.until))
        missing = tuple(s for part in parts for s in part.missing)
        if best.grade == "good":
            missing = ()
        return _Part(best.grade, best.detail, best.until, missing + also)

    def _by(self, subject: Subject, choice: Choice, record: Record, now: float) -> _Part:
        """What one source says of a certificate that it does not revoke."""
        source, found = choice.source, record.found
        if found is None:
            detail = f"{source.name}: {record.failure or 'not fetched yet'}"
            return _Part("unknown", detail, missing=() if record.tried else (source,))
        if isinstance(found, RevocationList):
            if choice.indirect and not found.indirect:
                return _Part("unknown", f"{source.name}: not an indirect list")
            if not found.covers(authority=subject.authority, points=choice.points):
                return _Part("unknown", f"{source.name}: not about {subject.name}")
        elif found.status == "unknown":
            return _Part("unknown", f"{source.name}: does not know {subject.name}")
        if now < found.next_update:
            return _Part("good", until=found.next_update)
        detail = f"{source.name}: expired since {round(now - found.next_update)} s"
        detail += f" ({record.failure})" if record.failure else ""
        last = found.next_update + self._policy.max_stale
        if not self._policy.hard and now < last:
            return _Part("stale", detail, last)
        return _Part("expired", detail, missing=() if record.failures else (source,))


def _revoked(found: Found | None, subject: Subject) -> str | None:
    if found is None:
        return None
    if isinstance(found, RevocationList):
        return found.listed(subject.issuer, subject.serial)
    return found.reason if found.status == "revoked" else None
