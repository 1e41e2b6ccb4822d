"""The parts of a directory service, each made of its section of the configuration."""

from __future__ import annotations

import secrets
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from discovery.directory.challenge_limits import ChallengeLimits
from gateway.config.directory import AuthoritySection, DirectoryConfig, Mail
from gateway.config.discovery import Smpp
from gateway.config.files import read_secret
from gateway.config.load import ConfigError
from gateway.directory.authority import AuthoritySettings, Courier, NumberAuthority
from gateway.directory.authority_store import AuthorityStore
from gateway.directory.database import sqlite_url
from gateway.directory.files import DirectoryKeys
from gateway.directory.log_sink import LogSink
from gateway.directory.record_store import RecordStore
from gateway.http.fetch import client_context
from gateway.keys import derived_key
from gateway.mail.making import mail_settings
from gateway.mail.submission import MailSubmission
from gateway.sms.message import IncomingSms
from gateway.sms.smpp_making import smpp_settings
from gateway.sms.transceiver import SmsTransceiver
from stir.certificates.issuing import DAY

_DEFAULT_SOURCE: Final = "Spingate"


def make_authority(
    config: DirectoryConfig,
    keys: DirectoryKeys,
    store: AuthorityStore,
    records: RecordStore,
    couriers: Courier,
    log: LogSink,
    wall_clock: Callable[[], float],
) -> NumberAuthority | None:
    """Return the authority, None where there is none. Raises ConfigError."""
    section, issuer = config.authority, keys.issuer
    if section is None or issuer is None:
        return None
    settings = AuthoritySettings(
        lifetime=section.certificate_days * DAY,
        proof_lifetime=section.prove_again_days * DAY,
        hold=config.directory.hold_seconds,
        limits=_limits(section),
    )
    return NumberAuthority(
        issuer,
        settings,
        store,
        records,
        keys.chains,
        couriers,
        log,
        source_key=_source_key(config),
        random=secrets.token_bytes,
        wall_clock=wall_clock,
        told=couriers.tell,
    )


def _limits(section: AuthoritySection) -> ChallengeLimits:
    return ChallengeLimits(
        per_identifier=section.challenges_per_number_hour,
        per_source=section.challenges_per_source_hour,
        per_prefix=section.challenges_per_prefix_hour,
        per_day=section.challenges_per_day,
        breaker_after=section.breaker_after,
        breaker_share=section.least_completed,
        prefixes=tuple(prefix.lstrip("+") for prefix in section.prefixes),
        mail_domains=section.mail_domains,
    )


def _source_key(config: DirectoryConfig) -> bytes:
    try:
        return derived_key(config.directory.state_directory, "challenge sources")
    except ConfigError as error:
        raise ConfigError("directory.state_directory", error.text) from None


def ask_for_certificates(context: ssl.SSLContext, anchors: Path, key: str) -> None:
    """Let clients prove a name by certificate; those who do not are known by their token.

    Raises ConfigError for the key that named the anchors.
    """
    try:
        context.load_verify_locations(anchors)
    except OSError:
        text = f"{anchors} cannot be read as PEM certificates"
        raise ConfigError(key, text) from None
    context.verify_mode = ssl.CERT_OPTIONAL


def database_url(config: DirectoryConfig) -> str:
    """Return the database's URL, of the SQLite file where none is configured."""
    section = config.directory
    if section.database_url is not None:
        return section.database_url.get_secret_value()
    return sqlite_url(section.state_directory / "directory.db")


def sms_transceiver(
    settings: Smpp, key: str, delivered: Callable[[str, bool], None]
) -> SmsTransceiver:
    """Return a transceiver that is not started; `key` names it in the ConfigError raised."""
    password = ""
    if settings.password is not None or settings.password_file is not None:
        password = read_secret(settings.password, settings.password_file, f"{key}.password")

    def ignored(_message: IncomingSms) -> None:
        """Nobody writes to us."""

    return SmsTransceiver(smpp_settings(settings, password, key), ignored, on_delivery=delivered)


def sms_source(settings: Smpp) -> str:
    """Return the sender that people see, digits or a name."""
    return settings.source_address.lstrip("+") if settings.source_address else _DEFAULT_SOURCE


def mail_submission(settings: Mail) -> MailSubmission:
    """Return the submission of mail; raises ConfigError."""
    password = None
    if settings.user is not None:
        password = read_secret(settings.password, settings.password_file, "mail.password")
    try:
        context = client_context(settings.trust_anchors)
    except OSError:
        raise ConfigError("mail.trust_anchors", "cannot be read as PEM certificates") from None
    return MailSubmission(mail_settings(settings, settings.sender, password), context)
