"""From a pinned DS to a signed answer: which questions to ask, and what the answers prove.

The engine is a generator: it yields a Question, is sent the answer, and returns a Verdict.

    ask NAME -> who signed?  --a zone below the last one trusted--> ask its DS, its DNSKEY --+
                   |  ^----------------------------------------------------------------------+
                   |--nobody--> ask DS at every name on the way: a delegation without DS, or bogus
                   '--the zone trusted--> records: verify (wildcard: prove it), alias: begin again
                                          none: prove that there are none
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator
from dataclasses import dataclass

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
from dns.rdtypes.ANY.DS import DS

from discovery.enum.dnssec.anchor import TrustAnchor
from discovery.enum.dnssec.denial import read_denial
from discovery.enum.dnssec.limits import Limits, Work
from discovery.enum.dnssec.nsec import Absence
from discovery.enum.dnssec.outcome import Fault, Invalid, Status, Verdict
from discovery.enum.dnssec.signatures import (
    SignedSet,
    ZoneKeys,
    keys_by_ds,
    signed_sets,
    usable_ds,
    verify,
)


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask next, with the DO bit."""

    name: dns.name.Name
    kind: dns.rdatatype.RdataType


Asking = Generator[Question, dns.message.Message, Verdict]


class KeyStore:
    """Validated keys by zone until they expire, so that most answers need one question.

    max_zones: the least recently used leave first.
    """

    def __init__(self, *, max_zones: int = 256) -> None:
        self._max_zones = max_zones
        self._zones: OrderedDict[dns.name.Name, ZoneKeys] = OrderedDict()

    def get(self, zone: dns.name.Name, now: float) -> ZoneKeys | None:
        """Return the keys of a zone that are valid at `now` (epoch seconds)."""
        held = self._zones.get(zone)
        if held is None or held.expires_at <= now:
            return None
        self._zones.move_to_end(zone)
        return held

    def put(self, keys: ZoneKeys) -> None:
        """Keep the keys of a zone."""
        self._zones[keys.zone] = keys
        self._zones.move_to_end(keys.zone)
        if len(self._zones) > self._max_zones:
            self._zones.popitem(last=False)


def validate(
    name: dns.name.Name,
    kind: dns.rdatatype.RdataType,
    anchor: TrustAnchor,
    store: KeyStore,
    now: float,
    limits: Limits | None = None,
) -> Asking:
    """Ask for a name and type below an anchor and validate what comes; `now` in epoch seconds.

    The questions are asked by whoever drives the generator; where one gets no answer, it is
    closed. Messages are taken as parsed; nothing in them makes the engine raise.
    """
    work = Work(limits or Limits())
    chain = _Chain(anchor, store, now, work)
    try:
        return (yield from chain.answer(name, kind))
    except Invalid as invalid:
        return Verdict(invalid.status, invalid.fault)


@dataclass(slots=True)
class _Chain:
    anchor: TrustAnchor
    store: KeyStore
    now: float
    work: Work

    def answer(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> Asking:
        expires_at = float("inf")
        for _ in range(self.work.limits.max_aliases + 1):
            if not name.is_subdomain(self.anchor.zone):
                raise Invalid(Fault.ALIAS_LEAVES, Status.INDETERMINATE)
            message = yield from self._ask(name, kind)
            answered, authority = self._sections(message)
            keys = yield from self._keys_for(name, [*answered, *authority])
            expires_at = min(expires_at, keys.expires_at)
            found = self._at(answered, name, kind)
            alias = self._at(answered, name, dns.rdatatype.CNAME)
            if found is None and (alias is None or not alias.signatures):
                redirection = self._redirection(answered, name)
                if redirection is not None:
                    name, until = self._redirected(name, redirection, keys)
                    expires_at = min(expires_at, until)
                    continue
            if found is None and alias is None:
                until = self._absent(name, kind, message, authority, keys)
                return Verdict(Status.SECURE, None, None, min(expires_at, until))
            records, until = self._present(found or alias, authority, keys)
            expires_at = min(expires_at, until)
            if found is not None:
                return Verdict(Status.SECURE, None, records, expires_at)
            name = records[0].target
        raise Invalid(Fault.ALIASES)

    # --- one answer ----------------------------------------------------------------------------

    def _ask(
        self, name: dns.name.Name, kind: dns.rdatatype.RdataType
    ) -> Generator[Question, dns.message.Message, dns.message.Message]:
        self.work.spend_question()
        message = yield Question(name, kind)
        if message.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise Invalid(Fault.RCODE, Status.INDETERMINATE)
        return message

    def _sections(self, message: dns.message.Message) -> tuple[list[SignedSet], list[SignedSet]]:
        limits = self.work.limits
        return signed_sets(message.answer, limits), signed_sets(message.authority, limits)

    @staticmethod
    def _at(sets: list[SignedSet], name: dns.name.Name, kind: int) -> SignedSet | None:
        return next(
            (each for each in sets if each.records.name == name and each.records.rdtype == kind),
            None,
        )

    def _present(
        self,
        signed: SignedSet | None,
        authority: list[SignedSet],
        keys: ZoneKeys,
    ) -> tuple[dns.rrset.RRset, float]:
        assert signed is not None
        verified = verify(signed, keys, self.now, self.work)
        until = verified.expires_at
        if verified.wildcard is not None:
            denial = read_denial(authority, keys, self.now, self.work)
            denial.prove_no_closer(signed.records.name, verified.wildcard)
            until = min(until, denial.expires_at)
        return verified.records, until

    @staticmethod
    def _redirection(sets: list[SignedSet], name: dns.name.Name) -> SignedSet | None:
        """The DNAME in an answer that is above a name (RFC 6672), or None."""
        return next(
            (
                each
                for each in sets
                if each.records.rdtype == dns.rdatatype.DNAME
                and each.records.name != name
                and name.is_subdomain(each.records.name)
            ),
            None,
        )

    def _redirected(
        self, name: dns.name.Name, signed: SignedSet, keys: ZoneKeys
    ) -> tuple[dns.name.Name, float]:
        """Where a name goes by a DNAME. The alias that came with it is not signed: it is made here.

        RFC 6672 section 5.3.1 has a validator do so.
        """
        verified = verify(signed, keys, self.now, self.work)
        if verified.wildcard is not None or len(verified.records) != 1:
            raise Invalid(Fault.DNAME)
        below = name.relativize(verified.records.name)
        try:
            return below.concatenate(verified.records[0].target), verified.expires_at
        except dns.exception.DNSException:
            raise Invalid(Fault.DNAME) from None

    def _absent(
        self,
        name: dns.name.Name,
        kind: int,
        message: dns.message.Message,
        authority: list[SignedSet],
        keys: ZoneKeys,
    ) -> float:
        denial = read_denial(authority, keys, self.now, self.work)
        absence = denial.prove_absence(name, kind)
        if message.rcode() == dns.rcode.NXDOMAIN and absence is not Absence.NAME:
            raise Invalid(Fault.DENIAL)
        return denial.expires_at

    # --- the way to the zone that signed -------------------------------------------------------

    def _keys_for(
        self, name: dns.name.Name, sets: list[SignedSet]
    ) -> Generator[Question, dns.message.Message, ZoneKeys]:
        """The keys of the zone that says it signed an answer about `name`."""
        signer = self._signer(name, sets)
        keys = yield from self._anchored()
        if signer is None:
            yield from self._explain_unsigned(name, keys)
            raise Invalid(Fault.NO_SIGNATURE)
        return (yield from self._descend(keys, signer, 0))

    def _signer(self, name: dns.name.Name, sets: list[SignedSet]) -> dns.name.Name | None:
        for each in sets:
            for signature in each.signatures[: self.work.limits.max_signatures]:
                signer = signature.signer
                if name.is_subdomain(signer) and signer.is_subdomain(self.anchor.zone):
                    return signer
        return None

    def _anchored(self) -> Generator[Question, dns.message.Message, ZoneKeys]:
        zone = self.anchor.zone
        return self.store.get(zone, self.now) or (yield from self._fetch_keys(zone, self.anchor.ds))

    def _descend(
        self, keys: ZoneKeys, zone: dns.name.Name, depth: int
    ) -> Generator[Question, dns.message.Message, ZoneKeys]:
        """From trusted keys to those of a zone below, over every zone between."""
        if zone == keys.zone:
            return keys
        known = self.store.get(zone, self.now)
        if known is not None:
            return known
        if depth >= self.work.limits.max_zones:
            raise Invalid(Fault.TOO_MANY_QUESTIONS)
        message = yield from self._ask(zone, dns.rdatatype.DS)
        answered, authority = self._sections(message)
        signer = self._signer(zone.parent(), [*answered, *authority])
        if signer is None or not signer.is_subdomain(keys.zone):
            raise Invalid(Fault.NO_SIGNATURE)
        keys = yield from self._descend(keys, signer, depth + 1)
        found = self._at(answered, zone, dns.rdatatype.DS)
        if found is None:
            self._no_ds(zone, authority, keys)
            raise Invalid(Fault.SIGNER)
        return (yield from self._delegated(found, keys))

    def _delegated(
        self, found: SignedSet, keys: ZoneKeys
    ) -> Generator[Question, dns.message.Message, ZoneKeys]:
        verified = verify(found, keys, self.now, self.work)
        if verified.wildcard is not None:
            raise Invalid(Fault.WILDCARD)
        ds = usable_ds(verified.records, self.work.limits)
        if not ds:
            # RFC 4035 section 5.2: as good as no DS at all.
            raise Invalid(Fault.ALGORITHM, Status.INSECURE)
        until = min(verified.expires_at, keys.expires_at)
        return (yield from self._fetch_keys(verified.records.name, ds, until))

    def _fetch_keys(
        self, zone: dns.name.Name, ds: tuple[DS, ...], until: float = float("inf")
    ) -> Generator[Question, dns.message.Message, ZoneKeys]:
        message = yield from self._ask(zone, dns.rdatatype.DNSKEY)
        answered, _ = self._sections(message)
        found = self._at(answered, zone, dns.rdatatype.DNSKEY)
        if found is None:
            raise Invalid(Fault.ANCHOR)
        keys = keys_by_ds(found, zone, ds, self.now, self.work)
        keys = ZoneKeys(zone, keys.keys, min(keys.expires_at, until))
        self.store.put(keys)
        return keys

    def _no_ds(self, zone: dns.name.Name, authority: list[SignedSet], keys: ZoneKeys) -> Absence:
        """What is proven about the DS of a name; raises Invalid, `insecure` for a delegation."""
        denial = read_denial(authority, keys, self.now, self.work)
        absence = denial.prove_absence(zone, dns.rdatatype.DS)
        if absence is Absence.DELEGATION:
            raise Invalid(Fault.UNSIGNED_DELEGATION, Status.INSECURE)
        return absence

    def _explain_unsigned(
        self, name: dns.name.Name, keys: ZoneKeys
    ) -> Generator[Question, dns.message.Message, None]:
        """Look for a delegation without DS between a trusted zone and an unsigned answer."""
        for count in range(len(keys.zone) + 1, len(name) + 1):
            place = name.split(count)[1]
            message = yield from self._ask(place, dns.rdatatype.DS)
            answered, authority = self._sections(message)
            found = self._at(answered, place, dns.rdatatype.DS)
            if found is not None:
                keys = yield from self._delegated(found, keys)
            elif self._no_ds(place, authority, keys) is Absence.NAME:
                return
