"""The logs that [discovery.directory] trusts: a policy for each directory that names a key."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from discovery.directory.prefix_map import DirectoryName
from discovery.log.cosignature import parse_witness
from discovery.log.logged import LogPolicy
from discovery.log.note import parse_verifier
from discovery.log.reason import LogRefused
from discovery.log.relying import TrustedLogs
from discovery.log.vrf import VrfPublic
from gateway.config.directory_client import DirectoryClientSection, DirectoryServer
from gateway.config.load import ConfigError

_log = structlog.get_logger("directories")


def trusted_logs(settings: DirectoryClientSection) -> TrustedLogs | None:
    """Return the policies by the directories' URLs; None where no log is named.

    Raises ConfigError.
    """
    policies = {
        server.url: log_policy(server, f"discovery.directory.server[{index}]")
        for index, server in enumerate(settings.server)
        if server.log_keys
    }
    return TrustedLogs(policies) if policies else None


def log_policy(server: DirectoryServer, key: str) -> LogPolicy:
    """Return what is demanded of one directory's log; `key` names it in the ConfigError raised."""
    witnesses = server.log_witnesses
    quorum = min(len(witnesses), 1) if server.log_quorum is None else server.log_quorum
    try:
        return LogPolicy(
            tuple(map(parse_verifier, server.log_keys)),
            tuple(map(parse_witness, witnesses)),
            quorum,
            server.log_max_age_seconds,
            _labels(server, key),
        )
    except LogRefused as error:
        raise ConfigError(f"{key}.log_keys", error.detail) from None
    except ValueError as error:
        raise ConfigError(f"{key}.log_quorum", str(error)) from None


def _labels(server: DirectoryServer, key: str) -> VrfPublic | None:
    try:
        return None if server.log_labels is None else VrfPublic(bytes.fromhex(server.log_labels))
    except ValueError as error:
        raise ConfigError(f"{key}.log_labels", str(error)) from None


def trust_named(logs: TrustedLogs, name: DirectoryName) -> None:
    """Trust the log of a directory by what the signed prefix map demands of it.

    Raises ConfigError where no log can satisfy that.
    """
    if name.log is None:
        return
    terms = DirectoryServer.model_construct(
        url=name.url,
        log_keys=name.log.keys,
        log_labels=name.log.labels,
        log_witnesses=name.log.witnesses,
        log_quorum=name.log.quorum,
    )
    logs.trust(name.url, log_policy(terms, f"discovery.directory.prefix_map: {name.url}"))


def with_named(logs: TrustedLogs | None, names: Sequence[DirectoryName]) -> TrustedLogs | None:
    """Return the logs together with those that a prefix map's directories keep.

    Raises ConfigError.
    """
    if not names:
        return logs
    # Even where none names a log now: a later map may.
    trusted = logs or TrustedLogs({})
    for name in names:
        trust_named(trusted, name)
    return trusted


def trust_or_warn(logs: TrustedLogs, name: DirectoryName) -> None:
    """Trust the log of a directory that a map names anew; one that cannot be is told of."""
    try:
        trust_named(logs, name)
    except ConfigError as error:
        _log.warning("log of a directory not trusted", culprit=name.url, detail=str(error))
