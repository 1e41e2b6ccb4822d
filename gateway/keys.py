"""Keys, certificates and secrets of a configuration, read and held against each other at once.

Everything here is done before anything listens, so that a wrong file is one clear line.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from gateway.config.files import read_file, read_secret
from gateway.config.load import ConfigError
from gateway.config.root import Config
from gateway.oob.keys import OutOfBandKeys, load_out_of_band_keys
from gateway.renewal.credential import authentication_service, own_credential
from gateway.revocation_making import load_administrators, load_logs
from stir.authentication import AuthenticationService
from stir.certificates.revocation_sources import PolicyAdministrator
from stir.certificates.transparency import Log

_SECRET_BYTES: Final = 32
_SHORTEST_TOKEN: Final = 16


@dataclass(frozen=True, slots=True)
class CarriageSecrets:
    """Secrets of what carries invitations; empty where there is none."""

    mms_password: str = field(default="", repr=False)
    mms_mail_password: str = field(default="", repr=False)
    mms_deliver_password: str = field(default="", repr=False)
    sms_secret: str = field(default="", repr=False)
    sms_webhook_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Keys:
    """What the files of a configuration held; nothing of it shows in a repr."""

    authentication: AuthenticationService | None
    sti_trust_anchors: tuple[x509.Certificate, ...]
    passwords: dict[str, str] = field(repr=False)
    smpp_password: str | None = field(repr=False)
    agent_token: str | None = field(repr=False)
    admin_token: str | None = field(repr=False)
    out_of_band: OutOfBandKeys = field(default_factory=OutOfBandKeys)
    call_placement_anchors: tuple[x509.Certificate, ...] = ()
    trust_list_administrator: tuple[x509.Certificate, ...] = ()
    api_tokens: tuple[str | None, ...] = field(default=(), repr=False)
    remote_token: str | None = field(default=None, repr=False)
    policy_administrators: tuple[PolicyAdministrator, ...] = ()
    transparency_logs: tuple[Log, ...] = ()
    carriages: CarriageSecrets = field(default_factory=CarriageSecrets, repr=False)


def load_keys(config: Config) -> Keys:
    """Read every file the configuration names; raises ConfigError with the key's path."""
    for key, certificate, private_key in _server_pairs(config):
        check_pair(certificate, private_key, key)
    for key, path in _anchor_files(config):
        if path is not None:
            _certificates(read_file(path, key), path, key)
    spin, smpp, admin = config.spin, config.sms.smpp, config.admin
    agent = spin.agent if spin is not None else None
    return Keys(
        authentication=_authentication(config),
        sti_trust_anchors=_sti_anchors(config),
        passwords={
            user.username: read_secret(user.password, user.password_file, f"user[{index}].password")
            for index, user in enumerate(config.user)
        },
        smpp_password=read_secret(smpp.password, smpp.password_file, "sms.smpp.password")
        if smpp
        else None,
        agent_token=read_secret(agent.token, agent.token_file, "spin.agent.token")
        if agent
        else None,
        admin_token=read_secret(admin.token, admin.token_file, "admin.token") if admin else None,
        out_of_band=load_out_of_band_keys(config.stir.oob),
        policy_administrators=load_administrators(config.stir.revocation),
        transparency_logs=load_logs(config.stir.transparency),
        call_placement_anchors=_call_placement_anchors(config),
        trust_list_administrator=_trust_list_administrator(config),
        api_tokens=_api_tokens(config),
        carriages=_carriage_secrets(config),
        remote_token=_remote_token(config),
    )


def _carriage_secrets(config: Config) -> CarriageSecrets:
    mms = config.spin.mms if config.spin is not None else None
    http = config.sms.http

    def read(given: SecretStr | None, file: Path | None, key: str) -> str:
        return "" if given is None and file is None else read_secret(given, file, key)

    secrets_of_mms = ("", "", "")
    if mms is not None:
        secrets_of_mms = (
            read(mms.password, mms.password_file, "spin.mms.password"),
            read(mms.mail.password, mms.mail.password_file, "spin.mms.mail.password")
            if mms.mail is not None
            else "",
            read(mms.deliver_password, mms.deliver_password_file, "spin.mms.deliver_password"),
        )
    secrets_of_http = ("", "")
    if http is not None:
        key = read(http.webhook_secret, http.webhook_secret_file, "sms.http.webhook_secret")
        if key and len(key) < _SHORTEST_TOKEN:
            raise ConfigError(
                "sms.http.webhook_secret", f"needs {_SHORTEST_TOKEN} characters or more"
            )
        secrets_of_http = (read(http.secret, http.secret_file, "sms.http.secret"), key)
    return CarriageSecrets(*secrets_of_mms, *secrets_of_http)


def _server_pairs(config: Config) -> list[tuple[str, Path, Path]]:
    pairs = []
    for index, listener in enumerate(config.listen):
        if listener.certificate is not None and listener.key is not None:
            pairs.append((f"listen[{index}]", listener.certificate, listener.key))
    if config.spin is not None:
        pairs.append(("spin", config.spin.certificate, config.spin.key))
    repository = config.stir.repository
    if repository is not None:
        pairs.append(("stir.repository", repository.certificate, repository.key))
    for key, section in (("stir.api", config.stir.api), ("stir.remote", config.stir.remote)):
        if section is not None and section.certificate is not None and section.key is not None:
            pairs.append((key, section.certificate, section.key))
    agent = config.spin.agent if config.spin is not None else None
    if agent is not None and agent.certificate is not None and agent.key is not None:
        pairs.append(("spin.agent", agent.certificate, agent.key))
    smpp = config.sms.smpp
    if smpp is not None and smpp.certificate is not None and smpp.key is not None:
        pairs.append(("sms.smpp", smpp.certificate, smpp.key))
    placement = config.stir.call_placement
    if placement is not None:
        pairs.append(("stir.call_placement", placement.certificate, placement.key))
    return pairs


def _anchor_files(config: Config) -> list[tuple[str, Path | None]]:
    files: list[tuple[str, Path | None]] = [
        ("sip.trust_anchors", config.sip.trust_anchors),
        ("fetch.trust_anchors", config.fetch.trust_anchors),
        ("stir.remote.trust_anchors", config.stir.remote.trust_anchors)
        if config.stir.remote
        else ("stir.remote", None),
        ("stir.api.client_trust_anchors", config.stir.api.client_trust_anchors)
        if config.stir.api
        else ("stir.api", None),
        ("stir.oob.trust_anchors", config.stir.oob.trust_anchors if config.stir.oob else None),
    ]
    if config.spin is not None and config.spin.agent is not None:
        anchors = config.spin.agent.client_trust_anchors
        files.append(("spin.agent.client_trust_anchors", anchors))
    if config.spin is not None and config.spin.mms is not None and config.spin.mms.mail is not None:
        files.append(("spin.mms.mail.trust_anchors", config.spin.mms.mail.trust_anchors))
    if config.sms.smpp is not None:
        files.append(("sms.smpp.trust_anchors", config.sms.smpp.trust_anchors))
    files += [
        (f"listen[{index}].client_trust_anchors", listener.client_trust_anchors)
        for index, listener in enumerate(config.listen)
    ]
    return files


def check_pair(certificate: Path, private_key: Path, key: str) -> None:
    """Hold a TLS server's key against its certificate; raises ConfigError."""
    chain = _certificates(
        read_file(certificate, f"{key}.certificate"), certificate, f"{key}.certificate"
    )
    pem = read_file(private_key, f"{key}.key")
    try:
        loaded = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        raise ConfigError(f"{key}.key", f"{private_key} is not a PEM private key") from None
    spki = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if loaded.public_key().public_bytes(*spki) != chain[0].public_key().public_bytes(*spki):
        raise ConfigError(f"{key}.key", f"{private_key} does not belong to {certificate}")


def _certificates(pem: bytes, path: Path, key: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise ConfigError(key, f"{path} holds no PEM certificate") from None


def _authentication(config: Config) -> AuthenticationService | None:
    credential = own_credential(config)
    return None if credential is None else authentication_service(credential)


def _sti_anchors(config: Config) -> tuple[x509.Certificate, ...]:
    settings = config.stir.verification
    if settings is None:
        return ()
    return sti_anchors(settings.trust_anchors, "stir.verification")


def sti_anchors(paths: tuple[Path, ...], section: str) -> tuple[x509.Certificate, ...]:
    """Read the root certificates a section names; raises ConfigError."""
    anchors: list[x509.Certificate] = []
    for index, path in enumerate(paths):
        key = f"{section}.trust_anchors[{index}]"
        anchors += _certificates(read_file(path, key), path, key)
    return tuple(anchors)


def _trust_list_administrator(config: Config) -> tuple[x509.Certificate, ...]:
    settings = config.stir.trust_list
    if settings is None:
        return ()
    key = "stir.trust_list.administrator"
    return tuple(_certificates(read_file(settings.administrator, key), settings.administrator, key))


def _call_placement_anchors(config: Config) -> tuple[x509.Certificate, ...]:
    settings = config.stir.call_placement
    if settings is None:
        return ()
    return sti_anchors(settings.trust_anchors, "stir.call_placement") or _sti_anchors(config)


def _api_tokens(config: Config) -> tuple[str | None, ...]:
    """The bearer token of each client of the signing interface, None for those without."""
    settings = config.stir.api
    tokens: list[str | None] = []
    for index, client in enumerate(settings.client if settings is not None else ()):
        key = f"stir.api.client[{index}].token"
        if client.token is None and client.token_file is None:
            tokens.append(None)
            continue
        token = read_secret(client.token, client.token_file, key)
        if len(token) < _SHORTEST_TOKEN:
            raise ConfigError(key, f"needs {_SHORTEST_TOKEN} characters or more")
        if token in tokens:
            raise ConfigError(key, "is another client's too")
        tokens.append(token)
    return tuple(tokens)


def _remote_token(config: Config) -> str | None:
    remote = config.stir.remote
    if remote is None or (remote.token is None and remote.token_file is None):
        return None
    return read_secret(remote.token, remote.token_file, "stir.remote.token")


def derived_key(state_directory: Path, purpose: str, length: int = 32) -> bytes:
    """Return a key for one purpose, derived from the secret of the state directory (HKDF).

    The secret is made at first use, readable by its owner only. Raises ConfigError where the
    directory cannot be written.
    """
    path = state_directory / "secret"
    try:
        state_directory.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _write_secret(path)
        secret = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            "provider.state_directory", f"{state_directory}: {error.strerror}"
        ) from None
    if len(secret) != _SECRET_BYTES:
        # Keys made of what is left of it could be guessed.
        raise ConfigError("provider.state_directory", f"{path} is damaged: remove it")
    derivation = HKDF(hashes.SHA256(), length, salt=None, info=f"spingate {purpose}".encode())
    return derivation.derive(secret)


def _write_secret(path: Path) -> None:
    """Make the file whole or not at all, once, whoever else starts at the same time."""
    draft = path.with_name(f"secret.{secrets.token_hex(8)}")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_SECRET_BYTES))
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
