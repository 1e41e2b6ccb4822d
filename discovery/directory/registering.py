"""What a directory checks before it keeps a record or takes one away (R1, R4, R9, R10)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from discovery.directory.holder import Holder, check_owner
from discovery.directory.identifier import Identifier
from discovery.directory.jws import Signed
from discovery.directory.reason import Refusal, Refused
from discovery.directory.record import Record, check_times
from discovery.directory.statements import Author, Release, Removal, check_author

# A CA may date a certificate back by this, for clocks that are slow.
_BACKDATED = 300.0


@dataclass(frozen=True, slots=True)
class Floor:
    """What earlier records and removals left behind.

    `seq`: highest one of this key, None without any; `digest`: of the record kept with it;
    `removed_at`: when the provider removed the identifier: certificates from before count no more
    (epoch seconds).
    """

    seq: int | None = None
    digest: str | None = None
    removed_at: float = 0.0


def check_registration(
    signed: Signed, record: Record, holder: Holder, floor: Floor, now: float
) -> bool:
    """Check a record that somebody wants to be kept; False where it is the one kept already.

    Raises Refused: BAD_SIGNATURE, CERTIFICATE_EXPIRED, OTHER_IDENTIFIER, EXPIRED, NOT_FRESH,
    BEFORE_REMOVAL, SEQUENCE.
    """
    signed.prove(holder)
    check_owner(holder, record.csi, now)
    check_times(record, now)
    if floor.removed_at and holder.not_before + _BACKDATED <= floor.removed_at:
        raise Refused(
            Refusal.BEFORE_REMOVAL, "certificate is older than the removal by the provider"
        )
    if floor.digest == signed.digest:
        return False
    if floor.seq is not None and record.seq <= floor.seq:
        raise Refused(Refusal.SEQUENCE, "seq is not above that of the record before")
    return True


def check_removal(
    signed: Signed, removal: Removal, holder: Holder, floor: Floor, now: float, *, directory: str
) -> Author:
    """Check a tombstone for `directory` (our URL) and tell whose it is; an owner's has to have a
    higher `seq`.

    Raises Refused as `check_author` does, WRONG_AUDIENCE and SEQUENCE.
    """
    if removal.audience != directory:
        raise Refused(Refusal.WRONG_AUDIENCE, "removal is for another directory")
    author = check_author(signed, removal.csi, removal.issued_at, holder, now)
    if author == "owner" and floor.seq is not None and removal.seq <= floor.seq:
        raise Refused(Refusal.SEQUENCE, "seq is not above that of the record")
    return author


def check_release(
    signed: Signed,
    release: Release,
    holder: Holder,
    *,
    csi: Identifier,
    to: str,
    holders: Iterable[str],
    now: float,
) -> Author:
    """Check that a live key, or the provider, lets the key `to` (thumbprint) have `csi`.

    Tells who does: an owner gives up its own place and nobody else's. Raises Refused as
    `check_author` does, and NOT_ALLOWED.
    """
    if (release.csi, release.to) != (csi, to):
        raise Refused(Refusal.NOT_ALLOWED, "release is for another identifier or key")
    author = check_author(signed, csi, release.issued_at, holder, now)
    if author == "owner" and holder.thumbprint not in set(holders):
        raise Refused(Refusal.NOT_ALLOWED, "release is not by a key that holds the identifier")
    return author
