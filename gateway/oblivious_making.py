"""Making the oblivious way to a directory from its section of the configuration."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlsplit

from discovery.privacy.reason import PrivacyError
from gateway.config.files import read_file, read_secret
from gateway.config.load import ConfigError
from gateway.config.oblivious import ObliviousServer
from gateway.http.ohttp_client import KeySource, ObliviousClient, PinnedKeys
from gateway.http.ohttp_compared_keys import DIRECTORY_DESCRIPTION, ComparedKeys, read_keys
from gateway.http.ohttp_relay import KeptConnections
from gateway.http.service_client import ServiceClient
from gateway.oblivious_way import ObliviousRequests, ObliviousWay
from gateway.token_source import BoughtTokens, BuyingSettings, read_key_id

_TIMEOUT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Clients:
    """Connections of our own for each role, so that none of them carries what another may not see.

    relay: without our TLS client certificate; issuer: with it; direct: without it, to a directory
    at times of our own only.
    """

    relay: ServiceClient
    issuer: ServiceClient
    direct: ServiceClient


class Upkeep(Protocol):
    """Something that works for ever, on times of its own."""

    def run(self) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True)
class ObliviousParts:
    """What asks one directory obliviously: lookups, what else is read of it, and the upkeep."""

    way: ObliviousWay
    requests: ObliviousRequests
    tokens: BoughtTokens
    upkeep: tuple[Upkeep, ...]


def make_oblivious(
    url: str,
    settings: ObliviousServer,
    clients: Clients,
    wall_clock: Callable[[], float],
    key: str,
    *,
    description: str = DIRECTORY_DESCRIPTION,
) -> ObliviousParts:
    """Make the parts for the directory at `url`, or another service with its own description.

    `key` is the section's. Raises ConfigError.
    """
    authority = urlsplit(url).netloc
    keys, upkeep = _keys(url, settings, clients, key, description)
    client = ObliviousClient(
        settings.relay,
        authority,
        keys,
        KeptConnections(clients.relay, timeout=_TIMEOUT),
        wall_clock=wall_clock,
    )
    tokens = BoughtTokens(_buying(authority, settings, key), clients.issuer, wall_clock)
    return ObliviousParts(
        ObliviousWay(client, tokens), ObliviousRequests(client), tokens, (tokens, *upkeep)
    )


def _keys(
    url: str, settings: ObliviousServer, clients: Clients, key: str, description: str
) -> tuple[KeySource, tuple[Upkeep, ...]]:
    if settings.keys is None and settings.keys_file is None:
        compared = ComparedKeys(
            settings.relay, url, clients.relay, clients.direct, description=description
        )
        return compared, (compared,)
    name = f"{key}.keys" if settings.keys_file is None else f"{key}.keys_file"
    try:
        if settings.keys_file is not None:
            return PinnedKeys(read_file(settings.keys_file, name)), ()
        return PinnedKeys(read_keys(settings.keys or "")), ()
    except PrivacyError as error:
        raise ConfigError(name, str(error)) from None


def _buying(authority: str, settings: ObliviousServer, key: str) -> BuyingSettings:
    parts = urlsplit(settings.issuer)
    if parts.path:
        raise ConfigError(f"{key}.issuer", "is the URL of a server, without path")
    given = settings.token is not None or settings.token_file is not None
    token = read_secret(settings.token, settings.token_file, f"{key}.token") if given else None
    if token is not None and not (token.isascii() and token.isprintable()):
        raise ConfigError(f"{key}.token", "is no bearer token")
    return BuyingSettings(
        issuer=settings.issuer,
        name=settings.issuer_name or parts.hostname or "",
        origin=authority.lower(),
        keys=frozenset(map(read_key_id, settings.issuer_keys)),
        credential=f"Bearer {token}" if token is not None else None,
        ready=settings.tokens,
        batch=settings.batch,
        interval=settings.interval_seconds,
        lifetime=settings.token_lifetime_seconds,
    )
