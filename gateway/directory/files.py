"""Keys and certificates of a directory's configuration, read before anything listens."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from discovery.enum.publishing.signing import SigningKey
from discovery.number import NumberRanges
from gateway.config.directory import DirectoryConfig, DirectoryPeer
from gateway.config.files import read_file
from gateway.config.load import ConfigError
from gateway.config.split_storage_services import EvaluatorPeer
from gateway.directory.access import LookupPeer
from gateway.directory.keys import EcSigner, TrustedChains
from gateway.http.known_clients import read_clients
from gateway.keys import check_pair
from stir.certificates.certificate import (
    KeyMismatch,
    MalformedCredential,
    load_private_key,
)
from stir.certificates.issuing import Authority, key_to_pem, load_authority, new_key
from stir.oob.rate import Rate

_OWN_KEY: Final = "answers.key"
_ZONE_KEY: Final = "enum.key"


@dataclass(frozen=True, slots=True)
class DirectoryKeys:
    """What a directory service holds: the signer of its answers, trust, the issuing authority."""

    signer: EcSigner = field(repr=False)
    chains: TrustedChains = field(repr=False)
    issuer: Authority | None = field(repr=False)
    peers: tuple[LookupPeer, ...] = field(repr=False)
    zone: tuple[SigningKey, ...] = field(default=(), repr=False)


def load_directory_keys(config: DirectoryConfig) -> DirectoryKeys:
    """Read every file the configuration names. Raises ConfigError."""
    section = config.directory
    check_pair(section.certificate, section.key, "directory")
    issuer = _issuer(config)
    owners = _anchors(section.owner_trust_anchors, "directory.owner_trust_anchors")
    if issuer is not None:
        owners.append(issuer.certificates[-1])
    providers = _anchors(section.provider_trust_anchors, "directory.provider_trust_anchors")
    codes = {each.code: NumberRanges(each.numbers) for each in section.number_provider}
    return DirectoryKeys(
        signer=EcSigner(_answer_key(config)),
        chains=TrustedChains(owners, providers, codes),
        issuer=issuer,
        peers=load_peers(section.peer, "directory.peer"),
        zone=_zone_keys(config),
    )


def _anchors(paths: tuple[Path, ...], key: str) -> list[x509.Certificate]:
    anchors: list[x509.Certificate] = []
    for index, path in enumerate(paths):
        try:
            anchors += x509.load_pem_x509_certificates(read_file(path, f"{key}[{index}]"))
        except ValueError:
            raise ConfigError(f"{key}[{index}]", f"{path} holds no PEM certificate") from None
    return anchors


def _issuer(config: DirectoryConfig) -> Authority | None:
    section = config.authority
    if section is None:
        return None
    certificate = read_file(section.certificate, "authority.certificate")
    try:
        issuer = load_authority(certificate, read_file(section.key, "authority.key"))
    except MalformedCredential as error:
        raise ConfigError("authority.certificate", str(error)) from None
    except KeyMismatch as error:
        raise ConfigError("authority.key", str(error)) from None
    basic = _constraints(issuer.certificate)
    if basic is None or not basic.ca:
        raise ConfigError("authority.certificate", "is not a certificate that may issue others")
    return issuer


def _constraints(certificate: x509.Certificate) -> x509.BasicConstraints | None:
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.BasicConstraints):
            return extension.value
    return None


def _answer_key(config: DirectoryConfig) -> ec.EllipticCurvePrivateKey:
    section = config.directory
    path = section.signing_key or section.state_directory / _OWN_KEY
    if section.signing_key is None:
        _make_key(path)
    try:
        return load_private_key(read_file(path, "directory.signing_key"))
    except MalformedCredential as error:
        raise ConfigError("directory.signing_key", str(error)) from None


def _zone_keys(config: DirectoryConfig) -> tuple[SigningKey, ...]:
    """The keys of the ENUM zone, the signing one first; none where nothing is published."""
    enum = config.enum
    if enum is None:
        return ()
    path = enum.key or config.directory.state_directory / _ZONE_KEY
    if enum.key is None:
        _make_key(path)
    named = [("enum.key", path)]
    if enum.next_key is not None:
        named.append(("enum.next_key", enum.next_key))
    keys = []
    for key, each in named:
        try:
            keys.append(SigningKey(load_private_key(read_file(each, key))))
        except (MalformedCredential, ValueError) as error:
            raise ConfigError(key, str(error)) from None
    return tuple(keys)


def _make_key(path: Path) -> None:
    """Make the file whole or not at all, once, whoever else starts at the same time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            return
        draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(key_to_pem(new_key()))
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    except OSError as error:
        raise ConfigError("directory.state_directory", f"{path}: {error.strerror}") from None


def load_peers(
    peers: Sequence[DirectoryPeer | EvaluatorPeer], table: str
) -> tuple[LookupPeer, ...]:
    """Read who may look up; `table` is the key they stand under. Raises ConfigError."""
    return tuple(
        LookupPeer(
            client=client,
            per_day=peer.lookups_per_day,
            rate=Rate(peer.lookups_per_second, peer.lookups_burst),
        )
        for peer, client in zip(peers, read_clients(peers, table, "peer"), strict=True)
    )
