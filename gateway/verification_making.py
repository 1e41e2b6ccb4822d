"""The verification service made from its configuration."""

from __future__ import annotations

from gateway.config.root import Config
from gateway.keys import Keys
from stir.certificates.revocation import RevocationRecords
from stir.certificates.transparency import Transparency
from stir.replay import ReplayCache
from stir.verification import VerificationPolicy, VerificationService


def make_verification(
    config: Config,
    keys: Keys,
    revocation: RevocationRecords | None = None,
    *,
    replay: bool = True,
) -> VerificationService | None:
    """Return a verification service, or None where none is configured.

    Without `replay` a PASSporT may be verified again, as a switch does that asks twice.
    """
    settings = config.stir.verification
    if settings is None:
        return None
    codes = frozenset(settings.accept_service_provider_codes)
    policy = VerificationPolicy(
        freshness=settings.freshness_seconds,
        accept_service_provider_codes=None if "*" in codes else codes,
        require_media_keys=settings.require_media_keys,
        max_diversions=settings.max_diversions,
        diverted_freshness=settings.diverted_freshness_seconds,
        require_message_digest=settings.require_message_digest,
        priority_authorities=_priority_authorities(config),
        p256_issuers=settings.require_p256_issuers,
        extra_ports=frozenset(config.fetch.ports),
    )
    cache = ReplayCache(settings.replay_entries) if replay else None
    logs, require = keys.transparency_logs, config.stir.transparency.require
    return VerificationService(
        policy,
        keys.sti_trust_anchors,
        cache,
        revocation=revocation,
        transparency=Transparency(logs, require=require) if logs else None,
    )


def _priority_authorities(config: Config) -> dict[str, frozenset[str]]:
    """Who may sign which namespace of Resource-Priority; nobody where nothing is configured."""
    granted: dict[str, frozenset[str]] = {}
    for authority in config.stir.priority.authority:
        names = frozenset((*authority.service_provider_codes, *authority.certificates))
        for namespace in authority.namespaces:
            granted[namespace] = granted.get(namespace, frozenset()) | names
    return granted
