"""Everything renewal needs, made from a configuration: for the gateway and for the command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from gateway.config.acme import TokenSource
from gateway.config.load import ConfigError
from gateway.config.root import Config
from gateway.http.acme_client import AcmeClient, operators_client
from gateway.http.fetch import AddressSource, GuardedClient
from gateway.renewal.credential import certificate_store, own_credential
from gateway.renewal.issuance import Issuance, World
from gateway.renewal.renewal import Renewal
from gateway.renewal.store import CertificateStore
from gateway.renewal.tokens import make_token_source


@dataclass(frozen=True, slots=True)
class RenewalParts:
    """What works on the own certificate."""

    store: CertificateStore
    client: AcmeClient
    issuance: Issuance
    renewal: Renewal


def make_renewal(
    config: Config,
    anchors: Sequence[x509.Certificate],
    dns: AddressSource,
    wall_clock: Callable[[], float],
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> RenewalParts:
    """Return the parts for a configuration with [stir.acme]; raises ConfigError.

    anchors: the trusted STI roots. wall_clock: epoch seconds.
    """
    settings = config.stir.acme
    assert settings is not None
    repository = config.stir.repository
    folder = settings.publish_directory or (repository.directory if repository else None)
    assert folder is not None  # the configuration demands one of them
    tokens = make_token_source(settings.token, lambda: _token_client(settings.token, dns))
    server = _client(
        dns, settings.trust_anchors, settings.timeout_seconds, "stir.acme.trust_anchors"
    )
    store = certificate_store(config)
    client = AcmeClient(server, wall_clock)
    # The own repository may well be on an address that peers' URLs must not lead us to.
    x5u_client = _client(
        dns, config.fetch.trust_anchors, config.fetch.timeout_seconds, "fetch.trust_anchors"
    )
    world = World(client, tokens, x5u_client, anchors, folder, wall_clock, progress)
    issuance = Issuance(settings, store, world)
    renewal = Renewal(settings, store, issuance, wall_clock, lambda: _signing_until(config))
    return RenewalParts(store, client, issuance, renewal)


def _token_client(settings: TokenSource, dns: AddressSource) -> GuardedClient:
    key = "stir.acme.token.trust_anchors"
    return _client(dns, settings.trust_anchors, settings.timeout_seconds, key)


def _client(dns: AddressSource, trust_file: Path | None, timeout: float, key: str) -> GuardedClient:
    """Return a client that trusts a file; raises ConfigError, naming its key, if it is unfit."""
    try:
        return operators_client(dns, trust_file=trust_file, timeout=timeout)
    except OSError as error:
        raise ConfigError(key, f"{trust_file}: {error.strerror or error}") from None


def _signing_until(config: Config) -> float:
    try:
        credential = own_credential(config)
    except ConfigError:
        return 0.0
    return 0.0 if credential is None else credential.not_after
