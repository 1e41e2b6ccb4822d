"""Making the source of [discovery.directory]: each directory asked the one way its section says."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509

from discovery.directory.client import LogProofs
from discovery.directory.prefix_map import PrefixMap, read_prefix_map
from discovery.directory.reason import Refused
from gateway.config.directory_client import DirectoryClientSection, DirectoryServer
from gateway.config.files import read_file, read_secret
from gateway.config.load import ConfigError
from gateway.directory.keys import EcKey, TrustedChains
from gateway.directory.sealing import load_caller_keys
from gateway.directory_client import DirectoryConnection, PlainWay, Way
from gateway.directory_log.auditing import LogAuditor
from gateway.directory_log.trust import trusted_logs
from gateway.directory_source import DirectorySource, SourcePolicy
from gateway.http.fetch import AddressSource, client_context
from gateway.http.service_client import Requester, ServiceClient
from gateway.oblivious_making import Clients, ObliviousParts, Upkeep, make_oblivious
from gateway.split_storage.way import SplitConnection
from gateway.split_storage.way_making import SplitParts, make_split_way
from stir.certificates.certificate import MalformedCredential, load_public_key

_KEY: Final = "discovery.directory"


@dataclass(frozen=True, slots=True)
class _Ways:
    """The servers by URL, each in one of three."""

    plain: dict[str, Way] = field(default_factory=dict)
    oblivious: dict[str, ObliviousParts] = field(default_factory=dict)
    split: dict[str, SplitParts] = field(default_factory=dict)

    def of(self, url: str) -> Way | None:
        """Return the way of a server that is asked; None for a directory without a section."""
        parts = self.oblivious.get(url)
        return self.plain.get(url) if parts is None else parts.way

    @property
    def requests(self) -> dict[str, Requester]:
        """How what is published by those asked obliviously is read."""
        return {url: parts.requests for url, parts in self.oblivious.items()}


def make_directory_source(
    settings: DirectoryClientSection | None,
    dns: AddressSource,
    *,
    own_domains: frozenset[str] = frozenset(),
    wall_clock: Callable[[], float] = time.time,
    logs: LogProofs | None = None,
) -> DirectorySource | None:
    """Make the source of [discovery.directory], or None without it. Raises ConfigError."""
    if settings is None:
        return None
    chains = TrustedChains(_anchors(settings.owner_trust_anchors, f"{_KEY}.owner_trust_anchors"))
    clients = Clients(
        relay=ServiceClient(dns, _anonymous_context(settings)),
        issuer=ServiceClient(dns, _context(settings)),
        direct=ServiceClient(dns, _anonymous_context(settings)),
    )
    plain = ServiceClient(dns, _context(settings))
    prefixes = _prefix_map(settings, wall_clock())
    pinned = {server.url: server.key for server in settings.server}
    pinned |= _of_prefix_map(settings, prefixes)
    trusted = trusted_logs(settings) if logs is None else None
    proofs = logs or trusted
    ways = _ways(settings, clients, plain, wall_clock)
    connections: list[DirectoryConnection] = []
    upkeep: list[Upkeep] = [each for parts in ways.split.values() for each in parts.upkeep]
    for url, key in pinned.items():
        if url in ways.split:
            way = ways.split[url].way
            split = SplitConnection(url, key, way, clients.direct, chains, wall_clock, logs=proofs)
            connections.append(split)
            upkeep.append(split)
            continue
        asked, read = ways.of(url) or PlainWay(plain), ways.requests.get(url, plain)
        connections.append(
            DirectoryConnection(url, key, asked, read, chains, wall_clock, logs=proofs)
        )
    auditor = None
    if trusted is not None:
        # The checkpoint of a stored entry is that entry's: its tiles would name what was found.
        auditor = LogAuditor(trusted, plain, ways=ways.requests, left_out=ways.split.keys())
    return DirectorySource(
        connections,
        _policy(settings, own_domains),
        wall_clock,
        prefixes=prefixes,
        clients=(plain, clients.relay, clients.issuer, clients.direct),
        auditor=auditor,
        oblivious=tuple(ways.oblivious.values()),
        upkeep=upkeep,
    )


def directory_seconds(settings: DirectoryClientSection | None) -> float:
    """Return what the source gets: its own budget, and a little to put the answers together."""
    return 0.0 if settings is None else settings.budget_seconds + 0.1


def _policy(settings: DirectoryClientSection, own_domains: frozenset[str]) -> SourcePolicy:
    return SourcePolicy(
        settings.budget_seconds,
        settings.require_logged,
        own_domains,
        settings.tags,
        load_caller_keys(settings.sealed_key),
    )


def _ways(
    settings: DirectoryClientSection,
    clients: Clients,
    plain: ServiceClient,
    wall_clock: Callable[[], float],
) -> _Ways:
    """Return the one way of each server, as its section says."""
    ways = _Ways()
    for index, server in enumerate(settings.server):
        key = f"{_KEY}.server[{index}]"
        if server.split_storage is not None:
            ways.split[server.url] = make_split_way(
                server.split_storage, clients, wall_clock, f"{key}.split_storage"
            )
        elif server.oblivious is not None:
            ways.oblivious[server.url] = make_oblivious(
                server.url, server.oblivious, clients, wall_clock, f"{key}.oblivious"
            )
        else:
            ways.plain[server.url] = _plain_way(plain, server, key)
    return ways


def _plain_way(client: ServiceClient, server: DirectoryServer, key: str) -> PlainWay:
    given = server.token is not None or server.token_file is not None
    if not given:
        return PlainWay(client)
    return PlainWay(client, read_secret(server.token, server.token_file, f"{key}.token"))


def _of_prefix_map(settings: DirectoryClientSection, prefixes: PrefixMap | None) -> dict[str, str]:
    """Return keys by URL of the map's directories, but for those that we are not to ask."""
    if prefixes is None:
        return {}
    listed = {server.url for server in settings.server}
    ask_unlisted = settings.ask_unlisted
    if ask_unlisted is None:
        # Who went to a relay once does not want a directory to know because a map names it.
        ask_unlisted = not any(server.oblivious for server in settings.server)
    names = {name for each in prefixes.prefixes.values() for name in each}
    return {name.url: name.key for name in names if ask_unlisted or name.url in listed}


def _prefix_map(settings: DirectoryClientSection, now: float) -> PrefixMap | None:
    if settings.prefix_map is None or settings.prefix_map_key is None:
        return None
    try:
        pem = read_file(settings.prefix_map_key, f"{_KEY}.prefix_map_key")
        authority = EcKey(load_public_key(pem).public_key)
    except MalformedCredential as error:
        raise ConfigError(f"{_KEY}.prefix_map_key", str(error)) from None
    try:
        text = read_file(settings.prefix_map, f"{_KEY}.prefix_map").decode("ascii")
        return read_prefix_map(text.strip(), authority, now)
    except (UnicodeDecodeError, Refused) as error:
        raise ConfigError(f"{_KEY}.prefix_map", str(error)) from None


def _anchors(paths: tuple[Path, ...], key: str) -> list[x509.Certificate]:
    anchors: list[x509.Certificate] = []
    for index, path in enumerate(paths):
        try:
            anchors += x509.load_pem_x509_certificates(read_file(path, f"{key}[{index}]"))
        except ValueError:
            raise ConfigError(f"{key}[{index}]", f"{path} holds no PEM certificate") from None
    return anchors


def _anonymous_context(settings: DirectoryClientSection) -> ssl.SSLContext:
    try:
        return client_context(settings.trust_anchors)
    except OSError:
        raise ConfigError(f"{_KEY}.trust_anchors", "cannot be read as PEM certificates") from None


def _context(settings: DirectoryClientSection) -> ssl.SSLContext:
    context = _anonymous_context(settings)
    if settings.certificate is not None and settings.private_key is not None:
        try:
            context.load_cert_chain(settings.certificate, settings.private_key)
        except OSError:
            raise ConfigError(f"{_KEY}.certificate", "and private_key are no pair") from None
    return context
