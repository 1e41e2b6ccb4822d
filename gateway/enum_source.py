"""ENUM as a source of mappings: private trees asked over DNS, believed only where DNSSEC holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
import structlog
from dns.rdtypes.IN.NAPTR import NAPTR

from discovery.enum.dnssec.anchor import TrustAnchor
from discovery.enum.dnssec.chain import KeyStore, validate
from discovery.enum.dnssec.limits import Limits
from discovery.enum.dnssec.outcome import Status, Verdict
from discovery.enum.domain import Tree, tree_of
from discovery.enum.naptr import MAX_RULES, Rule, Selection, select
from discovery.model import Assurance, FoundUri, Outcome, Service
from discovery.number import masked
from discovery.sources import SourceAnswer
from sip.dns import DnsUnavailable

_log = structlog.get_logger("enum")

# A rule that leads on to another domain of its tree is followed so often.
MAX_REDIRECTIONS: Final = 2
_PRIO_STEP: Final = 10


@dataclass(frozen=True, slots=True)
class PinnedTree:
    """A tree, the DS its keys have to fit, and its servers: (address, port); the usual if none."""

    tree: Tree
    anchor: TrustAnchor
    nameservers: tuple[tuple[str, int], ...] = ()
    keys: KeyStore = field(default_factory=KeyStore)


class SignedDns(Protocol):
    """Asks for records with their signatures; raises DnsUnavailable (gateway.dns)."""

    async def signed_message(
        self,
        name: dns.name.Name,
        kind: dns.rdatatype.RdataType,
        nameservers: tuple[tuple[str, int], ...] = (),
    ) -> dns.message.QueryMessage:
        """Return the answer, not validated."""
        ...


class EnumSource:
    """Asks the tree with the longest prefix of a number. `wall_clock` gives epoch seconds.

    `validations` counts how DNSSEC validation ended, by (status, fault).
    """

    name = "enum"

    def __init__(
        self,
        trees: tuple[PinnedTree, ...],
        dns_client: SignedDns,
        *,
        wall_clock: Callable[[], float],
        limits: Limits | None = None,
    ) -> None:
        self._trees = {pinned.tree: pinned for pinned in trees}
        self._dns = dns_client
        self._wall_clock = wall_clock
        self._limits = limits or Limits()
        self.validations: Counter[tuple[str, ...]] = Counter()

    async def find(self, number: str, service: Service, *, caller: str) -> SourceAnswer:
        """Look a number up; DNS learns the number, never the caller."""
        tree = tree_of(self._trees, number)
        if tree is None:
            return SourceAnswer(Outcome.NOT_FOUND, "no tree for this number")
        pinned = self._trees[tree]
        name = dns.name.from_text(tree.domain(number))
        expires_at = float("inf")
        for _ in range(MAX_REDIRECTIONS + 1):
            try:
                verdict = await self._validated(name, pinned)
            except DnsUnavailable as unavailable:
                return SourceAnswer(Outcome.UNAVAILABLE, _culprit(unavailable))
            if verdict.status is not Status.SECURE:
                return self._not_secure(number, verdict)
            if verdict.records is None:
                return SourceAnswer(Outcome.NOT_FOUND)
            expires_at = min(expires_at, verdict.expires_at)
            selection = select(_rules(verdict.records), number, service)
            if selection.next_domain is None:
                return _answer(selection, service, expires_at)
            name = dns.name.from_text(selection.next_domain)
        return SourceAnswer(Outcome.REFUSED, "rules that lead on without end")

    async def _validated(self, name: dns.name.Name, pinned: PinnedTree) -> Verdict:
        now = self._wall_clock()
        asking = validate(name, dns.rdatatype.NAPTR, pinned.anchor, pinned.keys, now, self._limits)
        try:
            question = next(asking)
            while True:
                message = await self._dns.signed_message(
                    question.name, question.kind, pinned.nameservers
                )
                question = asking.send(message)
        except StopIteration as end:
            verdict: Verdict = end.value
            self.validations[verdict.status, verdict.fault or ""] += 1
            return verdict
        finally:
            asking.close()

    def _not_secure(self, number: str, verdict: Verdict) -> SourceAnswer:
        detail = f"{verdict.status}: {verdict.fault}"
        _log.warning("answer not believed", number=masked(number), detail=detail)
        temporary = verdict.status is Status.INDETERMINATE
        return SourceAnswer(Outcome.UNAVAILABLE if temporary else Outcome.REFUSED, detail)


def _rules(records: dns.rrset.RRset) -> list[Rule]:
    return [
        Rule(
            record.order,
            record.preference,
            record.flags.decode("latin-1"),
            record.service.decode("latin-1"),
            record.regexp.decode("latin-1"),
            "" if record.replacement == dns.name.root else record.replacement.to_text(),
        )
        for record in list(records)[:MAX_RULES]
        if isinstance(record, NAPTR)
    ]


def _answer(selection: Selection, service: Service, expires_at: float) -> SourceAnswer:
    uris = tuple(
        FoundUri(service, uri.text, uri.host, rank * _PRIO_STEP, Assurance.DNSSEC, expires_at)
        for rank, uri in enumerate(selection.uris, start=1)
    )
    if uris:
        return SourceAnswer(Outcome.FOUND, "", uris)
    if selection.refused:
        return SourceAnswer(Outcome.REFUSED, selection.refused[0])
    return SourceAnswer(Outcome.NOT_FOUND, "no record for the service")


def _culprit(unavailable: DnsUnavailable) -> str:
    """Who failed and how; never the domain, which is the number."""
    return f"{unavailable.culprit}: {unavailable.detail}"
