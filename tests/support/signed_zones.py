"""Signed DNS zones in memory, with delegations, and the answers an authoritative server gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache

import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataset
import dns.rdatatype
import dns.rrset
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from dns.dnssectypes import Algorithm
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.DNSKEY import DNSKEY
from dns.rdtypes.ANY.RRSIG import RRSIG

from discovery.enum.dnssec.anchor import TrustAnchor, trust_anchor
from discovery.enum.dnssec.chain import KeyStore, validate
from discovery.enum.dnssec.limits import Limits
from discovery.enum.dnssec.outcome import Verdict

NOW = 1_795_000_000.0
DAY = 86_400
TTL = 300
_POLICY = dns.dnssec.allow_all_policy
PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class ZoneKey:
    """A private key and its DNSKEY."""

    private: PrivateKey
    public: DNSKEY


def zone_key(algorithm: int = 13, place: int = 0, flags: int = 257) -> ZoneKey:
    """Make a key once a test run for each algorithm (5, 8, 13, 14, 15) and place."""
    return _zone_key(algorithm, place, flags)


@cache
def _zone_key(algorithm: int, place: int, flags: int) -> ZoneKey:
    private: PrivateKey
    if algorithm in (5, 8):
        private = rsa.generate_private_key(65537, 2048)
    elif algorithm == 15:
        private = ed25519.Ed25519PrivateKey.generate()
    else:
        private = ec.generate_private_key(ec.SECP256R1() if algorithm == 13 else ec.SECP384R1())
    public = dns.dnssec.make_dnskey(private.public_key(), Algorithm(algorithm), flags)
    return ZoneKey(private, public)


def name_of(text: str | dns.name.Name) -> dns.name.Name:
    return dns.name.from_text(text) if isinstance(text, str) else text


@dataclass
class SignedZone:
    """One zone: `records` by name and type; `denial` is nsec or nsec3."""

    origin: str
    keys: list[ZoneKey] = field(default_factory=lambda: [zone_key()])
    denial: str = "nsec"
    iterations: int = 0
    salt: bytes = b""
    opt_out: bool = False
    inception: float = NOW - DAY
    expiration: float = NOW + DAY
    signed: bool = True
    records: dict[tuple[dns.name.Name, dns.rdatatype.RdataType], dns.rrset.RRset] = field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        self.name = name_of(self.origin)
        self.add(self.name, "SOA", f"ns.{self.origin}. hm.{self.origin}. 1 3600 600 86400 60")
        self.add(self.name, "NS", f"ns.{self.origin}.")
        if self.signed:
            for key in self.keys:
                self.add(self.name, "DNSKEY", key.public.to_text())

    def add(self, name: str | dns.name.Name, kind: str, *data: str, ttl: int = TTL) -> None:
        owner = name_of(name)
        made = dns.rrset.from_text(owner, ttl, "IN", kind, *data)
        held = self.records.setdefault((owner, made.rdtype), made)
        for record in made:
            held.add(record)

    def ds(self, digest: str = "SHA256") -> list[str]:
        return [
            dns.dnssec.make_ds(self.name, key.public, digest, policy=_POLICY).to_text()
            for key in self.keys
        ]

    def delegate(self, child: SignedZone, *, ds: bool = True) -> None:
        self.add(child.name, "NS", f"ns.{child.origin}.")
        if ds:
            self.add(child.name, "DS", *child.ds())

    def signatures(self, rrset: dns.rrset.RRset) -> dns.rrset.RRset:
        made = [
            dns.dnssec.sign(
                rrset,
                key.private,
                self.name,
                key.public,
                inception=int(self.inception),
                expiration=int(self.expiration),
                policy=_POLICY,
            )
            for key in self.keys
        ]
        return dns.rrset.from_rdata(rrset.name, rrset.ttl, *made)

    # --- answers -------------------------------------------------------------------------------

    def _put(
        self,
        section: list[dns.rrset.RRset],
        rrset: dns.rrset.RRset,
        owner: dns.name.Name | None = None,
    ) -> None:
        """Add a set and its signatures, at another name where a wildcard was used."""
        for each in (rrset, self.signatures(rrset)) if self.signed else (rrset,):
            shown = each
            if owner is not None:
                shown = dns.rrset.from_rdata_list(owner, each.ttl, list(each))
            section.append(shown)

    def answer(self, message: dns.message.Message, name: dns.name.Name, kind: RdataType) -> None:
        found = self.records.get((name, kind)) or self.records.get((name, dns.rdatatype.CNAME))
        if found is not None:
            self._put(message.answer, found)
            return
        if self._exists(name):
            self._put(message.authority, self.records[self.name, dns.rdatatype.SOA])
            self._deny(message, [name], no_data=True)
            return
        encloser = name.parent()
        while not self._exists(encloser):
            encloser = encloser.parent()
        wildcard = dns.name.Name((b"*", *encloser.labels))
        found = self.records.get((wildcard, kind))
        if found is not None:
            self._put(message.answer, found, name)
            self._deny(message, [name])
            return
        if self.denial == "nsec3":
            self._deny_hashed(message, name, encloser, wildcard)
        else:
            self._deny(message, [name, wildcard])
        if not self._exists(wildcard):
            message.set_rcode(dns.rcode.NXDOMAIN)
        self._put(message.authority, self.records[self.name, dns.rdatatype.SOA])

    def _exists(self, name: dns.name.Name) -> bool:
        return any(owner.is_subdomain(name) for owner, _ in self.records)

    def types(self, name: dns.name.Name) -> list[RdataType]:
        held = [kind for owner, kind in self.records if owner == name]
        delegation = dns.rdatatype.NS in held and name != self.name
        if delegation:
            held = [kind for kind in held if kind in (dns.rdatatype.NS, dns.rdatatype.DS)]
        if not delegation or dns.rdatatype.DS in held:
            held.append(dns.rdatatype.RRSIG)
        return held

    def _deny(
        self, message: dns.message.Message, names: list[dns.name.Name], *, no_data: bool = False
    ) -> None:
        if not self.signed:
            return
        if self.denial == "nsec3":
            for name in names:
                place = name
                while not no_data and not self._exists(place.parent()):
                    place = place.parent()
                self._put_once(message, self.nsec3(place))
            return
        for name in names:
            self._put_once(message, self.nsec(name))

    def _deny_hashed(
        self,
        message: dns.message.Message,
        name: dns.name.Name,
        encloser: dns.name.Name,
        wildcard: dns.name.Name,
    ) -> None:
        next_closer = name.split(len(encloser) + 1)[1]
        for each in (encloser, next_closer, wildcard):
            self._put_once(message, self.nsec3(each))

    def _put_once(self, message: dns.message.Message, rrset: dns.rrset.RRset) -> None:
        if rrset not in message.authority:
            self._put(message.authority, rrset)

    def _owners(self) -> list[dns.name.Name]:
        cuts = [
            owner for owner, kind in self.records if kind == dns.rdatatype.NS and owner != self.name
        ]
        return sorted(
            owner
            for owner in {owner for owner, _ in self.records}
            if not any(owner != cut and owner.is_subdomain(cut) for cut in cuts)
        )

    def nsec(self, name: dns.name.Name) -> dns.rrset.RRset:
        """The record at or before a name."""
        owners = self._owners()
        place = max(index for index, owner in enumerate(owners) if owner <= name)
        types = _texts({*self.types(owners[place]), dns.rdatatype.RRSIG, dns.rdatatype.NSEC})
        following = owners[(place + 1) % len(owners)]
        return dns.rrset.from_text(owners[place], 60, "IN", "NSEC", f"{following} {types}")

    def hashed(self, name: dns.name.Name) -> str:
        return dns.dnssec.nsec3_hash(name, self.salt.hex(), self.iterations, 1)

    def nsec3(self, name: dns.name.Name) -> dns.rrset.RRset:
        """The record at or around the hash of a name, empty non-terminals included."""
        names: set[dns.name.Name] = set()
        for owner in self._owners():
            if self.opt_out and self.types(owner) == [dns.rdatatype.NS]:
                continue
            while owner != self.name.parent():
                names.add(owner)
                owner = owner.parent()
        by_hash = sorted((self.hashed(each), each) for each in names)
        wanted = self.hashed(name)
        place = max(
            (index for index, (each, _) in enumerate(by_hash) if each <= wanted),
            default=len(by_hash) - 1,
        )
        following = by_hash[(place + 1) % len(by_hash)][0]
        owner_hash, owner = by_hash[place]
        data = f"1 {int(self.opt_out)} {self.iterations} {self.salt.hex() or '-'} {following}"
        place_name = dns.name.from_text(owner_hash, self.name)
        types = _texts(set(self.types(owner)))
        return dns.rrset.from_text(place_name, 60, "IN", "NSEC3", f"{data} {types}")


def _texts(types: set[RdataType]) -> str:
    return " ".join(map(dns.rdatatype.to_text, sorted(types)))


Tamper = Callable[[dns.message.Message], None]


@dataclass
class SignedWorld:
    """Zones that delegate to each other; `asked` holds the questions in order."""

    zones: list[SignedZone]
    tamper: dict[tuple[str, str], Tamper] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @property
    def top(self) -> SignedZone:
        return self.zones[0]

    def anchor(self) -> TrustAnchor:
        return trust_anchor(self.top.origin, self.top.ds())

    def reply(self, name: dns.name.Name, kind: RdataType) -> dns.message.Message:
        text = name.to_text(omit_final_dot=True)
        self.asked.append(f"{text} {dns.rdatatype.to_text(kind)}")
        query = dns.message.make_query(name, kind, want_dnssec=True)
        message = dns.message.make_response(query)
        message.flags |= dns.flags.AA
        serving = [zone for zone in self.zones if name.is_subdomain(zone.name)]
        if kind == dns.rdatatype.DS:
            serving = [zone for zone in serving if zone.name != name]
        if serving:
            max(serving, key=lambda zone: len(zone.name)).answer(message, name, kind)
        else:
            message.set_rcode(dns.rcode.REFUSED)
        for (tampered, tampered_kind), change in self.tamper.items():
            if tampered == text and dns.rdatatype.from_text(tampered_kind) == kind:
                change(message)
        parsed = dns.message.from_wire(message.to_wire(max_size=65535))
        assert isinstance(parsed, dns.message.Message)
        return parsed

    def validate(
        self,
        name: str,
        kind: str = "NAPTR",
        *,
        now: float = NOW,
        store: KeyStore | None = None,
        anchor: TrustAnchor | None = None,
        limits: Limits | None = None,
    ) -> Verdict:
        asking = validate(
            name_of(name),
            dns.rdatatype.from_text(kind),
            anchor or self.anchor(),
            store or KeyStore(),
            now,
            limits,
        )
        try:
            question = next(asking)
            while True:
                question = asking.send(self.reply(question.name, question.kind))
        except StopIteration as end:
            verdict = end.value
            assert isinstance(verdict, Verdict)
            return verdict


def rrsigs(section: Iterable[dns.rrset.RRset], covered: str) -> list[RRSIG]:
    wanted = dns.rdatatype.from_text(covered)
    return [
        record
        for rrset in section
        for record in rrset
        if isinstance(record, RRSIG) and record.type_covered == wanted
    ]
