"""Signatures made as answers need them, and kept for a while (ECDSA P-256 with SHA-256)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import dns.dnssec
import dns.name
import dns.rrset
from cryptography.hazmat.primitives.asymmetric import ec
from dns.dnssectypes import Algorithm
from dns.rdtypes.ANY.DNSKEY import DNSKEY
from dns.rdtypes.ANY.RRSIG import RRSIG

_ZONE_AND_ENTRY_POINT: Final = 257
# Clocks of validators differ.
_INCEPTION_SECONDS: Final = 3_600


class SigningKey:
    """A P-256 key that signs a whole zone; raises ValueError for a key of another kind."""

    def __init__(self, private: object) -> None:
        if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(
            private.curve, ec.SECP256R1
        ):
            raise ValueError("the key has to be an ECDSA key on P-256")
        self._private = private
        self.public: DNSKEY = dns.dnssec.make_dnskey(
            private.public_key(), Algorithm.ECDSAP256SHA256, _ZONE_AND_ENTRY_POINT
        )

    def ds(self, zone: dns.name.Name) -> str:
        """Return the DS record (SHA-256) that others pin, in zone file form."""
        return dns.dnssec.make_ds(zone, self.public, "SHA256").to_text()

    def sign(self, records: dns.rrset.RRset, zone: dns.name.Name, now: float, end: float) -> RRSIG:
        """Sign a record set until `end`; times in epoch seconds."""
        return dns.dnssec.sign(
            records,
            self._private,
            zone,
            self.public,
            inception=int(now) - _INCEPTION_SECONDS,
            expiration=int(end),
        )


@dataclass(frozen=True, slots=True)
class _Kept:
    content: tuple[str, ...]
    signature: RRSIG
    renew_at: float


class Signatures:
    """Signatures by name and type, the least recently used leaving first.

    validity: seconds a new one is valid; it is made anew after half of that, or when the records
    change. max_entries: signatures kept.
    """

    def __init__(
        self, key: SigningKey, zone: dns.name.Name, *, validity: float, max_entries: int
    ) -> None:
        self._key = key
        self._zone = zone
        self._validity = validity
        self._max_entries = max_entries
        self._kept: OrderedDict[tuple[dns.name.Name, int], _Kept] = OrderedDict()
        self.made = 0

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, records: dns.rrset.RRset, now: float) -> dns.rrset.RRset:
        """Return the signature of a record set as a set of its own; `now` in epoch seconds."""
        place = (records.name, int(records.rdtype))
        content = tuple(sorted(record.to_text() for record in records))
        kept = self._kept.get(place)
        if kept is None or kept.content != content or kept.renew_at <= now:
            self.made += 1
            signature = self._key.sign(records, self._zone, now, now + self._validity)
            kept = self._kept[place] = _Kept(content, signature, now + self._validity / 2)
            while len(self._kept) > self._max_entries:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(place)
        return dns.rrset.from_rdata(records.name, records.ttl, kept.signature)
