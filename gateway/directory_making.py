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
from discovery.directory.prefix_map import DirectoryName, PrefixMap
from gateway.config.directory_client import DirectoryClientSection, DirectoryServer
from gateway.config.files import read_file, read_secret
from gateway.config.load import ConfigError
from gateway.directory.keys import TrustedChains
from gateway.directory.sealing import load_caller_keys
from gateway.directory_client import DirectoryConnection, PlainWay, Way
from gateway.directory_log.auditing import LogAuditor
from gateway.directory_log.trust import trust_or_warn, trusted_logs, with_named
from gateway.directory_source import DirectorySource, SourcePolicy
from gateway.http.fetch import AddressSource, client_context
from gateway.http.service_client import Requester, ServiceClient
from gateway.oblivious_making import Clients, ObliviousParts, Upkeep, make_oblivious
from gateway.prefix_map_file import open_prefix_map
from gateway.split_storage.way import SplitConnection
from gateway.split_storage.way_making import SplitParts, make_split_way

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
    prefixes = open_prefix_map(settings, wall_clock)
    mapped = prefixes.current() if prefixes is not None else None
    pinned = {server.url: server.key for server in settings.server}
    pinned |= _of_prefix_map(settings, mapped)
    trusted = with_named(trusted_logs(settings), _names(mapped)) if logs is None else None
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

    def connect(name: DirectoryName) -> DirectoryConnection | None:
        if not _asked(settings, name):
            return None
        if trusted is not None:
            trust_or_warn(trusted, name)
        return DirectoryConnection(
            name.url, name.key, PlainWay(plain), plain, chains, wall_clock, logs=proofs
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
        connect=connect,
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
    return {name.url: name.key for name in _names(prefixes) if _asked(settings, name)}


def _names(prefixes: PrefixMap | None) -> list[DirectoryName]:
    found = (name for each in (prefixes.prefixes.values() if prefixes else ()) for name in each)
    return list(dict.fromkeys(found))


def _asked(settings: DirectoryClientSection, name: DirectoryName) -> bool:
    ask_unlisted = settings.ask_unlisted
    if ask_unlisted is None:
        # Who hides from one directory does not want another to know because a map names it.
        ask_unlisted = not any(
            server.oblivious or server.split_storage for server in settings.server
        )
    return ask_unlisted or any(server.url == name.url for server in settings.server)


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
