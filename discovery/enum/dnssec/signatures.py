"""Signatures over record sets (RFC 4035 section 5.3), and keys that fit a DS."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import dns.dnssec
import dns.exception
import dns.name
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset
from dns.dnssectypes import Algorithm
from dns.rdtypes.ANY.DNSKEY import DNSKEY
from dns.rdtypes.ANY.DS import DS
from dns.rdtypes.ANY.RRSIG import RRSIG
from dns.rdtypes.dnskeybase import Flag

from discovery.enum.dnssec.limits import Limits, Work
from discovery.enum.dnssec.outcome import Fault, Invalid

# The engine has judged algorithms before it asks for a signature to be checked.
_POLICY: Final[dns.dnssec.Policy] = dns.dnssec.allow_all_policy


@dataclass(frozen=True, slots=True)
class SignedSet:
    """A record set and the signatures that came with it."""

    records: dns.rrset.RRset
    signatures: tuple[RRSIG, ...]


@dataclass(frozen=True, slots=True)
class ZoneKeys:
    """The validated keys of a zone; `expires_at` in epoch seconds."""

    zone: dns.name.Name
    keys: tuple[DNSKEY, ...]
    expires_at: float


@dataclass(frozen=True, slots=True)
class Verified:
    """A record set whose signature fits.

    `expires_at`: epoch seconds. `wildcard`: the name without the `*` it was made from, or None.
    """

    records: dns.rrset.RRset
    expires_at: float
    wildcard: dns.name.Name | None


def signed_sets(section: Sequence[dns.rrset.RRset], limits: Limits) -> list[SignedSet]:
    """Put the signatures of a message's section beside the sets they cover. Raises Invalid."""
    if sum(len(rrset) for rrset in section) > limits.max_records:
        raise Invalid(Fault.TOO_MANY_RECORDS)
    signatures: dict[tuple[dns.name.Name, int], list[RRSIG]] = {}
    for rrset in section:
        for record in rrset:
            if isinstance(record, RRSIG):
                signatures.setdefault((rrset.name, record.type_covered), []).append(record)
    return [
        SignedSet(rrset, tuple(signatures.get((rrset.name, rrset.rdtype), ())))
        for rrset in section
        if rrset.rdtype != dns.rdatatype.RRSIG and rrset.rdclass == dns.rdataclass.IN
    ]


def verify(signed: SignedSet, by: ZoneKeys, now: float, work: Work) -> Verified:
    """Find a signature of the zone that fits.

    `now` is in epoch seconds. Raises Invalid with the fault of the last signature tried.
    """
    records, limits = signed.records, work.limits
    if not records.name.is_subdomain(by.zone):
        raise Invalid(Fault.SIGNER)
    if not signed.signatures:
        raise Invalid(Fault.NO_SIGNATURE)
    if len(signed.signatures) > limits.max_signatures:
        raise Invalid(Fault.TOO_MANY_SIGNATURES)
    fault = Fault.NO_SIGNATURE
    for signature in signed.signatures:
        try:
            _check(records, signature, by, now, work)
        except Invalid as invalid:
            if invalid.fault is Fault.TOO_MUCH_WORK:
                raise
            fault = invalid.fault
            continue
        lifetime = min(records.ttl, signature.original_ttl, limits.max_ttl)
        expires_at = min(now + lifetime, float(signature.expiration))
        return Verified(records, expires_at, _wildcard(records.name, signature))
    raise Invalid(fault)


def _check(
    records: dns.rrset.RRset, signature: RRSIG, by: ZoneKeys, now: float, work: Work
) -> None:
    if signature.signer != by.zone:
        raise Invalid(Fault.SIGNER)
    if signature.algorithm not in work.limits.algorithms:
        raise Invalid(Fault.ALGORITHM)
    if signature.labels > _labels(records.name):
        raise Invalid(Fault.SIGNATURE)
    if signature.expiration < now:
        raise Invalid(Fault.EXPIRED)
    if signature.inception > now:
        raise Invalid(Fault.NOT_YET_VALID)
    fitting = [key for key in by.keys if _made(key, signature)]
    if not fitting:
        raise Invalid(Fault.NO_KEY)
    if len(fitting) > work.limits.max_same_tag:
        raise Invalid(Fault.TOO_MANY_KEYS)
    for key in fitting:
        work.spend_verification()
        if _fits(records, signature, key, now):
            return
    raise Invalid(Fault.SIGNATURE)


def _made(key: DNSKEY, signature: RRSIG) -> bool:
    return key.algorithm == signature.algorithm and dns.dnssec.key_id(key) == signature.key_tag


def _fits(records: dns.rrset.RRset, signature: RRSIG, key: DNSKEY, now: float) -> bool:
    keyset = dns.rdataset.from_rdata(0, key)
    try:
        dns.dnssec.validate_rrsig(
            records, signature, {signature.signer: keyset}, None, now, _POLICY
        )
    except (dns.exception.DNSException, ValueError):
        return False
    return True


def _labels(name: dns.name.Name) -> int:
    """RFC 4034 section 3.1.3: neither the root nor a leading asterisk counts."""
    return len(name) - 1 - name.is_wild()


def _wildcard(name: dns.name.Name, signature: RRSIG) -> dns.name.Name | None:
    if signature.labels == _labels(name):
        return None
    return name.split(signature.labels + 1)[1]


def keys_by_ds(
    signed: SignedSet, zone: dns.name.Name, ds: Iterable[DS], now: float, work: Work
) -> ZoneKeys:
    """Return the keys of a zone, once one that fits a DS has signed them all (RFC 4035 5.2).

    Raises Invalid; `insecure` where no DS is of an allowed algorithm and digest.
    """
    limits = work.limits
    if len(signed.records) > limits.max_keys:
        raise Invalid(Fault.TOO_MANY_KEYS)
    keys = tuple(key for key in signed.records if _usable(key, limits))
    trusted: list[DNSKEY] = []
    for pinned in list(ds)[: limits.max_ds]:
        for key in keys:
            if key.algorithm == pinned.algorithm and dns.dnssec.key_id(key) == pinned.key_tag:
                work.spend_hash()
                if _digest_fits(zone, key, pinned) and key not in trusted:
                    trusted.append(key)
    if not trusted:
        raise Invalid(Fault.ANCHOR)
    verified = verify(signed, ZoneKeys(zone, tuple(trusted), 0.0), now, work)
    if verified.wildcard is not None:
        raise Invalid(Fault.WILDCARD)
    return ZoneKeys(zone, keys, verified.expires_at)


def usable_ds(records: dns.rrset.RRset, limits: Limits) -> tuple[DS, ...]:
    """Return the DS records of allowed algorithm and digest; possibly none."""
    return tuple(
        ds
        for ds in records
        if isinstance(ds, DS)
        and ds.algorithm in limits.algorithms
        and ds.digest_type in limits.digests
    )


def _usable(key: object, limits: Limits) -> bool:
    """A zone key (RFC 4034 2.1), not revoked (RFC 5011), of an allowed algorithm and size."""
    if not isinstance(key, DNSKEY) or key.protocol != 3 or key.algorithm not in limits.algorithms:
        return False
    if not key.flags & Flag.ZONE or key.flags & Flag.REVOKE:
        return False
    if key.algorithm == Algorithm.RSASHA256:
        # Exponent and length take at most a few octets more than the modulus (RFC 3110).
        return limits.min_rsa_bits <= len(key.key) * 8 <= limits.max_rsa_bits + 64
    return True


def _digest_fits(zone: dns.name.Name, key: DNSKEY, ds: DS) -> bool:
    try:
        made = dns.dnssec.make_ds(zone, key, ds.digest_type, policy=_POLICY, validating=True)
    except (dns.exception.DNSException, ValueError):
        return False
    return bool(made == ds)
