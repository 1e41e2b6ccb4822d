"""The settings of an SMSC, made from its section of the configuration."""

from __future__ import annotations

import ssl

from gateway.config.discovery import Smpp
from gateway.config.load import ConfigError
from gateway.http.fetch import client_context
from gateway.sms.transceiver import SmppSettings


def smpp_settings(section: Smpp, password: str, key: str) -> SmppSettings:
    """Return the settings; `key` is the section's path, for ConfigError of its TLS files."""
    return SmppSettings(
        host=section.host,
        port=section.port,
        system_id=section.system_id,
        password=password,
        window=section.window,
        submit_timeout=section.submit_timeout_seconds,
        reconnect_pause=section.reconnect_seconds,
        tls=_context(section, key) if section.tls else None,
    )


def _context(section: Smpp, key: str) -> ssl.SSLContext:
    try:
        context = client_context(section.trust_anchors)
    except OSError:
        detail = f"{section.trust_anchors} cannot be read as PEM certificates"
        raise ConfigError(f"{key}.trust_anchors", detail) from None
    if section.certificate is not None and section.key is not None:
        try:
            context.load_cert_chain(section.certificate, section.key)
        except OSError:
            raise ConfigError(f"{key}.certificate", "and key are no pair of PEM files") from None
    return context
