"""Keys and certificates of the two-provider scene, made afresh for every run.

Three authorities stand behind it, as in the world: a root for TLS server certificates, and the
STI root with an issuing authority that certifies telephone numbers.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stir.certificates.issuing import (
    Authority,
    issue_sti_certificate,
    issue_tls_certificate,
    make_intermediate,
    make_root,
)
from stir.certificates.tn_auth_list import Range, TnAuthList

REPOSITORY_HOST: Final = "certs.sti-ca.example"


@dataclass(frozen=True, slots=True)
class ProviderKeys:
    """What one provider of the scene gets: its name, user and first number."""

    name: str
    username: str
    first_number: str
    number_count: int


@dataclass(frozen=True, slots=True)
class Authorities:
    """The certificate authorities of the scene."""

    tls: Authority
    sti_root: Authority
    sti: Authority


def make_authorities(now: float) -> Authorities:
    """Make the scene's authorities; `now` in epoch seconds."""
    root = make_root("Development STI Root", now)
    return Authorities(
        tls=make_root("Development TLS Root", now),
        sti_root=root,
        sti=make_intermediate(root, "Development STI CA", now),
    )


def write_provider_keys(
    folder: Path, certificates: Path, authorities: Authorities, provider: ProviderKeys, now: float
) -> None:
    """Write a provider's `keys` folder, and its public STI chain into the repository's folder."""
    domain = f"{provider.name}.example"
    folder.mkdir(parents=True, exist_ok=True)
    hosts = [domain, *(f"{host}.{domain}" for host in ("sip", "gw1", "gw2", "spin"))]
    tls = issue_tls_certificate(authorities.tls, now, dns_names=hosts)
    numbers = TnAuthList((Range(provider.first_number.lstrip("+"), provider.number_count),))
    sti = issue_sti_certificate(
        authorities.sti, numbers, now, name=f"SHAKEN {provider.name}", dns_names=[f"spin.{domain}"]
    )
    assert tls.key_pem is not None
    assert sti.key_pem is not None
    _write(folder / "sip.pem", tls.chain_pem)
    _write(folder / "sip.key", tls.key_pem, secret=True)
    _write(folder / "sti.pem", sti.chain_pem)
    _write(folder / "sti.key", sti.key_pem, secret=True)
    _write(folder / "tls-root.pem", authorities.tls.certificate_pem)
    _write(folder / "sti-root.pem", authorities.sti_root.certificate_pem)
    for name in (f"{provider.username}.password", "agent.token", "admin.token"):
        _write(folder / name, secrets.token_urlsafe(18).encode() + b"\n", secret=True)
    # SMPP 3.4 section 5.2.2 leaves eight characters for a password.
    _write(folder / "smpp.password", secrets.token_hex(4).encode() + b"\n", secret=True)
    _write(certificates / f"{provider.name}.pem", sti.chain_pem)


def write_repository_keys(folder: Path, authorities: Authorities, now: float) -> None:
    """Write the HTTPS certificate and key of the certificate repository."""
    tls = issue_tls_certificate(authorities.tls, now, dns_names=[REPOSITORY_HOST])
    assert tls.key_pem is not None
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "repository.pem", tls.chain_pem)
    _write(folder / "repository.key", tls.key_pem, secret=True)


def write_secret_file(path: Path, data: bytes) -> None:
    """Write a file for its owner's eyes alone."""
    _write(path, data, secret=True)


def _write(path: Path, data: bytes, *, secret: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o644)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
