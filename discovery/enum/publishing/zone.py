"""An authoritative zone of opted-in numbers: answers made and signed one by one.

Nothing of it can be listed. Absence is denied by a single NSEC record that covers the asked name
and nothing else (RFC 4470, RFC 9824). And since an answer that told names with numbers below from
names without would let anyone find every number digit by digit, all names made of digits are
denied alike, as if they existed without records; only other names are said not to exist (NXNAME).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.rdtypes.ANY.NSEC import NSEC
from dns.rdtypes.util import Bitmap

from discovery.enum.domain import Tree
from discovery.enum.naptr import MAX_URIS, Rule
from discovery.enum.publishing.signing import Signatures, SigningKey

NXNAME: Final = 128
CO: Final = 0x4000
"""The EDNS flag Compact Answers OK (RFC 9824 section 5)."""

_REFUSED_TYPES: Final = frozenset(
    {dns.rdatatype.AXFR, dns.rdatatype.IXFR, dns.rdatatype.RRSIG, dns.rdatatype.MAILA,
     dns.rdatatype.MAILB}
)  # fmt: skip
_MAX_NAME: Final = 253


@dataclass(frozen=True, slots=True)
class ZoneSettings:
    """What a zone says of itself; times in seconds.

    nameservers: domains of its servers. ttl, negative_ttl: of records and of denials. validity: of
    signatures. max_signatures: kept for numbers; denials keep a tenth of that, apart, so that a
    flood of names that are not there does not push out those that are.
    """

    nameservers: tuple[str, ...]
    hostmaster: str
    serial: int = 1
    ttl: int = 300
    negative_ttl: int = 60
    validity: float = 259_200.0
    max_signatures: int = 20_000


class PublishedZone:
    """Answers queries about one tree. The first key signs, all are published.

    Raises ValueError for settings that are no names.
    """

    def __init__(self, tree: Tree, keys: tuple[SigningKey, ...], settings: ZoneSettings) -> None:
        if not keys or not settings.nameservers:
            raise ValueError("a zone needs a key and a name server")
        self.tree = tree
        self._settings = settings
        self._keys = keys
        try:
            self.name = dns.name.from_text(tree.suffix)
            self._apex = self._make_apex()
        except dns.exception.DNSException as error:
            raise ValueError(f"zone {tree.suffix}: {error}") from None
        start = self._apex[int(dns.rdatatype.SOA)]
        # What denials begin with; signed with the TTL it has elsewhere, which may be lowered.
        lowered = min(start.ttl, settings.negative_ttl)
        self._start = dns.rrset.from_rdata_list(start.name, lowered, list(start))
        validity, entries = settings.validity, settings.max_signatures
        self._signatures = Signatures(keys[0], self.name, validity=validity, max_entries=entries)
        self._denials = Signatures(
            keys[0], self.name, validity=validity, max_entries=max(entries // 10, 16)
        )

    def ds(self) -> tuple[str, ...]:
        """Return the DS records others pin, the signing key's first."""
        return tuple(key.ds(self.name) for key in self._keys)

    @property
    def signatures_made(self) -> int:
        """Signatures made since the start."""
        return self._signatures.made + self._denials.made

    @property
    def signatures_held(self) -> int:
        """Signatures kept now; bounded by `max_signatures` and a tenth more."""
        return len(self._signatures) + len(self._denials)

    def number_asked(self, query: dns.message.Message) -> str | None:
        """Return the number whose records the query needs, or None."""
        if self._refusal(query) is not None:
            return None
        name = query.question[0].name.to_text(omit_final_dot=True)
        number = self.tree.number(name)
        return number if number is not None and number.startswith(self.tree.prefix) else None

    def answer(
        self, query: dns.message.Message, rules: tuple[Rule, ...], now: float
    ) -> dns.message.Message:
        """Return the response to a query, with the rules of the number it asks for.

        `now` is in epoch seconds, at most 8 rules are given out.
        """
        response = reply_to(query)
        refusal = self._refusal(query)
        if refusal is not None:
            response.set_rcode(refusal)
            return response
        response.flags |= dns.flags.AA
        question = query.question[0]
        held = self._held(question.name, rules)
        found = held.get(question.rdtype)
        if question.rdtype == dns.rdatatype.ANY:  # RFC 8482
            found = self._set(question.name, "HINFO", '"RFC8482" ""')
        if found is not None:
            self._put(response.answer, found, query, now)
        elif question.rdtype == dns.rdatatype.NSEC:
            denial = self._denial(question.name, held)
            self._put(response.answer, denial, query, now, self._denials)
        else:
            self._deny(response, query, held, now)
        return response

    # --- content -------------------------------------------------------------------------------

    def _make_apex(self) -> dict[int, dns.rrset.RRset]:
        settings = self._settings
        servers = [f"{dns.name.from_text(server)}" for server in settings.nameservers]
        mailbox = dns.name.from_text(settings.hostmaster)
        times = f"{settings.serial} 3600 600 604800 {settings.negative_ttl}"
        keys = [key.public.to_text() for key in self._keys]
        sets = (
            self._set(self.name, "SOA", f"{servers[0]} {mailbox} {times}"),
            self._set(self.name, "NS", *servers),
            self._set(self.name, "DNSKEY", *keys),
        )
        return {int(each.rdtype): each for each in sets}

    def _set(self, name: dns.name.Name, kind: str, *data: str) -> dns.rrset.RRset:
        return dns.rrset.from_text(name, self._settings.ttl, "IN", kind, *data)

    def _held(self, name: dns.name.Name, rules: tuple[Rule, ...]) -> dict[int, dns.rrset.RRset]:
        """The record sets at a name, by type."""
        if name == self.name:
            return self._apex
        if not rules:
            return {}
        data = [
            f'{rule.order} {rule.preference} "{rule.flags}" "{_escaped(rule.services)}" '
            f'"{_escaped(rule.regexp)}" {rule.replacement or "."}'
            for rule in rules[:MAX_URIS]
        ]
        return {int(dns.rdatatype.NAPTR): self._set(name, "NAPTR", *data)}

    # --- answers -------------------------------------------------------------------------------

    def _refusal(self, query: dns.message.Message) -> dns.rcode.Rcode | None:
        if query.opcode() != dns.opcode.QUERY:
            return dns.rcode.NOTIMP
        if len(query.question) != 1:
            return dns.rcode.FORMERR
        question = query.question[0]
        if query.edns > 0:
            return dns.rcode.BADVERS
        if question.rdtype == NXNAME:
            return dns.rcode.FORMERR
        ours = question.name.is_subdomain(self.name) and question.rdclass == dns.rdataclass.IN
        # Two octets have to be left for the next name of a denial.
        too_long = sum(len(label) + 1 for label in question.name.labels) > _MAX_NAME
        if not ours or question.rdtype in _REFUSED_TYPES or too_long:
            return dns.rcode.REFUSED
        return None

    def _deny(
        self,
        response: dns.message.Message,
        query: dns.message.Message,
        held: dict[int, dns.rrset.RRset],
        now: float,
    ) -> None:
        name = query.question[0].name
        absent = not held and not self._could_be_number(name)
        signed = bool(query.ednsflags & dns.flags.DO)
        response.authority.append(self._start)
        if signed:
            signature = self._signatures.of(self._apex[int(dns.rdatatype.SOA)], now)
            signature.ttl = self._start.ttl
            response.authority.append(signature)
            self._put(response.authority, self._denial(name, held), query, now, self._denials)
        if absent and (not signed or query.ednsflags & CO):
            response.set_rcode(dns.rcode.NXDOMAIN)
        if query.edns >= 0 and query.ednsflags & CO:
            response.ednsflags |= CO

    def _denial(self, name: dns.name.Name, held: dict[int, dns.rrset.RRset]) -> dns.rrset.RRset:
        """The NSEC record from a name to the very next one possible."""
        types = {*held, int(dns.rdatatype.RRSIG), int(dns.rdatatype.NSEC)}
        if not held and not self._could_be_number(name):
            types.add(NXNAME)
        following = dns.name.Name((b"\x00", *name.labels))
        link: dns.rdata.Rdata = NSEC(  # type: ignore[no-untyped-call]
            dns.rdataclass.IN, dns.rdatatype.NSEC, following, _windows(frozenset(types))
        )
        return dns.rrset.from_rdata(name, self._settings.negative_ttl, link)

    def _could_be_number(self, name: dns.name.Name) -> bool:
        """Whether a name is that of a number or of some digits of one: those are denied alike."""
        labels = name.relativize(self.name).labels
        return all(len(label) == 1 and label.isdigit() for label in labels)

    def _put(
        self,
        section: list[dns.rrset.RRset],
        records: dns.rrset.RRset,
        query: dns.message.Message,
        now: float,
        signatures: Signatures | None = None,
    ) -> None:
        section.append(records)
        if query.ednsflags & dns.flags.DO:
            kept = self._signatures if signatures is None else signatures
            section.append(kept.of(records, now))


def reply_to(query: dns.message.Message) -> dns.message.Message:
    """Return an empty response: never padded, so no longer than its query (RFC 3225: DO stays)."""
    response = dns.message.make_response(query, our_payload=1232, pad=0)
    if query.edns >= 0:
        response.ednsflags |= query.ednsflags & dns.flags.DO
    return response


@lru_cache(maxsize=16)
def _windows(types: frozenset[int]) -> tuple[tuple[int, bytes], ...]:
    """The bit map of types (RFC 4034 section 4.1.2); there are few different ones."""
    kinds = [dns.rdatatype.RdataType.make(kind) for kind in types]
    return tuple(Bitmap.from_rdtypes(kinds).windows)


def _escaped(text: str) -> str:
    """Write a character string for a zone file (RFC 1035 section 5.1)."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
