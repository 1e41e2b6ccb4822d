"""Who may look identifiers up: peers by bearer token or TLS certificate, or a Privacy Pass token.

Each peer has a quota a day and a rate: a directory that answers any number of questions is a list
of everybody (R8). A Privacy Pass token is worth one lookup and names nobody (RFC 9577).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import structlog
from aiohttp import web

from discovery.directory.reason import Refusal
from gateway.directory.database import DirectoryUnavailable
from gateway.directory.quotas import Quotas
from gateway.http.callback import bearer_of
from gateway.http.problem import Problem
from gateway.http.source_address import source_of
from stir.oob.rate import Rate, TokenBuckets

_log = structlog.get_logger("directory")
_FAILURES: Final = Rate(0.5, 20.0)
_LATER: Final = {"Retry-After": "60"}
_PRIVATE_TOKEN: Final = "PrivateToken "  # noqa: S105 - a scheme (RFC 9577)


@dataclass(frozen=True, slots=True)
class LookupPeer:
    """A peer: SHA-256 of its bearer token, or a name its TLS certificate has; its quota."""

    name: str
    token_digest: bytes | None = field(repr=False)
    domain: str | None
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
        self._by_token = {peer.token_digest: peer for peer in peers if peer.token_digest}
        self._by_domain = {peer.domain: peer for peer in peers if peer.domain}
        self._wall_clock = wall_clock
        self._redeemer = redeemer
        self._buckets = {peer.name: TokenBuckets(peer.rate) for peer in peers}
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
        peer = self._peer(request)
        if peer is None:
            self._fail(request)
            raise Problem(401, headers={"WWW-Authenticate": self._challenges()})
        await self._take(peer)

    def _peer(self, request: web.Request) -> LookupPeer | None:
        token = bearer_of(request)
        if token is not None:
            # Found by its digest: how long that takes tells nothing about the token.
            digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
            return self._by_token.get(digest)
        if "Authorization" in request.headers:
            return None
        for name in _certificate_names(request):
            peer = self._by_domain.get(name)
            if peer is not None:
                return peer
        return None

    async def _take(self, peer: LookupPeer) -> None:
        # The rate first: what it turns away costs nothing of the day's quota.
        admitted = self._buckets[peer.name].take("", self._wall_clock())
        try:
            admitted = admitted and await self._quotas.take(peer.name, peer.per_day)
        except DirectoryUnavailable as error:
            raise _unavailable(error) from None
        if not admitted:
            self.outcomes[peer.name, "quota"] += 1
            raise _too_many("quota of lookups is used up")
        self.outcomes[peer.name, "admitted"] += 1

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


def _certificate_names(request: web.Request) -> list[str]:
    """The dNSNames of the client's TLS certificate, which the listener has verified."""
    transport = request.transport
    certificate: dict[str, Any] | None = (
        transport.get_extra_info("peercert") if transport is not None else None
    )
    names = (certificate or {}).get("subjectAltName", ())
    return [value.lower() for kind, value in names if kind == "DNS"]
