"""What several directories say, made one answer (R3, R5): all of it counts, none is preferred."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from discovery.directory.answer import LoggedRecord, Status, status_of
from discovery.directory.record import Record


@dataclass(frozen=True, slots=True)
class ProvenRecord:
    """A record that was checked: its owner's key (thumbprint), and whether a log proof held.

    `usable_until`: the sooner of the record's and its certificate's end, epoch seconds; `evidence`:
    what it was checked by.
    """

    record: Record
    thumbprint: str
    digest: str
    logged: bool
    usable_until: float
    directory: str
    evidence: LoggedRecord = field(repr=False)


@dataclass(frozen=True, slots=True)
class Merged:
    """One answer from all directories; `records` are one for each key, equal standing."""

    status: Status
    records: tuple[ProvenRecord, ...]


def merge(found: Sequence[ProvenRecord], *, logged_first: bool = False) -> Merged:
    """Merge checked records of all directories asked.

    logged_first: keys of whom a log knows count alone where there are any, so that a certificate
    that nobody was shown makes no conflict.

    Of one key the latest record counts, wherever it came from; the same record from two is one. A
    record dropped by a later one of another key that says `new` is for each directory to decide,
    after its hold: here two keys are a conflict, which is shown and not resolved.
    """
    latest: dict[str, ProvenRecord] = {}
    for each in found:
        held = latest.get(each.thumbprint)
        if held is None or _standing(each) > _standing(held):
            latest[each.thumbprint] = each
    standing = latest.values()
    logged = [each for each in standing if each.logged] if logged_first else []
    records = tuple(sorted(logged or standing, key=lambda each: each.digest))
    return Merged(status_of([each.record for each in records]), records)


def _standing(each: ProvenRecord) -> tuple[int, bool, float]:
    return each.record.seq, each.logged, each.usable_until
