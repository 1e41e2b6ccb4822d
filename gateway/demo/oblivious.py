"""Who else it takes to ask without being known: a relay and an issuer of tokens (RFC 9458, 9578).

Both belong to others than the directory: the relay sees who asks and not what, the directory what
and not who, and the issuer neither.
"""

from __future__ import annotations

import base64
import secrets
from pathlib import Path
from typing import Final

from gateway.config.load import load_file
from gateway.config.oblivious_services import IssuerConfig, RelayConfig
from gateway.demo.keys import Authorities, write_secret_file
from gateway.demo.process import ListeningProcess
from gateway.token_issuer.service import key_folder
from stir.certificates.issuing import issue_tls_certificate

RELAY_HOST: Final = "relay.example"
RELAY_URL: Final = f"https://{RELAY_HOST}:8448/relay/dp"
ISSUER_HOST: Final = "tokens.example"
ISSUER_URL: Final = f"https://{ISSUER_HOST}:8449"


def write_relay_keys(folder: Path, authorities: Authorities, now: float) -> None:
    """Write the relay's `keys` folder."""
    _write_https(folder, authorities, RELAY_HOST, now)
    write_secret_file(folder / "tls-root.pem", authorities.tls.certificate_pem)


def write_issuer_keys(
    scene: Path, authorities: Authorities, providers: tuple[str, ...], now: float
) -> None:
    """Write the issuer's `keys` folder, and each provider's credential there."""
    folder = scene / "tokens" / "keys"
    _write_https(folder, authorities, ISSUER_HOST, now)
    for provider in providers:
        token = secrets.token_urlsafe(18).encode() + b"\n"
        write_secret_file(folder / f"{provider}.token", token)
        write_secret_file(scene / provider / "keys" / "tokens.token", token)


def publish_issuer_key(config_file: Path, out: Path, now: float) -> str:
    """Do what `spingate directory issuer-key --out` does; return the key's identifier."""
    config = load_file(config_file, IssuerConfig, {})
    key = key_folder(config).load(now)[0].public
    write_secret_file(out, key.spki)
    return base64.urlsafe_b64encode(key.key_id).decode("ascii").rstrip("=")


def issuer_process(config_file: Path) -> ListeningProcess:
    """Return `spingate directory issuer` with a configuration file."""
    section = load_file(config_file, IssuerConfig, {}).issuer
    return ListeningProcess(
        f"token issuer {ISSUER_URL}",
        ("directory", "issuer", "-c", str(config_file)),
        config_file.parent / "issuer.log",
        section.address,
        section.port,
    )


def relay_process(config_file: Path) -> ListeningProcess:
    """Return `spingate directory relay` with a configuration file."""
    section = load_file(config_file, RelayConfig, {}).relay
    return ListeningProcess(
        f"relay {RELAY_URL}",
        ("directory", "relay", "-c", str(config_file)),
        config_file.parent / "relay.log",
        section.address,
        section.port,
    )


def _write_https(folder: Path, authorities: Authorities, host: str, now: float) -> None:
    tls = issue_tls_certificate(authorities.tls, now, dns_names=[host])
    assert tls.key_pem is not None
    write_secret_file(folder / "https.pem", tls.chain_pem)
    write_secret_file(folder / "https.key", tls.key_pem)
