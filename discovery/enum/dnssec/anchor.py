"""The pinned beginning of a chain: the DS records of a private tree."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
from dns.rdtypes.ANY.DS import DS

from discovery.enum.dnssec.limits import ALGORITHMS, DIGESTS


@dataclass(frozen=True, slots=True)
class TrustAnchor:
    """A zone and the DS records its keys have to fit."""

    zone: dns.name.Name
    ds: tuple[DS, ...]


def trust_anchor(zone: str, records: Iterable[str]) -> TrustAnchor:
    """Read an anchor from DS records in zone file form: `12345 13 2 3490A6...`.

    Raises ValueError naming the record that is wrong, one of an algorithm (8, 13, 14, 15) or a
    digest (2, 4) that is not allowed included.
    """
    read = []
    for text in records:
        try:
            ds = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.DS, text)
        except (dns.exception.DNSException, ValueError):
            raise ValueError(f"'{text}' is not a DS record (key tag, algorithm, ...)") from None
        assert isinstance(ds, DS)
        if ds.algorithm not in ALGORITHMS or ds.digest_type not in DIGESTS:
            raise ValueError(f"'{text}': algorithm 8, 13, 14 or 15 and digest 2 or 4 are allowed")
        read.append(ds)
    if not read:
        raise ValueError("at least one DS record is needed")
    try:
        return TrustAnchor(dns.name.from_text(zone), tuple(read))
    except dns.exception.DNSException:
        raise ValueError(f"'{zone}' is not a domain name") from None
