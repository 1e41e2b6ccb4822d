"""Directories as a source of URIs: all asked at once, what they say merged, none favoured."""

from __future__ import annotations

import asyncio
import copy
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from discovery.directory.answer import Status
from discovery.directory.client import CheckedAnswer
from discovery.directory.identifier import Identifier, Scheme
from discovery.directory.merging import ProvenRecord, merge
from discovery.directory.prefix_map import DirectoryName
from discovery.directory.sealed_maps import open_maps
from discovery.directory.selection import select
from discovery.model import Assurance, FoundUri, Outcome, Service
from discovery.sources import About, SourceAnswer
from gateway.directory.sealing import CallerKeys
from gateway.directory_client import DirectoryConnection, DirectoryFailed
from gateway.directory_log.auditing import LogAuditor
from gateway.http.service_client import ServiceClient
from gateway.metrics import Metrics
from gateway.oblivious_making import ObliviousParts, Upkeep
from gateway.prefix_map_file import PrefixMapFile

_log = structlog.get_logger("directories")
NAME: Final = "directory"
_MAX_CONNECTIONS: Final = 320


@dataclass(frozen=True, slots=True)
class SourcePolicy:
    """What of a record is used: by logged ones only or any, for users of which domains, which tags.

    `budget`: seconds for all directories together; `sealed_keys`: what callers of ours can open.
    """

    budget: float
    require_logged: bool = False
    own_domains: frozenset[str] = frozenset()
    tags: tuple[str, ...] = ()
    sealed_keys: CallerKeys = field(default_factory=CallerKeys)


class DirectorySource:
    """A `Source`. `prefixes` None: every directory is asked for every number; else `connect` makes
    connections to directories that a later map names, or None for those that are not asked.

    wall_clock gives epoch seconds.
    """

    name = NAME

    def __init__(
        self,
        connections: Iterable[DirectoryConnection],
        policy: SourcePolicy,
        wall_clock: Callable[[], float],
        *,
        prefixes: PrefixMapFile | None = None,
        connect: Callable[[DirectoryName], DirectoryConnection | None] | None = None,
        clients: Sequence[ServiceClient] = (),
        auditor: LogAuditor | None = None,
        oblivious: Sequence[ObliviousParts] = (),
        upkeep: Sequence[Upkeep] = (),
    ) -> None:
        self._connections = {each.url: each for each in connections}
        self._policy = policy
        self._wall_clock = wall_clock
        self._prefixes = prefixes
        self._connect = connect
        self._clients = tuple(clients)
        self._auditor = auditor
        self._oblivious = tuple(oblivious)
        self._upkeep: list[asyncio.Future[None]] = []
        self._works = (*(each for parts in oblivious for each in parts.upkeep), *upkeep)

    def begin(self) -> None:
        """Buy tokens, keep keys current and follow the logs from now on, until closed.

        Called when the gateway starts: begun by the first lookup, all of that would show when that
        was. Needs a running event loop.
        """
        if self._auditor is not None:
            self._auditor.begin()
        if not self._upkeep:
            self._upkeep = [asyncio.ensure_future(each.run()) for each in self._works]

    def measure(self, metrics: Metrics) -> None:
        """Add what is known of oblivious lookups to the gateway's metrics."""
        if not self._oblivious:
            return
        metrics.gauge("directory_tokens", "Tokens for lookups in hand", lambda: self.tokens)
        metrics.counts(
            "directory_tokens_bought",
            "Tokens bought, and rounds of buying that failed, by reason",
            ("outcome",),
            self._token_counts,
        )
        metrics.counts(
            "directory_oblivious_lookups",
            "Lookups through a relay, by how they ended",
            ("outcome",),
            self._lookup_counts,
        )

    def _token_counts(self) -> dict[tuple[str, ...], int]:
        counts: Counter[tuple[str, ...]] = Counter()
        for parts in self._oblivious:
            counts["bought",] += parts.tokens.bought
            for reason, count in parts.tokens.failed.items():
                counts[f"failed: {reason}",] += count
        return dict(counts)

    def _lookup_counts(self) -> dict[tuple[str, ...], int]:
        counts: Counter[tuple[str, ...]] = Counter()
        for parts in self._oblivious:
            for outcome, count in parts.way.outcomes.items():
                counts[outcome,] += count
        return dict(counts)

    @property
    def personal(self) -> CallerKeys:
        """Callers who may be answered otherwise than others."""
        return self._policy.sealed_keys

    def describing(self, about: About) -> DirectorySource:
        """Return this source for users of an application, or who look for a tag."""
        provider = {about.provider} if about.provider is not None else set()
        described = copy.copy(self)
        described._policy = replace(
            self._policy,
            own_domains=self._policy.own_domains | provider,
            tags=self._policy.tags if about.tag is None else (about.tag,),
        )
        return described

    async def find(self, number: str, service: Service, *, caller: str) -> SourceAnswer:
        csi = Identifier(Scheme.TEL, number)
        connections = self._responsible(csi)
        if not connections:
            if self._prefixes is not None and self._prefixes.current() is None:
                return SourceAnswer(Outcome.UNAVAILABLE, "the prefix map has expired")
            return SourceAnswer(Outcome.NOT_FOUND, "no directory is responsible")
        answers, failures = await self.ask_all(connections, csi, service)
        if not answers:
            return SourceAnswer(Outcome.UNAVAILABLE, "; ".join(failures))
        return self._concluded(answers, failures, service, caller)

    @property
    def tokens(self) -> int:
        """How many tokens for lookups are in hand."""
        return sum(len(parts.tokens) for parts in self._oblivious)

    async def answers(
        self, csi: Identifier, service: Service | None
    ) -> tuple[list[CheckedAnswer], list[str]]:
        """Ask all that are responsible; return what they said with its proof, and what failed."""
        return await self.ask_all(self._responsible(csi), csi, service)

    async def ask_all(
        self, connections: Collection[DirectoryConnection], csi: Identifier, service: Service | None
    ) -> tuple[list[CheckedAnswer], list[str]]:
        """Ask directories side by side; return what they said, and why some said nothing."""
        self.begin()
        asked = (each.ask(csi, service, timeout=self._policy.budget) for each in connections)
        answers: list[CheckedAnswer] = []
        failures: list[str] = []
        for result in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(result, DirectoryFailed):
                failures.append(f"{_host(result.culprit)}: {result.detail}")
            elif isinstance(result, BaseException):
                raise result
            else:
                answers.append(result)
                failures += [
                    f"{_host(result.directory)}: record {why.reason}" for why in result.refused
                ]
        return answers, failures

    async def close(self) -> None:
        """Close the connections."""
        for task in self._upkeep:
            task.cancel()
        await asyncio.gather(*self._upkeep, return_exceptions=True)
        if self._auditor is not None:
            await self._auditor.close()
        for client in self._clients:
            await client.close()

    def _responsible(self, csi: Identifier) -> list[DirectoryConnection]:
        if self._prefixes is None:
            return list(self._connections.values())
        prefixes = self._prefixes.current()
        names = prefixes.directories(csi) if prefixes is not None else ()
        return [found for found in map(self._connection, names) if found is not None]

    def _connection(self, name: DirectoryName) -> DirectoryConnection | None:
        """Return how a directory of the map is asked; one that it did not name before is new."""
        if name.url not in self._connections and self._connect is not None:
            if len(self._connections) >= _MAX_CONNECTIONS:
                return None
            made = self._connect(name)
            if made is not None:
                self._connections[name.url] = made
        return self._connections.get(name.url)

    def _concluded(
        self, answers: list[CheckedAnswer], failures: list[str], service: Service, caller: str
    ) -> SourceAnswer:
        merged = merge(
            [record for answer in answers for record in answer.records],
            logged_first=self._policy.require_logged,
        )
        trouble = "; ".join(failures)
        if merged.status is Status.CONFLICT:
            owners = f"conflict: {len(merged.records)} owners"
            detail = f"{owners}; {trouble}" if trouble else owners
            return SourceAnswer(Outcome.REFUSED, detail, final=True)
        if merged.status is Status.NONE:
            return SourceAnswer(Outcome.NOT_FOUND, trouble)
        if merged.status is Status.OPTOUT:
            return SourceAnswer(Outcome.DECLINED, "opted out", final=True)
        (record,) = merged.records
        if self._policy.require_logged and not record.logged:
            return SourceAnswer(Outcome.REFUSED, "record is not logged")
        uris = self._uris(record, service, caller)
        if not uris:
            return SourceAnswer(Outcome.NOT_FOUND, trouble)
        return SourceAnswer(Outcome.FOUND, trouble, uris)

    def _uris(self, proven: ProvenRecord, service: Service, caller: str) -> tuple[FoundUri, ...]:
        maps = select(
            proven.record,
            service,
            own_domains=self._policy.own_domains,
            wanted_tags=self._policy.tags,
            opened=open_maps(proven.record, self._policy.sealed_keys.of(caller)),
        )
        assurance = Assurance.LOGGED if proven.logged else Assurance.SIGNED
        # Places instead of prio: what is equal there was ordered without favour already.
        return tuple(
            FoundUri(service, each.uri, each.msp, place, assurance, proven.usable_until)
            for place, each in enumerate(maps)
        )


def _host(url: str) -> str:
    return url.split("/", 3)[2]
