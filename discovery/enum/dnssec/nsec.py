"""What NSEC records prove (RFC 4035 section 5.4, RFC 6840 section 4, RFC 9824)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

import dns.name
import dns.rdata
import dns.rdatatype
from dns.rdtypes.ANY.NSEC import NSEC
from dns.rdtypes.ANY.NSEC3 import NSEC3

from discovery.enum.dnssec.outcome import Fault, Invalid

NXNAME: Final = 128
"""The meta type by which compact denial says that a name does not exist (RFC 9824 section 2)."""

_WILD: Final = dns.name.Name((b"*",))


class Absence(Enum):
    """What is absent. DELEGATION: there is a delegation at the name, and no DS."""

    NAME = auto()
    TYPE = auto()
    DELEGATION = auto()


@dataclass(frozen=True, slots=True)
class Link:
    """One NSEC record: a name, the next one, and the types at the first."""

    owner: dns.name.Name
    following: dns.name.Name
    types: frozenset[int]


def link(owner: dns.name.Name, record: NSEC) -> Link:
    """Read an NSEC record."""
    return Link(owner, record.next, types_of(record))


def types_of(record: NSEC | NSEC3) -> frozenset[int]:
    """Return the types in a type bitmap (RFC 4034 section 4.1.2)."""
    return frozenset(
        window * 256 + place * 8 + bit
        for window, octets in record.windows
        for place, octet in enumerate(octets)
        for bit in range(8)
        if octet & (0x80 >> bit)
    )


def is_delegation(types: frozenset[int]) -> bool:
    """Tell whether these are the types on the parent's side of a delegation."""
    return dns.rdatatype.NS in types and dns.rdatatype.SOA not in types


def absence_at(types: frozenset[int], kind: int) -> Absence:
    """Return what the types at a name say about `kind`. Raises Invalid where it may be there."""
    delegation = is_delegation(types)
    if kind in types or dns.rdatatype.CNAME in types:
        raise Invalid(Fault.DENIAL)
    if kind == dns.rdatatype.DS:
        if dns.rdatatype.SOA in types:
            raise Invalid(Fault.DENIAL)  # the child's own word about what its parent has
        return Absence.DELEGATION if delegation else Absence.TYPE
    if delegation:
        raise Invalid(Fault.DENIAL)  # the parent knows nothing but the DS
    return Absence.NAME if NXNAME in types else Absence.TYPE


def prove_absence(
    name: dns.name.Name, kind: int, zone: dns.name.Name, links: Sequence[Link]
) -> Absence:
    """Return what the links, all signed by the zone, prove about a name and type.

    Raises Invalid.
    """
    for each in links:
        if each.owner == name:
            return absence_at(each.types, kind)
        # A name between two others has no records itself, but names below it do (RFC 4592 2.2.2).
        # That of the next one itself is there, and the link does not say what is at it.
        between = each.owner < name < each.following and each.following.is_subdomain(name)
        if between and _reaches(each, name):
            return Absence.TYPE
    encloser = closest_encloser(name, zone, links)
    wildcard = _WILD.concatenate(encloser)
    for each in links:
        if each.owner == wildcard:
            absence_at(each.types, kind)
            return Absence.TYPE
    if not any(covers(each, wildcard, zone) for each in links):
        raise Invalid(Fault.DENIAL)
    return Absence.NAME


def closest_encloser(
    name: dns.name.Name, zone: dns.name.Name, links: Sequence[Link]
) -> dns.name.Name:
    """Return the longest existing ancestor of a name proven absent. Raises Invalid."""
    for each in links:
        if covers(each, name, zone):
            return max(_common(name, each.owner), _common(name, each.following), key=len)
    raise Invalid(Fault.DENIAL)


def covers(each: Link, name: dns.name.Name, zone: dns.name.Name) -> bool:
    """Tell whether a link proves that there is no such name in the zone."""
    if not name.is_subdomain(zone) or not each.owner < name or not _reaches(each, name):
        return False
    if each.following != zone and not name < each.following:
        return False
    return not each.following.is_subdomain(name)  # else there are names below it


def _reaches(each: Link, name: dns.name.Name) -> bool:
    """A link at a delegation or DNAME says nothing about names below (RFC 6840 section 4.1)."""
    below = name.is_subdomain(each.owner)
    return not below or not (is_delegation(each.types) or dns.rdatatype.DNAME in each.types)


def _common(name: dns.name.Name, other: dns.name.Name) -> dns.name.Name:
    _, _, labels = name.fullcompare(other)
    return name.split(labels)[1]
