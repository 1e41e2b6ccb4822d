"""Proofs of absence in the authority section of an answer, by NSEC or NSEC3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import dns.name
from dns.rdtypes.ANY.NSEC import NSEC
from dns.rdtypes.ANY.NSEC3 import NSEC3

from discovery.enum.dnssec import nsec, nsec3
from discovery.enum.dnssec.limits import Work
from discovery.enum.dnssec.nsec import Absence
from discovery.enum.dnssec.outcome import Fault, Invalid
from discovery.enum.dnssec.signatures import SignedSet, ZoneKeys, verify


@dataclass(frozen=True, slots=True)
class Denial:
    """The signed links of an answer; `expires_at` is when the first of them ends."""

    zone: dns.name.Name
    links: tuple[nsec.Link, ...]
    hashed: nsec3.HashedZone | None
    expires_at: float

    def prove_absence(self, name: dns.name.Name, kind: int) -> Absence:
        """Return what is proven to be absent. Raises Invalid."""
        if self.links:
            return nsec.prove_absence(name, kind, self.zone, self.links)
        if self.hashed is None:
            raise Invalid(Fault.DENIAL)
        return self.hashed.prove_absence(name, kind)

    def prove_no_closer(self, name: dns.name.Name, wildcard: dns.name.Name) -> None:
        """Check that a wildcard was rightly used for a name (RFC 4035 5.3.4). Raises Invalid."""
        if self.links:
            if nsec.closest_encloser(name, self.zone, self.links) != wildcard:
                raise Invalid(Fault.WILDCARD)
        elif self.hashed is None:
            raise Invalid(Fault.WILDCARD)
        else:
            self.hashed.prove_no_closer(name, wildcard)


def read_denial(sets: Sequence[SignedSet], by: ZoneKeys, now: float, work: Work) -> Denial:
    """Verify the NSEC and NSEC3 records among the sets of a section.

    `now` is in epoch seconds. Raises Invalid.
    """
    links: list[nsec.Link] = []
    hashed: list[tuple[dns.name.Name, NSEC3]] = []
    expires_at = float("inf")
    for each in sets:
        records = [record for record in each.records if isinstance(record, NSEC | NSEC3)]
        if not records:
            continue
        verified = verify(each, by, now, work)
        if verified.wildcard is not None:
            raise Invalid(Fault.DENIAL)
        expires_at = min(expires_at, verified.expires_at)
        for record in records:
            if isinstance(record, NSEC):
                links.append(nsec.link(each.records.name, record))
            elif each.records.name.parent() == by.zone:
                hashed.append((each.records.name, record))
    return Denial(by.zone, tuple(links), _hashed(by.zone, hashed, work), expires_at)


def _hashed(
    zone: dns.name.Name, found: Sequence[tuple[dns.name.Name, NSEC3]], work: Work
) -> nsec3.HashedZone | None:
    if not found:
        return None
    salt, iterations = nsec3.parameters([record for _, record in found], work)
    links = tuple(nsec3.hash_link(owner, record) for owner, record in found)
    return nsec3.HashedZone(zone, links, salt, iterations, work)
