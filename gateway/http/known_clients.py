"""Clients that an operator named: known by a bearer token or by a name in their TLS certificate."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from gateway.config.files import read_secret
from gateway.config.known_clients import NamedClient
from gateway.config.load import ConfigError
from gateway.http.callback import bearer_of
from gateway.http.problem import Problem
from gateway.http.source_address import source_of
from stir.oob.rate import Rate, TokenBuckets

_SHORTEST_TOKEN: Final = 16
_FAILURES: Final = Rate(0.5, 20.0)
_LATER: Final = {"Retry-After": "60"}


@dataclass(frozen=True, slots=True)
class KnownClient:
    """A client: SHA-256 of its bearer token, or a name its TLS certificate has."""

    name: str
    token_digest: bytes | None = field(default=None, repr=False)
    domain: str | None = None


class KnownClients:
    """Tells who a request is from; failures from one address are limited."""

    def __init__(self, clients: Iterable[KnownClient]) -> None:
        every = tuple(clients)
        self._by_token = {each.token_digest: each for each in every if each.token_digest}
        self._by_domain = {each.domain: each for each in every if each.domain}
        self._failures = TokenBuckets(_FAILURES)

    def identify(self, request: web.Request, now: float) -> str:
        """Return the client's name. Raises Problem: 401, 429 after many of these."""
        client = self.find(request)
        if client is not None:
            return client.name
        if not self._failures.take(source_of(request.remote), now):
            raise Problem(429, "too many requests of nobody known", headers=dict(_LATER))
        raise Problem(401, headers={"WWW-Authenticate": "Bearer"})

    def find(self, request: web.Request) -> KnownClient | None:
        """Return who a request is from, None for nobody known."""
        token = bearer_of(request)
        if token is not None:
            # Found by its digest: how long that takes tells nothing about the token.
            return self._by_token.get(token_digest(token))
        if "Authorization" in request.headers:
            return None
        for name in certificate_names(request):
            if name in self._by_domain:
                return self._by_domain[name]
        return None


def token_digest(token: str) -> bytes:
    """Return what a bearer token is found by."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def read_clients(
    clients: Sequence[NamedClient], table: str, what: str = "client"
) -> tuple[KnownClient, ...]:
    """Read who is let in; `table` is the key they stand under, `what` their word in messages.

    Raises ConfigError for a token that is short, or somebody else's too.
    """
    made: list[KnownClient] = []
    for index, client in enumerate(clients):
        if client.domain is not None:
            made.append(KnownClient(client.name, domain=client.domain))
            continue
        key = f"{table}[{index}].token"
        secret = read_secret(client.token, client.token_file, key)
        if len(secret) < _SHORTEST_TOKEN:
            raise ConfigError(key, f"needs {_SHORTEST_TOKEN} characters or more")
        digest = token_digest(secret)
        if digest in {each.token_digest for each in made}:
            raise ConfigError(key, f"is another {what}'s too")
        made.append(KnownClient(client.name, digest))
    return tuple(made)


def certificate_names(request: web.Request) -> list[str]:
    """The dNSNames of the client's TLS certificate, which the listener has verified."""
    transport = request.transport
    certificate: dict[str, Any] | None = (
        transport.get_extra_info("peercert") if transport is not None else None
    )
    names = (certificate or {}).get("subjectAltName", ())
    return [value.lower() for kind, value in names if kind == "DNS"]
