"""What NSEC3 records prove (RFC 5155 section 8), in a bounded number of hashes."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import dns.dnssec
import dns.name
import dns.rdatatype
from dns.rdtypes.ANY.NSEC3 import NSEC3

from discovery.enum.dnssec.limits import Work
from discovery.enum.dnssec.nsec import Absence, absence_at, is_delegation, types_of
from discovery.enum.dnssec.outcome import Fault, Invalid, Status

_OPT_OUT: Final = 1
_SHA1: Final = 1
_MAX_SALT: Final = 64
_WILD: Final = dns.name.Name((b"*",))
# RFC 4648 base32 with the extended hex alphabet, as owner names have it.
_TO_HEX: Final = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789ABCDEFGHIJKLMNOPQRSTUV"
)


@dataclass(frozen=True, slots=True)
class HashLink:
    """One NSEC3 record: the hash of a name and the next hash, as text that sorts like them."""

    owner: str
    following: str
    types: frozenset[int]
    opt_out: bool


def parameters(records: Sequence[NSEC3], work: Work) -> tuple[bytes, int]:
    """Return salt and iterations, which all records of a zone share. Raises Invalid."""
    used = {(record.algorithm, record.salt, record.iterations) for record in records}
    if len(used) != 1:
        raise Invalid(Fault.DENIAL)
    algorithm, salt, iterations = used.pop()
    if algorithm != _SHA1 or len(salt) > _MAX_SALT:
        raise Invalid(Fault.ALGORITHM)
    if iterations > work.limits.max_iterations:
        raise Invalid(Fault.ITERATIONS)
    return salt, iterations


def hash_link(owner: dns.name.Name, record: NSEC3) -> HashLink:
    """Read an NSEC3 record at its owner, `HASH.zone`."""
    following = base64.b32encode(record.next).translate(_TO_HEX).decode().rstrip("=")
    first = owner.labels[0].decode("ascii", "replace").upper()
    return HashLink(first, following, types_of(record), bool(record.flags & _OPT_OUT))


@dataclass(slots=True)
class HashedZone:
    """The links of a zone, all signed by it, that came with one answer."""

    zone: dns.name.Name
    links: Sequence[HashLink]
    salt: bytes
    iterations: int
    work: Work
    _hashes: dict[dns.name.Name, str] = field(default_factory=dict)

    def prove_absence(self, name: dns.name.Name, kind: int) -> Absence:
        """Return what is proven about a name and type (RFC 5155 8.4 to 8.7). Raises Invalid."""
        at_name = self._at(name)
        if at_name is not None:
            return absence_at(at_name.types, kind)
        encloser, cover = self._closest_encloser(name)
        if cover.opt_out:
            # An unsigned delegation may hide here: for its DS that is the proof (8.6), for
            # anything else there is none.
            raise Invalid(Fault.OPT_OUT, Status.INSECURE)
        wildcard = _WILD.concatenate(encloser)
        at_wildcard = self._at(wildcard)
        if at_wildcard is not None:
            absence_at(at_wildcard.types, kind)
            return Absence.TYPE
        if self._covering(wildcard) is None:
            raise Invalid(Fault.DENIAL)
        return Absence.NAME

    def prove_no_closer(self, name: dns.name.Name, wildcard: dns.name.Name) -> None:
        """Check that nothing nearer to a name than the wildcard's parent exists (8.8).

        Raises Invalid.
        """
        next_closer = name.split(len(wildcard) + 1)[1]
        cover = self._covering(next_closer)
        if cover is None:
            raise Invalid(Fault.WILDCARD)
        if cover.opt_out:
            # An unsigned delegation may be nearer, which whoever is on the way keeps from us.
            raise Invalid(Fault.OPT_OUT, Status.INSECURE)

    def _closest_encloser(self, name: dns.name.Name) -> tuple[dns.name.Name, HashLink]:
        """RFC 5155 section 8.3: the ancestor that exists, and the link over the next name."""
        below, ancestor = name, name.parent()
        while ancestor.is_subdomain(self.zone):
            at_ancestor = self._at(ancestor)
            if at_ancestor is not None:
                cover = self._covering(below)
                types = at_ancestor.types
                if cover is None or is_delegation(types) or dns.rdatatype.DNAME in types:
                    raise Invalid(Fault.DENIAL)
                return ancestor, cover
            if ancestor == self.zone:
                break
            below, ancestor = ancestor, ancestor.parent()
        raise Invalid(Fault.DENIAL)

    def _at(self, name: dns.name.Name) -> HashLink | None:
        hashed = self._hash(name)
        return next((each for each in self.links if each.owner == hashed), None)

    def _covering(self, name: dns.name.Name) -> HashLink | None:
        hashed = self._hash(name)
        for each in self.links:
            within = each.owner < hashed < each.following
            # The last link of the zone leads back to the first.
            around = each.owner >= each.following and (
                hashed > each.owner or hashed < each.following
            )
            if within or around:
                return each
        return None

    def _hash(self, name: dns.name.Name) -> str:
        known = self._hashes.get(name)
        if known is None:
            self.work.spend_hash()
            known = dns.dnssec.nsec3_hash(name, self.salt.hex(), self.iterations, _SHA1)
            self._hashes[name] = known
        return known
