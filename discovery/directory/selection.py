"""From a record to the maps a sender uses: services, tags, order, and `sel`.

The tag `same-msp-only` is for senders to honour: such a map is for users of its own provider. All
that can be opened by everybody is returned to everybody (R3); what is for some only is sealed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from typing import Final

from discovery.directory.record import Map, Record, Selection
from discovery.model import Service

SAME_MSP_ONLY: Final = "same-msp-only"


def select(
    record: Record,
    service: Service,
    *,
    own_domains: Collection[str] = (),
    wanted_tags: Iterable[str] = (),
    opened: Iterable[Map] = (),
) -> tuple[Map, ...]:
    """Return the maps to use for a service, best first; only one where the owner says `first`.

    own_domains: the sender's provider; wanted_tags: those the sender looks for, such as
    `business`: where maps carry one, only these are left; where none does, nothing is lost;
    opened: sealed maps that were for this sender, which come before those for everybody.
    """
    fitting = [
        each
        for each in record.maps
        if service in each.services and (SAME_MSP_ONLY not in each.tags or each.msp in own_domains)
    ]
    wanted = frozenset(wanted_tags)
    tagged = [each for each in fitting if wanted.intersection(each.tags)]
    personal = sorted(
        (each for each in opened if service in each.services), key=lambda each: _rank(record, each)
    )
    chosen = personal + sorted(tagged or fitting, key=lambda each: _rank(record, each))
    return tuple(chosen[:1] if record.selection is Selection.FIRST else chosen)


def _rank(record: Record, each: Map) -> tuple[int, bytes]:
    """The owner's order; among equals one that favours no provider and is the same everywhere."""
    neutral = hashlib.sha256(f"{record.csi}\n{each.uri}".encode()).digest()
    return each.prio, neutral
