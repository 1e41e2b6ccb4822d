"""The checks for revocation and for transparency, made from its configuration."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from cryptography import x509

from gateway.config.files import read_file
from gateway.config.load import ConfigError
from gateway.config.revocation import Revocation, Transparency
from gateway.config.root import Config
from gateway.http.fetch import AddressSource, FetchLimits, GuardedClient
from gateway.http.guard import HTTP_PORT
from gateway.revocation import RevocationService
from gateway.services import make_guard_policy
from stir.certificates.certificate import MalformedCredential, load_certificates
from stir.certificates.crl import may_sign_lists
from stir.certificates.revocation import RevocationPolicy, RevocationRecords
from stir.certificates.revocation_sources import PolicyAdministrator
from stir.certificates.transparency import Log, MalformedLogKey, load_log_key
from stir.verification import VerificationService


def load_administrators(settings: Revocation) -> tuple[PolicyAdministrator, ...]:
    """Read the policy administrators' certificates; raises ConfigError with the key's path."""
    found = []
    for index, administrator in enumerate(settings.administrator):
        certificates: list[x509.Certificate] = []
        for number, path in enumerate(administrator.certificates):
            key = f"stir.revocation.administrator[{index}].certificates[{number}]"
            try:
                certificates += load_certificates(read_file(path, key))
            except MalformedCredential as error:
                raise ConfigError(key, f"{path}: {error}") from None
            if not any(may_sign_lists(certificate) for certificate in certificates):
                raise ConfigError(key, f"{path} may not sign lists (key usage cRLSign)")
        found.append(PolicyAdministrator(administrator.url, tuple(certificates)))
    return tuple(found)


def load_logs(settings: Transparency) -> tuple[Log, ...]:
    """Read the keys of the transparency logs; raises ConfigError with the key's path."""
    found = []
    for index, log in enumerate(settings.log):
        key = f"stir.transparency.log[{index}].key"
        try:
            found.append(Log(log.name, load_log_key(read_file(log.key, key)), log.operator))
        except MalformedLogKey as error:
            raise ConfigError(key, f"{log.key}: {error}") from None
    return tuple(found)


def make_records(
    settings: Revocation, administrators: tuple[PolicyAdministrator, ...]
) -> RevocationRecords | None:
    """Return the empty records, or None where nobody is to be asked."""
    if settings.mode == "off":
        return None
    policy = RevocationPolicy(
        hard=settings.mode == "hard",
        max_stale=settings.max_stale_seconds,
        refresh=settings.refresh_seconds,
        allow_http=settings.allow_http,
        max_lists=settings.max_lists,
    )
    return RevocationRecords(policy, administrators, rand=random.random)


def make_revocation(
    config: Config,
    records: RevocationRecords | None,
    verification: VerificationService | None,
    resolver: AddressSource,
    wall_clock: Callable[[], float],
) -> RevocationService | None:
    """Return what fills the records, or None where nobody is to be asked."""
    if records is None or verification is None:
        return None
    settings = config.stir.revocation
    return RevocationService(
        records,
        verification.path_of,
        _client(config, resolver, settings.max_crl_bytes),
        _client(config, resolver, settings.max_named_crl_bytes),
        wall_clock,
        wait=settings.wait_seconds,
    )


def _client(config: Config, resolver: AddressSource, max_body: int) -> GuardedClient:
    settings, policy = config.stir.revocation, make_guard_policy(config)
    if settings.allow_http:
        policy = replace(policy, plain_http=True, ports=policy.ports | {HTTP_PORT})
    return GuardedClient(
        resolver,
        policy=policy,
        limits=FetchLimits(
            timeout=settings.fetch_timeout_seconds,
            max_body=max_body,
            per_host=config.fetch.max_per_host,
            total=config.fetch.max_total,
        ),
        trust_file=config.fetch.trust_anchors,
    )
