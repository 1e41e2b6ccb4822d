"""Who may look identifiers up: peers by bearer token or TLS certificate, or a Privacy Pass token.

Each peer has a quota a day and a rate: a directory that answers any number of questions is a list
of everybody (R8). A Privacy Pass token is worth one lookup and names nobody (RFC 9577).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog
from aiohttp import web

from discovery.directory.reason import Refusal
from gateway.directory.database import DirectoryUnavailable
from gateway.directory.quotas import Quotas
from gateway.http.known_clients import KnownClient, KnownClients
from gateway.http.problem import Problem
from gateway.http.source_address import source_of
from stir.oob.rate import Rate, TokenBuckets

_log = structlog.get_logger("directory")
_FAILURES: Final = Rate(0.5, 20.0)
_LATER: Final = {"Retry-After": "60"}
_PRIVATE_TOKEN: Final = "PrivateToken "  # noqa: S105 - a scheme (RFC 9577)


@dataclass(frozen=True, slots=True)
class LookupPeer:
    """A peer: how it is known, and its quota."""

    client: KnownClient
    per_day: int
    rate: Rate


class TokenRedeemer(Protocol):
    """Whoever knows the issuers of Privacy Pass tokens and which tokens were spent."""

    @property
    def challenge(self) -> str | None:
        """The WWW-Authenticate value that asks for a token, None where none are taken."""
        ...

    async def redeem(self, authorization: str) -> bool:
        """Spend the token of an Authorization value; False where it is bad or spent.

        Raises DirectoryUnavailable.
        """
        ...


class LookupAccess:
    """Admits lookups; raises Problem. `wall_clock` gives epoch seconds.

    `outcomes` counts (peer, outcome); those with a Privacy Pass token are `token`.
    """

    def __init__(
        self,
        peers: tuple[LookupPeer, ...],
        wall_clock: Callable[[], float],
        quotas: Quotas,
        *,
        redeemer: TokenRedeemer | None = None,
    ) -> None:
        self._known = KnownClients(peer.client for peer in peers)
        self._peers = {peer.client.name: peer for peer in peers}
        self._wall_clock = wall_clock
        self._redeemer = redeemer
        self._buckets = {peer.client.name: TokenBuckets(peer.rate) for peer in peers}
        self._quotas = quotas
        self._failures = TokenBuckets(_FAILURES)
        self.outcomes: Counter[tuple[str, ...]] = Counter()

    async def admit(self, request: web.Request) -> None:
        """Admit one lookup, or raise Problem: 401, 429, 503."""
        values = request.headers.getall("Authorization", [])
        if len(values) == 1 and values[0].startswith(_PRIVATE_TOKEN):
            try:
                await self.admit_token(values[0])
            except Problem:
                self._fail(request)
                raise
            return
        client = self._known.find(request)
        if client is None:
            self._fail(request)
            raise Problem(401, headers={"WWW-Authenticate": self._challenges()})
        await self._take(self._peers[client.name])

    async def _take(self, peer: LookupPeer) -> None:
        name = peer.client.name
        # The rate first: what it turns away costs nothing of the day's quota.
        admitted = self._buckets[name].take("", self._wall_clock())
        try:
            admitted = admitted and await self._quotas.take(name, peer.per_day)
        except DirectoryUnavailable as error:
            raise _unavailable(error) from None
        if not admitted:
            self.outcomes[name, "quota"] += 1
            raise _too_many("quota of lookups is used up")
        self.outcomes[name, "admitted"] += 1

    async def admit_token(self, authorization: str) -> None:
        """Admit one lookup for a Privacy Pass token, whoever sends it; raises Problem: 401, 503."""
        try:
            good = self._redeemer is not None and await self._redeemer.redeem(authorization)
        except DirectoryUnavailable as error:
            raise _unavailable(error) from None
        if not good:
            self.outcomes["token", "refused"] += 1
            raise Problem(401, headers={"WWW-Authenticate": self._challenges()})
        self.outcomes["token", "admitted"] += 1

    def _fail(self, request: web.Request) -> None:
        self.outcomes["", "unauthorized"] += 1
        if not self._failures.take(source_of(request.remote), self._wall_clock()):
            raise _too_many("too many requests without a right to ask")

    def _challenges(self) -> str:
        challenge = self._redeemer.challenge if self._redeemer is not None else None
        return f"Bearer, {challenge}" if challenge else "Bearer"


def _unavailable(error: DirectoryUnavailable) -> Problem:
    _log.error("database unavailable", culprit=str(error))
    return Problem(503, "the database is unavailable", headers={"Retry-After": "5"})


def _too_many(detail: str) -> Problem:
    return Problem(429, detail, kind=f"urn:spin:error:{Refusal.RATE_LIMITED}", headers=dict(_LATER))
